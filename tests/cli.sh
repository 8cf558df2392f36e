#!/bin/sh
# What every tool does alike: help, version, wrong use, a full disk; and that
# completions are well formed.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

# gives CODE COMMAND...: runs with output in $work/out and $work/err.
gives() {
  want=$1
  shift
  "$@" > "$work/out" 2> "$work/err" < /dev/null
  got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want"; false; }
}
full() { "$@" > /dev/full 2> "$work/err"; [ $? = 74 ]; }
narrow() { awk 'length($0) > 80 { print; bad = 1 } END { exit bad }' "$1"; }
says() { grep -q "$1" "$2"; }
quiet() { [ ! -s "$1" ]; }

for name in annotate partition run; do
  tool=tools/gshard-$name
  ok "$name --help" gives 0 "$tool" --help
  ok "$name --help is 80 columns wide" narrow "$work/out"
  ok "$name --help has examples" says '^Examples:' "$work/out"
  ok "$name --help leaves stderr alone" quiet "$work/err"
  ok "$name --version" gives 0 "$tool" --version
  ok "$name --version names the licence" says Apache-2.0 "$work/out"
  ok "$name --version names the formats" says '^Formats: plan [0-9]' "$work/out"
  ok "$name --version names oneDNN and the instruction set" says \
    '^Kernels: [A-Za-z0-9-]*, oneDNN [0-9]*\.[0-9]' "$work/out"
  ok "$name with an unknown option" gives 64 "$tool" --colr=never x
  ok "$name suggests an option" says 'did you mean --color' "$work/err"
  ok "$name leaves stdout alone" quiet "$work/out"
  ok "$name --vers is --version" gives 0 "$tool" --vers
  ok "$name says so" says '^gshard-' "$work/out"
  ok "$name --ver may be two" gives 64 "$tool" --ver
  ok "$name names both" says 'may be --verify or --version' "$work/err"
  ok "$name with surplus operands" gives 64 "$tool" a b
  ok "$name with a wrong choice" gives 64 "$tool" --color=blue x
  ok "$name on a full disk" full "$tool" --help
  ok "$name without standard output" gives 74 sh -c "exec $tool --help >&-"
  ok "$name with colours" gives 64 "$tool" --color=always a b
  ok "$name colours when asked" says "$(printf '\033')" "$work/err"
  ok "$name --json on wrong use" gives 64 "$tool" --json a b
  ok "$name writes JSON" says '"status": 64' "$work/out"
  ok "$name --print-man-options" gives 0 "$tool" --print-man-options
  ok "$name prints mdoc" says '^\.It Fl h , Fl -help$' "$work/out"
  ok "$name's completion" gives 0 "$tool" --print-completion=bash
  if command -v bash > /dev/null; then
    ok "$name's completion is bash" bash -n "$work/out"
  else
    skip "$name's completion is bash: there is no bash"
  fi
done

done_all
