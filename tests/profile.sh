#!/bin/sh
# gshard-run --profile and --trace: every step of every device, once in every
# run; threads and ranks; files that cannot be written.
set -u
build=$(pwd)
data=${srcdir-.}/tests/data
data=$(cd "$data" && pwd)
# shellcheck source=tests/mpirun.sh
. "$(dirname "$0")/mpirun.sh"
# shellcheck source=tests/cases.sh
. "$(dirname "$0")/cases.sh"
"$annotate" -q -s "$data/mlp.yaml" -o a.onnx "$data/mlp.onnx" &&
  "$partition" -q -o plan a.onnx || exit 1

# gives CODE FRAGMENT ARGUMENTS...: fails, and says so.
gives() {
  want=$1 fragment=$2
  shift 2
  "$run" --random 1 "$@" > out 2> err
  got=$?
  cat err
  [ $got = "$want" ] && grep -q -e "$fragment" err
}

# ---- the profile ----
profile() { "$run" --random 1 --profile "$@" plan > out 2> err; }
ok "a profile" profile
steps=$(sed -n 's/.* ms in \([0-9]*\) steps,.*/\1/p' out)
# From the second heading on there is a line for each step.
lines() { awk '/  step: / { n = 0; on = 1; next } on { n++ } END { print n }'; }
ok "of one run" grep -q '^profile: device 0, one run: ' out
ok "with a line for each step" [ "$(lines < out)" = "$steps" ]
ok "which are named" grep -q '%.* step [0-9]*: \|%.*MatMul' out
parts() {
  awk '/%/ && !on { n += $2 } /  step: / { on = 1 } END {
    exit !(n > 99 && n < 101) }' out
}
ok "operators make up the whole" parts
ok "of four runs" profile --bench 3
ok "which it says" grep -q '^profile: device 0, mean of 3 runs after the first: ' out
ok "as JSON" profile --json
# Every step: one object each, within one line.
count() { tr '{' '\n' < out | grep -c '"step": '; }
ok "with every step" [ "$(count)" = "$steps" ]
ok "a profile that no one asked for" sh -c "'$run' --random 1 plan |
  grep -q profile && exit 1 || exit 0"

# ---- the trace ----
events() { grep -c '"ph": "X"' "$1"; }
ok "a trace" "$run" -q --random 1 --trace one.json plan
ok "of four runs" "$run" -q --random 1 --bench 3 --trace four.json plan
ok "with four times the events" [ $((4 * $(events one.json))) = \
  "$(events four.json)" ]
ok "of four devices" [ "$(grep -c thread_name one.json)" = 4 ]
alike() { # all devices take the same turns
  for d in 0 1 2 3; do
    grep '"ph": "X"' "$1" | grep -c "\"tid\": $d,"
  done | sort -u | wc -l
}
ok "all of which take the same turns" [ "$(alike one.json)" = 1 ]
whole() { # brackets match, and no time is negative
  ! grep -e '"ts": -' -e '"dur": -' one.json &&
    [ "$(tr -cd '{[' < one.json | wc -c)" = \
      "$(tr -cd '}]' < one.json | wc -c)" ] &&
    [ "$(tail -n 1 one.json)" = ']}' ]
}
ok "whole" whole
ok "a trace that exists" gives 73 'already exists' --trace one.json plan
ok "unless it may be replaced" "$run" -qf --random 1 --trace one.json plan
ok "no such folder" gives 73 'no/such' --trace no/such plan
ok "standard output" gives 64 'wants the name of a file' --trace - plan

# ---- ranks ----
go_on_ranks
ok "two ranks" "$run" -q --random 1 --trace ranks.json plan
sorted() { grep '"ph": "X"' "$1" | grep -o '"tid": [0-9]*' | sort; }
sorted one.json > a && sorted ranks.json > b
ok "have the events of threads" cmp a b
ok "of two processes" [ "$(grep '"ph": "X"' ranks.json |
  grep -o '"pid": [0-9]*' | sort -u | wc -l)" = 2 ]
ok "a profile of ranks" profile
ok "is said once" [ "$(grep -c '^profile: ' out)" = 1 ]
done_all
