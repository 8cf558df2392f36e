#!/bin/sh
# The runner of golden cases notices what is wrong with a file, and writes it
# as it must be.
set -u
test=$(pwd)/tests/test_upgrade
data=$(cd "${srcdir-.}/tests/data" && pwd)
if [ ! -x "$test" ]; then
  echo "skipped: tests/test_upgrade is not built"
  exit 77
fi
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1

# finds WHAT: cases.txt fails, and the log says why.
finds() {
  ! "$test" cases.txt > out 2>&1 && grep -q -e "$1" out || { cat out; false; }
}
cp "$data/upgrade.txt" good.txt && chmod u+w good.txt || exit 1
cases=$(grep -c '^== ' good.txt)
ok "a good file" "$test" good.txt
: > cases.txt
ok "an emptied file" finds "first line is not"
echo "# at least $cases cases" > cases.txt
ok "a file whose cases are gone" finds "0 cases, where at least $cases must be"
sed '1d' good.txt > cases.txt
ok "a file that does not say how many" finds "first line is not"
sed "1s/.*/# at least $((cases + 1)) cases/" good.txt > cases.txt
ok "a case is missing" finds "$cases cases, where at least $((cases + 1))"
awk '{ print } /^--$/ && !n++ { print "surplus" }' good.txt > cases.txt
ok "another result" finds '^surplus$'
ok "every other case is counted" grep -q \
  "Checks: $((cases + 1)), Failures: 1, Errors: 0" out
awk '!(/^--$/ && !n++)' good.txt > cases.txt
ok "a case without --" finds 'there is no line --'

awk '{ print } /^--$/ { print "surplus" }' good.txt > cases.txt
ok "--update" "$test" --update cases.txt
ok "--update writes what comes out" cmp cases.txt good.txt
sed '1s/.*/# at least 1 cases/' good.txt > cases.txt
ok "--update raises the number" "$test" --update cases.txt
ok "which is that of the cases" cmp cases.txt good.txt
done_all
