#!/bin/sh
# Rules that the compiler does not know: layers, sizes, names.  Each rule is
# one test case; what breaks it is printed as file:line: text.
set -u
LC_ALL=C
export LC_ALL
build=$(pwd)
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "${srcdir-.}" || exit 1
found=$work/found pairs=$work/pairs

# rule TEXT: passes when nothing was found.
rule() {
  if [ -s "$found" ]; then
    printf 'not ok: %s\n' "$1"
    sed 's/^/  /' "$found"
    failed=$((failed + 1))
  else
    printf 'ok: %s\n' "$1"
    passed=$((passed + 1))
  fi
}

places=
for place in src tools tests examples bench man schemas; do
  [ ! -d "$place" ] || places="$places $place"
done

# shellcheck disable=SC2086
code=$(find $places -name '*.[ch]' ! -name '*.pb-c.[ch]' | sort)
source_code=$(find src -name '*.[ch]' ! -name '*.pb-c.[ch]' | sort)

# ---- layers -----------------------------------------------------------------
# shellcheck disable=SC2086
awk '
  BEGIN {
    may["base"] = " base "
    may["ir"] = " base ir "
    may["io"] = " base ir io "
    may["op"] = " base ir op "
    may["kernel"] = " base ir op kernel "
    may["pass"] = " base ir op kernel pass "
    may["plan"] = " base ir op kernel pass plan "
    may["exec"] = " base ir op kernel exec "
    may["check"] = " base ir kernel check "
    may["api"] = " base ir io op kernel pass plan exec check api "
  }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    split(FILENAME, part, "/")
    layer = part[2]
    if (!(layer in may)) next # src/gshard.h joins the layers
    split($0, quoted, "\"")
    target = quoted[2]
    if (target == "op/ops.def") next # data, of every layer
    if (target ~ /\.pb-c\.h$/ || target == "config.h" ||
        target ~ /^gshard(_base)?\.h$/) next # what everybody is told
    if (target !~ /\//) {
      printf "%s:%d: \"%s\" without its layer\n", FILENAME, FNR, target
      next
    }
    sub(/\/.*/, "", target)
    if (index(may[layer], " " target " ") == 0)
      printf "%s:%d: %s may not include %s\n", FILENAME, FNR, layer, quoted[2]
  }' $source_code > "$found"
rule 'layers: base <- ir <- {io, op}; op <- kernel <- {pass, exec}; pass <- plan'

# Programs know the library by its public header, and headers beside them.
for file in tools/*.[ch] examples/embed.c; do
  sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\(.*\)".*/\1/p' "$file" |
    while IFS= read -r header; do
      [ "$header" = gshard.h ] || [ -f "tools/$header" ] ||
        echo "$file: $header"
    done
done > "$found"
rule 'tools include gshard.h and their own headers, no other of src'

# circles TEXT: of the pairs "A B" in $pairs, A needs B; those in a circle are
# what tsort complains of.
circles() {
  awk '$1 != $2' "$pairs" | sort -u | tsort 2>&1 > /dev/null |
    sed 's/^tsort: //' > "$found"
  rule "$1"
}
# shellcheck disable=SC2086
awk '/^[ \t]*#[ \t]*include[ \t]*"[^"]*\// {
  split($0, quoted, "\"")
  print FILENAME, "src/" quoted[2] }' $source_code > "$pairs"
circles 'no headers include each other in a circle'
sed -i 's,/[^/ ]* , ,; s,/[^/]*$,,' "$pairs"
circles 'no folders include each other in a circle'

# shellcheck disable=SC2086
printf '%s\n' $source_code | sed 's,\(.*\)/\(.*\)\.[ch]$,\2 \1,' | sort -u |
  awk 'seen[$1]++ { print $1 ": stands in " last " and " $2 } { last = $2 }' \
    > "$found"
rule 'file names stand once'

# The files that call each other: what an object lacks and another has.  Tables
# of rows are data, and reaching a row through them is no call.
calls() {
  nm -A -g "$1" 2> /dev/null |
    sed 's/^[^:]*:libgs_la-//; /^op_table\.o:/d' | awk '
    { split($0, part, ":"); kind = $(NF - 1) }
    kind == "T" || kind == "W" { home[$NF] = part[1] }
    kind == "U" { used[++n] = part[1] " " $NF }
    END {
      for (i = 1; i <= n; i++) {
        split(used[i], use, " ")
        if (use[2] in home) print use[1], home[use[2]]
      }
    }'
}
text='no files call each other in a circle'
if ! command -v nm > /dev/null || [ ! -f "$build/.libs/libgs.a" ]; then
  skip "$text: needs nm and libgs.a"
else
  calls "$build/.libs/libgs.a" > "$pairs"
  circles "$text"
fi

# only HEADER-REGEX FILE-REGEX: who includes a library.
only() {
  # shellcheck disable=SC2086
  grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($1)[>\"]" \
    $source_code /dev/null | grep -vE "^$2:" > "$found"
  rule "only $2 includes $1"
}
only 'mpi\.h' 'src/exec/comm/world_mpi\.h'
only '.*\.pb-c\.h|protobuf-c/.*|protobuf-c\.h' 'src/io/onnx/onnx_[^/]*\.[ch]'
only 'yaml\.h' 'src/io/spec/yaml\.c'
only 'xxh[a-z0-9_]*\.h' 'src/base/data/hash\.c'
only '(oneapi/dnnl/)?dnnl[a-z_]*\.h' 'src/kernel/onednn/onednn_compat\.h'
only 'kernel/onednn/onednn_compat\.h' 'src/kernel/[a-z]+/onednn(_[a-z]+)?\.c'
only 'hwloc\.h' 'src/exec/run/pin_hwloc\.c'
only 'check\.h' 'no file of src'

# ---- sizes ------------------------------------------------------------------
# shellcheck disable=SC2086
awk '
  FNR == 1 && NR > 1 && count > 600 { print file ": " count " lines" }
  { file = FILENAME; count = FNR }
  END { if (count > 600) print file ": " count " lines" }' $code > "$found"
rule 'files of at most 600 lines'

find src -name '*.[ch]' -o -name '*.inc' -o -name '*.def' -o -name '*.txt' |
  sed 's,/[^/]*$,,' | sort | uniq -c |
  awk '$1 > 25 { print $2 ": " $1 " files" }' > "$found"
rule 'folders of src with at most 25 files'

# Continuation bytes of UTF-8 take no column.
# shellcheck disable=SC2086
awk '{ gsub(/[\200-\277]/, "") }
  length($0) > 80 { print FILENAME ":" FNR ": " length($0) " columns" }' \
  $code > "$found"
rule 'lines of at most 80 columns'

# A function ends with "}" alone in the first column; it starts at the last
# line before that with a letter there.
# shellcheck disable=SC2086
awk '
  FNR == 1 { start = 0 }
  /^[A-Za-z_]/ && !/;[ \t]*$/ { start = FNR; name = $0 }
  /^}$/ && start {
    if (FNR - start + 1 > 60)
      print FILENAME ":" start ": " FNR - start + 1 " lines: " name
    start = 0
  }' $code > "$found"
rule 'functions of at most 60 lines'

# ---- names ------------------------------------------------------------------
# Operators are told apart by their row, never by a comparison of names.
names=$({
  sed -n 's/^OP([A-Za-z0-9]*, *"\([A-Za-z0-9]*\)".*/\1/p' src/op/ops.def
  sed -n 's/^MOVE([A-Z_]*, *"\([A-Za-z0-9]*\)".*/\1/p' src/op/moves.def
  sed -n 's/^function \([A-Za-z.]*\.\)\{0,1\}\([A-Za-z0-9]*\) .*/\2/p' \
    src/op/functions/*.txt
} | sort -u | paste -sd '|' -)
# shellcheck disable=SC2086
grep -nE "(str(n|case|ncase)?cmp|streq|is_op|op_is|same_name)[[:space:]]*\
\([^;]*\"($names)\"|==[[:space:]]*gs_op_find" $source_code /dev/null > "$found"
rule 'no comparison with the name of an operator outside the two tables'

# Nor by a name that stands in a variable, for memcmp to compare.
# shellcheck disable=SC2086
grep -nE "(mem|strn?|strncase)cmp[[:space:]]*\([^;]*\"($names)\"|\
char[^;(]*\[[^]]*\][[:space:]]*=[[:space:]]*\"($names)\"" \
  $source_code /dev/null > "$found"
rule 'no variable that holds the name of an operator to be compared'

# Nor by the number of their row, nor by their kernel: a cell says it.
# shellcheck disable=SC2086
grep -nE '(^|[^A-Za-z0-9_])ROW_[A-Za-z]|gs_ops[[:space:]]*\[[^]i]' \
  $source_code /dev/null |
  grep -v '^src/op/' > "$found"
# shellcheck disable=SC2086
grep -nE -e '[!=]=[[:space:]]*&[[:space:]]*gs_(kernel|dynamic)_[a-z]' \
  -e '&[[:space:]]*gs_(kernel|dynamic)_[a-z_]+[[:space:]]*[!=]=' \
  $source_code /dev/null >> "$found"
rule 'no operator is known by its row number or its kernel'

# A move's row is the one place that has its name.
names=$(sed -n 's/^MOVE([A-Z_]*, *"\([A-Za-z]*\)".*COLLECTIVE.*/\1/p' \
  src/op/moves.def | paste -sd '|' -)
grep -rnE "($names)" src tools --include='*.[ch]' --include='*.def' |
  grep -v '^src/op/moves\.def:' > "$found"
rule 'no collective is named outside src/op/moves.def'

mark='TO''DO|FIX''ME|X''XX'
# shellcheck disable=SC2046,SC2086
grep -nwIE "$mark" $(find $places -type f ! -name '*.o' ! -name '*.log' \
  ! -path '*/.deps/*' -size -200k) Makefile.am configure.ac bootstrap \
  quickstart README.md HACKING.md NEWS > "$found"
rule 'nothing is left for later'

# An option that no tool asks for would be accepted and do nothing.
: > "$found"
for table in tools/options_*.c; do
  tool=tools/gshard-$(basename "$table" .c | sed 's/options_//').c
  [ -f "$tool" ] || continue
  # Options that only print are served where the table is read.
  for option in $(awk '/^    \{/ { if (name) print name; name = "" }
      /\.name = "/ { split($0, q, "\""); name = q[2] }
      /\.print = / { name = "" }' "$table"); do
    grep -lF "\"$option\"" tools/*.c | grep -qv '^tools/options_' ||
      echo "$table: --$option" >> "$found"
  done
done
rule 'every option of a table is asked for'

# A hint that names an option which no tool has.
options=$(sed -n 's/.*\.name = "\([a-z-]*\)".*/\1/p' tools/options*.c |
  sort -u | paste -sd '|' -)
{
  # shellcheck disable=SC2046
  grep -nE '"[^"]*--[a-z][a-z-]+' $(find src tools -name '*.c') /dev/null
  grep -nE '(^|[[:space:]`])--[a-z][a-z-]+' README.md /dev/null
  grep -nE '(Fl -|\\-\\-)[a-z]' man/*.in man/*.5 /dev/null |
    sed 's/Fl -/--/g; s/\\-/-/g'
} | awk -v known="^--($options)\$" '
  # Of other programs:
  /^tools\/gendoc|moe-transformer|decoder --batch/ { next }
  /--without-mpi|pkg-config/ { next }
  { line = $0
    while (match(line, /--[a-z][a-z-]+/)) {
      name = substr(line, RSTART, RLENGTH)
      sub(/-+$/, "", name)
      if (name !~ known) print name ": " $0
      line = substr(line, RSTART + RLENGTH)
    } }' > "$found"
rule 'options that texts name are in a table'

sh tests/mutants.sh . --texts > "$found"
rule 'every mutant still applies'

text='global names start with gs_'
if ! command -v nm > /dev/null || [ ! -f "$build/.libs/libgs.a" ]; then
  skip "$text: needs nm and libgs.a"
else
  nm -g --defined-only "$build/.libs/libgs.a" 2> /dev/null |
    awk 'NF == 3 && $3 !~ /^(gs_|_|onnx__)/ { print $3 }' > "$found"
  rule "$text"
fi

done_all
