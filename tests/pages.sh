#!/bin/sh
# Manual pages, of this build and of the source tree, are well formed.
set -u
if command -v mandoc > /dev/null; then
  # One that is short may hold two sentences in a line.
  formats() {
    mandoc -T lint -W warning "$1" | grep -v 'new sentence, new line' |
      awk '{ print } END { exit NR > 0 }'
  }
elif command -v groff > /dev/null; then
  formats() {
    groff -mdoc -T utf8 -ww -z "$1" > "$work/warn" 2>&1
    cat "$work/warn"
    [ ! -s "$work/warn" ]
  }
else
  echo "skipped: neither mandoc nor groff is installed"
  exit 77
fi
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

for page in man/*.[1-8] "${srcdir-.}"/man/*.[1-8]; do
  [ ! -f "$page" ] || ok "$page" formats "$page"
done
done_all
