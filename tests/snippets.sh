#!/bin/sh
# Every code block of README.md and of the manual pages does what it says;
# tests/data/snippets.txt tells how each is tried, or why it is not.
set -u
build=$(pwd)
source=$(cd "${srcdir-.}" && pwd)
samples=$build/tests/test_onnx reader=$build/tests/test_annotate
if [ ! -x "$samples" ] || [ ! -x "$reader" ]; then
  echo "skipped: tests/test_onnx or tests/test_annotate is not built"
  exit 77
fi
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
mkdir "$work/bin" "$work/block" "$work/fixture"
table=$source/tests/data/snippets.txt

tell() { # tell STATUS TEXT: one case
  if [ "$1" -eq 0 ]; then
    passed=$((passed + 1))
  else
    printf 'not ok: %s\n' "$2"
    sed 's/^/  /' "$work/log" | tail -20
    failed=$((failed + 1))
  fi
}

# mpirun with what a test needs: more ranks than cores, root, an end.
if [ "${HAVE_MPI-1}" = 1 ] && launcher=$(command -v "${MPIRUN-mpirun}"); then
  cat > "$work/bin/mpirun" << END_WRAPPER
#!/bin/sh
. "$source/tests/mpirun.sh"
exec timeout -k 5 300 "$launcher" "\$@"
END_WRAPPER
  chmod +x "$work/bin/mpirun"
fi
PATH=$work/bin:$build/tools:$build/examples:$PATH

# ---- the blocks ------------------------------------------------------------
# blocks PAGE FILE: each block into a file PAGE.N.
of_markdown() {
  awk -v name="$work/block/$1" '
    /^```/ { inside = !inside; if (inside) out = name "." ++n; next }
    inside { print > out }' "$2"
}
of_manual() {
  awk -v name="$work/block/$1" '
    function plain(s) {
      gsub(/\\-/, "-", s); gsub(/\\\(dq/, "\"", s); gsub(/\\&/, "", s)
      gsub(/\\e/, "\\", s)
      return s
    }
    /^\.Bd -literal/ { out = name "." ++n; inside = 1; next }
    /^\.Ed/ { inside = 0; next }
    /^\.Dl / { out = name "." ++n; print plain(substr($0, 5)) > out; next }
    inside { print plain($0) > out }' "$2"
}
of_markdown README.md "$source/README.md"
for page in gshard gshard-annotate gshard-partition gshard-run gshard-mpi \
  gshard-ops gshard-plan gshard-spec; do
  for section in 1 5 7; do
    for file in "$build/man/$page.$section" "$source/man/$page.$section"; do
      [ -e "$file" ] || continue
      of_manual "$page.$section" "$file"
      break
    done
  done
done

# ---- what they need --------------------------------------------------------
cd "$work/fixture" || exit 1
"$samples" --samples "$work" && cp "$work/mlp.onnx" model.onnx || exit 1
cat > spec.yaml << 'END_SPEC'
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - {match: {tensor: x}, shard: [dp, ~]}
  - {match: {tensor: w1}, shard: [~, tp]}
END_SPEC
cp spec.yaml model.yaml
cp "$source/examples/"*.yaml .
gshard-annotate -q -s spec.yaml -o sharded.onnx model.onnx &&
  gshard-partition -q -o plan sharded.onnx &&
  gshard-run -q --random 1 -o y=x.npy model.onnx && # y is as large as x
  moe-transformer -q -o moe.onnx || exit 1

# fresh BLOCK: a folder with all of it but what the block writes.
fresh() {
  rm -rf "$work/here" && cp -r "$work/fixture" "$work/here" &&
    cd "$work/here" || exit 1
  for out in $(grep -v -e ' -f ' "$1" | grep -o -e '-o [a-z0-9.]*' |
    sed 's/-o //'); do
    rm -rf "$out"
  done
}

# ---- the kinds -------------------------------------------------------------
without_mpi() { [ ! -e "$work/bin/mpirun" ] && grep -q mpirun "$1"; }

run() {
  without_mpi "$1" || sh -e "$1"
}

# matches WANTED GOT: line by line; "..." stands for any lines; digests, and how
# close equal results are, depend on the processor and are left out.
matches() {
  awk -v got="$2" '
    BEGIN { # intervals, as in [0-9]{16}, not every awk knows
      digit = "[0-9a-f]"
      four = digit digit digit digit
    }
    function plain(s) {
      gsub(four four four four, "DIGEST", s)
      sub(/(, the same bytes| equal within tolerance, worst distance .*)$/,
          " EQUAL", s)
      return s
    }
    function next_line() {
      if ((getline line < got) <= 0) return 0
      line = plain(line)
      return 1
    }
    $0 == "..." { any = 1; next }
    {
      want = plain($0)
      while ((more = next_line()) && any && line != want) { }
      any = 0
      if (!more || line != want) {
        print "not printed: " want (more ? "; but: " line : "")
        bad = 1
        exit 1
      }
    }
    END { if (!bad && !any && next_line()) { print "also: " line; exit 1 } }
  ' "$1"
}

# Commands that show no output are run only.
console() {
  awk '/^\$ / { print substr($0, 3) > ("command." ++n); next }
       { print > ("wanted." n) }' "$1"
  n=1
  while [ -e command.$n ]; do
    sh -e command.$n > got.$n 2>&1 || { cat got.$n; return 1; }
    if [ -e wanted.$n ]; then
      sed -i -e :a -e '/^\n*$/{$d;N;ba' -e '}' wanted.$n # empty lines at the end
      matches wanted.$n got.$n || return 1
    fi
    n=$((n + 1))
  done
}

# The demo needs a build folder with tools and examples, and leaves its files
# there.
demo() {
  mkdir demo.build && ln -s "$build/tools" "$build/examples" demo.build/ &&
    sh "$source/examples/demo.sh" demo.build > demo.out 2>&1 || return 1
  if without_mpi "$1"; then sed '/MPI/,$d' "$1"; else cat "$1"; fi > demo.wanted
  sed 's/^/...\n/; $s/$/\n.../' demo.wanted > wanted
  matches wanted demo.out || return 1
  sed -n '/^mesh:/,/^$/p' "$1" > copied.yaml
  gshard-annotate -n -s copied.yaml moe.onnx 2>&1 | tee said
  grep -q 'rules: 4 of 4 matched' said
}

# Devices come with the snippet or from the command line.
spec() {
  set -- "$1" "$source/tests/spec/model.onnx"
  if grep -q '^mesh:' "$1"; then gshard-annotate -n -s "$1" "$2"
  else gshard-annotate -n --mesh dp=2,tp=2 -s "$1" "$2"; fi
}

text() { "$reader" --text "$1"; }

functions() {
  cat "$source"/src/op/functions/*.txt > whole
  awk '
    { want = want $0 "\n" }
    END {
      while ((getline line < "whole") > 0) all = all line "\n"
      exit !index(all, want)
    }' "$1"
}

message() {
  {
    echo 'mesh: {axes: {dp: 2, ep: 2}}'
    for line in 2 3 4 5 6 7 8 9; do echo "# line $line"; done
    printf 'rules:\n  - match: {tensor: x}\n    shard: [~, tp]\n'
  } > spec.yaml
  gshard-annotate -n -s spec.yaml model.onnx 2>&1 |
    sed 's/^gshard-annotate: //' > got
  matches "$1" got
}

plan() {
  mkdir made && cp "$1" made/plan.yaml
  gshard-run --random 1 made
  [ $? -eq 76 ]
}

# ---- all of them -----------------------------------------------------------
: > "$work/used"
for block in "$work/block"/*; do
  page=$(basename "${block%.*}")
  first=$(head -1 "$block")
  line=$(awk -v page="$page" -v first="$first" 'BEGIN { FS = "|" }
    /^#/ { next }
    $1 == page && substr($0, length($1 $2) + 3) == first { print; exit }' \
    "$table")
  : > "$work/log"
  if [ -z "$line" ]; then
    tell 1 "$page: not in snippets.txt: $first"
    continue
  fi
  printf '%s\n' "$line" >> "$work/used"
  kind=$(printf '%s' "$line" | cut -d '|' -f 2)
  case $kind in
    skip\ ?*) continue ;;
    run | console | demo | spec | text | functions | message | plan) ;;
    *) tell 1 "$page: no kind of snippet: $kind"; continue ;;
  esac
  fresh "$block"
  "$kind" "$block" > "$work/log" 2>&1 < /dev/null
  tell $? "$page ($kind): $first"
done
grep -v '^#' "$table" | sort > "$work/lines"
sort -u "$work/used" | comm -23 "$work/lines" - > "$work/log"
[ ! -s "$work/log" ]
tell $? "snippets.txt: blocks that are in no page"

done_all
