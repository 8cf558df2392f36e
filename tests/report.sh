# shellcheck shell=sh
# What scripts share: a folder to write in, $work, and cases that are counted.
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ok TEXT COMMAND...: one case, which holds when the command succeeds.
ok() {
  text=$1
  shift
  if "$@" > "$work/log" 2>&1 < /dev/null; then
    passed=$((passed + 1))
  else
    printf 'not ok: %s\n' "$text"
    cat -v "$work/log" | sed 's/^/  /' | head -20
    failed=$((failed + 1))
  fi
}

# skip TEXT: one case that cannot run here.
skip() {
  printf 'skipped: %s\n' "$1"
  skipped=$((skipped + 1))
}

# The last line of a script, and its exit code: 77 if nothing could run.
done_all() {
  if [ "$skipped" -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$((passed + failed))" -gt 0 ] || exit 77
  else
    printf '%d passed, %d failed\n' "$passed" "$failed"
  fi
  [ "$failed" -eq 0 ]
}
