#!/bin/sh
# The library as another program sees it: installed, found by pkg-config, built
# against with nothing else, run; the names that it shows; what it leaves
# alone; and memory that runs out, which is a status.
set -u
LC_ALL=C
export LC_ALL
unset MAKEFLAGS MFLAGS MAKELEVEL OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
build=$(pwd)
top=$(cd "${srcdir-.}" && pwd)
# shellcheck source=tests/report.sh
. "$top/tests/report.sh"

if [ ! -x "$build/tests/test_onnx" ]; then
  echo "skipped: tests/test_onnx is not built"
  exit 77
fi
value() { sed -n "s/^$1 = //p" Makefile | head -n 1; }
root=$work/root
libdir=$(make -s -f - show << 'END'
include Makefile
show: ; @echo $(libdir)
END
)
ok 'make install' make -s install DESTDIR="$root"
[ "$failed" = 0 ] || { done_all; exit 1; }

PKG_CONFIG_PATH=$root$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
LD_LIBRARY_PATH=$root$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR LD_LIBRARY_PATH
pkg_config=$(value PKG_CONFIG)
cc=$(value CC)
sanitize=$(sed -n 's/^GS_CFLAGS.* \(-fsanitize=[^ ]*\).*/\1/p' Makefile)

# compile NAME FILE [FLAG...]: warnings count as errors.
compile() {
  name=$1 file=$2
  shift 2
  # shellcheck disable=SC2046,SC2086
  $cc -std=gnu11 -Wall -Wextra -Werror $sanitize "$@" "$file" \
    $($pkg_config --cflags --libs gshard) -o "$work/$name"
}
ok 'embed builds' compile embed "$top/examples/embed.c"
ok 'effects builds' compile effects "$top/tests/embed/effects.c"
printf '#include <gshard.h>\nint main(void) { return 0; }\n' > "$work/h.c"
ok 'the header is ISO C' compile h "$work/h.c" -std=c11 -pedantic
if command -v c++ > /dev/null; then
  cp "$work/h.c" "$work/h.cc"
  # shellcheck disable=SC2046
  ok 'the header is C++' c++ -Wall -Werror -fsyntax-only \
    $($pkg_config --cflags gshard) "$work/h.cc"
fi

# What the library shows is what its header declares.
declared() {
  sed -n 's/.*[ *]\(gs_[a-z_]*\)(.*/\1/p' \
    "$root$(dirname "$libdir")"/include/gshard*.h |
    sort -u
}
shown() {
  nm -D --defined-only "$root$libdir/libgshard.so" |
    awk 'NF == 3 && $2 != "w" && $3 !~ /^(__(asan|odr|ubsan)|_(init|fini)$)/ {
      sub(/@.*/, "", $3); print $3 }' | sort -u
}
same_names() {
  declared > "$work/declared"
  shown > "$work/shown"
  [ -s "$work/shown" ] && diff "$work/declared" "$work/shown"
}
ok 'the names of libgshard.so' same_names
ok 'a versioned soname' sh -c "readelf -d '$root$libdir/libgshard.so' |
  grep -q 'SONAME.*libgshard\.so\.[0-9]'"
# shellcheck disable=SC2016
ok 'embed.c includes no header of ours but <gshard.h>' \
  sh -c '! grep "include \"" "$1"' sh "$top/examples/embed.c"

cd "$work" || exit 1
"$build/tests/test_onnx" --samples . || exit 1
cat > mlp.yaml << 'END'
version: 1
mesh: {axes: {dp: 2, tp: 2}}
rules:
  - match: {tensor: "w[12]"}
    shard: [~, tp]
END
embed() {
  "$work/embed" mlp.onnx mlp.yaml 3 && "$work/embed" mlp.onnx mlp.yaml 1 \
    > embed.log
}
ok 'embed runs' embed
ok 'embed has sharded and run' grep -q 'y: 240 bytes, sum' embed.log
effects() {
  "$work/effects" mlp.onnx mlp.yaml plan > effects.log 2>&1
  got=$?
  cat effects.log
  return $got
}
ok 'the process is left as it was' effects
ok 'exit is not called by others' grep -q 'left by exit' effects.log

# ---- memory -----------------------------------------------------------------
if [ -n "$sanitize" ]; then
  done_all
  exit
fi
srcdir=$top
cd "$build" || exit 1
# shellcheck source=tests/preload.sh
. "$top/tests/preload.sh"
cd "$work" || exit 1
LD_LIBRARY_PATH=$root$libdir
export LD_LIBRARY_PATH

# sweep KIND MODEL SPEC RUNS: every call of KIND fails in turn: success, or
# GS_RESOURCE from a call that returned.  libgomp ends the process by itself, so
# would oneDNN: the model that is run does without it.
sweep() {
  kind=$1
  shift
  wrong=0 resource=0
  calls "$kind" "$work/embed" "$@" > out 2> err || return 1
  n=1
  while [ "$n" -le "$calls" ]; do
    failing "$kind:$n" timeout -k 5 100 "$work/embed" "$@" > out 2> err
    got=$?
    case $got in
      0) ;;
      71) grep -q '^embed: ' err || wrong=$((wrong + 1))
          resource=$((resource + 1)) ;;
      *) grep -q '^libgomp' err || { wrong=$((wrong + 1))
           echo "$kind:$n: exit $got: $(head -c 100 err)"; } ;;
    esac
    n=$((n + 1))
  done
  echo "$resource of $calls"
  [ "$wrong" = 0 ] && [ "$resource" -gt 0 ]
}
printf 'version: 1\nmesh: {axes: {x: 2}}\n' > two.yaml
ok 'sharding: malloc fails' sweep malloc mlp.onnx mlp.yaml 0
ok 'sharding: mmap fails' sweep mmap mlp.onnx mlp.yaml 0
ok 'running: malloc fails' sweep malloc ranged.onnx two.yaml 1

done_all
