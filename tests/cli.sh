#!/bin/sh
# What every tool does alike: help, version, wrong use, a full disk; and that
# manual pages and completions are well formed.
set -u
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ok TEXT COMMAND...: one case, which holds when the command succeeds.
ok() {
  text=$1
  shift
  if "$@" > "$work/log" 2>&1; then
    passed=$((passed + 1))
  else
    printf 'not ok: %s\n' "$text"
    sed 's/^/  /' "$work/log"
    failed=$((failed + 1))
  fi
}

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
  [ -x "$tool" ] || continue
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
  ok "$name names both" says 'may be --verbose or --version' "$work/err"
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
  if command -v bash > /dev/null; then
    ok "$name's completion" gives 0 "$tool" --print-completion=bash
    ok "$name's completion is bash" bash -n "$work/out"
  fi
done

# Pages of this build and of the source tree.
formats() {
  if command -v mandoc > /dev/null; then
    mandoc -T lint -W warning "$1"
  elif command -v groff > /dev/null; then
    groff -mdoc -T utf8 -ww -z "$1" > "$work/warn" 2>&1
    cat "$work/warn"
    [ ! -s "$work/warn" ]
  fi
}
for page in man/*.[1-8] "${srcdir-.}"/man/*.[1-8]; do
  [ -f "$page" ] || continue
  ok "$page" formats "$page"
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
