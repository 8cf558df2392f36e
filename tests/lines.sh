#!/bin/sh
# examples/lines.sh: what follows a line does not depend on the lines that share
# its batch, on how many there are, or on the devices.
set -u
build=$(pwd)
top=$(cd "${srcdir-.}" && pwd)
PATH=$build/tools:$build/examples:$PATH
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1

printf '%s\n' 'a' 'a longer line' 'to be' '' 'or not' 'a' 'x' > text
lines() { # lines ROWS DEVICES
  sh "$top/examples/lines.sh" "$build" "$1" "$2" "$work/$1.$2" < text \
    > "$1.$2.out" 2> err && [ ! -s err ] && return
  cat err
  return 1
}
ok "one line at a time" lines 1 1
ok "each has its own" sh -c '[ "$(wc -l < 1.1.out)" = 7 ] &&
  [ "$(sort -u 1.1.out | wc -l)" -gt 3 ]'
same() { lines "$1" "$2" && diff 1.1.out "$1.$2.out"; }
ok "three rows on two devices" same 3 2
ok "more rows than lines" same 8 1
refused() { # refused FRAGMENT COMMAND...
  fragment=$1
  shift
  if "$@" < text > out 2> err; then return 1; fi
  grep -q -e "$fragment" err && return
  cat err
  return 1
}
ok "no schedule" refused usage bytes tokenize
ok "no records" refused "not records" bytes detokenize -s 3.2/schedule
done_all
