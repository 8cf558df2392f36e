#!/bin/sh
# On a terminal, the tools say what takes long and how far it is.  A reader
# that pauses makes a write take long.
set -u
build=$(pwd)
if ! command -v script > /dev/null ||
   ! TERM=xterm script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
  echo "skipped: needs script(1), which gives a command a terminal"
  exit 77
fi
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1
PATH=$build/tools:$build/examples:$PATH
unset OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE

# The reader takes half a megabyte, waits for what the terminal should show
# (with "quiet": long enough to see that nothing comes), and takes the rest.
cat > slow << 'END'
#!/bin/sh
head -c 500000
limit=600
[ "${1-}" != quiet ] || limit=15
tries=0
until grep -q 'writing [0-9]' shown || [ $tries -ge $limit ]; do
  sleep 0.2
  tries=$((tries + 1))
done
cat
END
chmod +x slow
# terminal COMMAND [TERM]: what a terminal shows of it, one line for each time
# that the cursor goes back to the left.
terminal() {
  printf '%s\n' "$1" > command
  : > shown
  TERM=${2-xterm} timeout -k 5 300 script -qefc 'sh command' shown \
    < /dev/null > log 2>&1
  tr '\r' '\n' < shown | grep -v '^Script ' > seen
}
annotate='gshard-annotate --mesh dp=2'
says() { grep -q "$1" seen || { cat seen; return 1; }; }
silent() { ! grep writing seen && cmp want.onnx a.onnx; }
# After the line was written for the last time, it is emptied.
gone() {
  sed -n '/writing/,$p' seen | sed '/writing/d' | head -1 |
    grep -q "^$(printf '\033')\[K"
}

ok "a model of some megabytes" dense-transformer -q --layers=4 -o model.onnx
ok "the model as it should be" sh -c "$annotate -q -o - model.onnx > want.onnx"
terminal "$annotate -o - model.onnx | ./slow > a.onnx"
ok "annotate says how far it is" \
  says '^gshard-annotate: writing [0-9.]* [KM]iB of [0-9.]* MiB'
ok "takes it back" gone
ok "writes the same" cmp want.onnx a.onnx
terminal "gshard-partition -o - a.onnx | ./slow > p.onnx"
ok "partition says how far it is" \
  says '^gshard-partition: writing [0-9.]* [KM]iB of [0-9.]* MiB'
ok "takes it back" gone
terminal "$annotate -q -o - model.onnx | ./slow quiet > a.onnx"
ok "not with -q" silent
terminal "$annotate --json -o - model.onnx | ./slow quiet > a.onnx"
ok "not with --json" silent
terminal "$annotate -o - model.onnx 2> err | ./slow quiet > a.onnx; cat err"
ok "not into a file" silent
terminal "$annotate -o - model.onnx | ./slow quiet > a.onnx" dumb
ok "not on a terminal that cannot erase" silent

done_all
