#!/bin/sh
# ./bootstrap --sources lists the same files wherever the tree stands: in a
# repository of its own, in none, and in one around it that ignores it.
set -u
script=$(cd "${srcdir-.}" && pwd)/bootstrap
if [ ! -f "$script" ] || ! command -v git > /dev/null; then
  echo "skipped: needs git and ./bootstrap"
  exit 77
fi
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX
# No repository around $work, and no settings of the user, count.
GIT_CEILING_DIRECTORIES=$(cd .. && pwd -P)
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_CEILING_DIRECTORIES GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM

tree() { # tree DIRECTORY
  mkdir -p "$1/src/base" "$1/tools" "$1/tests" "$1/man" &&
    cp "$script" "$1/bootstrap" && chmod u+x "$1/bootstrap" &&
    touch "$1/src/base/a.c" "$1/src/base/a.h" "$1/tools/cli.c" \
      "$1/tools/gshard-a.c" "$1/tests/test_a.c" "$1/tests/a.sh" "$1/man/a.5" &&
    chmod u+x "$1/tests/a.sh"
}
same() { (cd "$1" && ./bootstrap --sources) && diff plain/sources.mk "$1/sources.mk"; }

tree plain
ok "in no repository" sh -c 'cd plain && ./bootstrap --sources'
for file in src/base/a.h tools/cli.c tools/gshard-a tests/test_a tests/a.sh \
  man/a.5; do
  ok "has $file" grep -q -e " $file" plain/sources.mk
done
ok "a repository" git init -q outer
tree outer/untracked
ok "untracked in another repository" same outer/untracked
echo /ignored > outer/.gitignore
tree outer/ignored
ok "ignored by another repository" same outer/ignored
tree own
ok "a repository of its own" git init -q own
printf '*.tmp.c\n' > own/.gitignore
touch own/src/base/b.tmp.c
ok "lists what it does not ignore" same own

done_all
