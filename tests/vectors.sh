#!/bin/sh
# Stamped loops (kernel/core/stamp.h) are compiled for each instruction set so
# that they run on vectors: each that has a loop must have a vector register in
# it.  What cannot is listed here with its reason.
. "${srcdir:-.}/tests/report.sh"

flags=$(sed -n 's/^\(GS_\)*CFLAGS = //p; s/^CC = //p' Makefile)
# Other compilers vectorise other loops, and sanitizers none.
case " $flags " in
*clang* | *sanitize* | *" -O0 "*) skip "not compiled by gcc for speed" ;;
esac
[ "$(uname -m)" = x86_64 ] || skip "not an x86-64 processor"
command -v objdump > /dev/null || skip "no objdump"
[ "$skipped" -eq 0 ] || { done_all; exit; }

# name[_isa]  reason
cat > "$work/reasons" <<'EOF'
acos_f64 double: libm, whose reductions are exact
acosh_f64 double: libm
asin_f64 double: libm
asinh_f64 double: libm
atan_f64 double: libm
atanh_f64 double: libm
cos_f64 double: libm, whose reduction by pi/2 is exact
cosh_f64 double: libm
erf_f64 double: libm
gelu_f64 double: libm, for its erf
sin_f64 double: libm, whose reduction by pi/2 is exact
sinh_f64 double: libm
tan_f64 double: libm, whose reduction by pi/2 is exact
div_i64 no instruction divides 64-bit integers, and double is too short
div_u64 no instruction divides 64-bit integers, and double is too short
fmod_i64 no instruction divides 64-bit integers, and double is too short
mod_i64 no instruction divides 64-bit integers, and double is too short
mod_u64 no instruction divides 64-bit integers, and double is too short
fmod_f64 the quotient may have any number of digits: libm
mod_f64 the quotient may have any number of digits: libm
pow_i64 as many products as the exponent has bits
where_c128 elements of 16 bytes, moved as they are
narrow_f_i64_avx2 AVX2 does not convert 64-bit integers
narrow_f_u32_avx2 AVX2 does not convert unsigned integers
narrow_f_u64_avx2 AVX2 does not convert 64-bit integers
narrow_i_f32_avx2 AVX2 does not convert 64-bit integers
narrow_i_f64_avx2 AVX2 does not convert 64-bit integers
narrow_u_f32_avx2 AVX2 does not convert 64-bit integers
narrow_u_f64_avx2 AVX2 does not convert 64-bit integers
EOF

# Of each function: its name, whether it has a vector register, whether it
# jumps back.
find src/kernel -name '*.o' -path '*.libs*' > "$work/objects"
[ -s "$work/objects" ] || find src/kernel -name '*.o' > "$work/objects"
xargs objdump -d --no-show-raw-insn < "$work/objects" | awk '
  function told() { if (name != "") print name, wide + 0, loop + 0 }
  /^[0-9a-f]+ <.*>:$/ {
    told(); name = $2; gsub(/[<>:]/, "", name); wide = loop = 0; next
  }
  /%[yz]mm/ { wide = 1 }
  $2 ~ /^j/ && $3 ~ /^[0-9a-f]+$/ {
    at = $1; sub(/:/, "", at)
    if (length($3) < length(at) || (length($3) == length(at) && $3 < at))
      loop = 1
  }
  END { told() }' > "$work/functions"

awk '$1 ~ /_avx(2|512|vnni|512vnni)$/' "$work/functions" > "$work/stamped"
ok "stamped functions are found" \
  [ "$(wc -l < "$work/stamped")" -ge 400 ]

# Loops without a vector register that have no reason.
awk 'NR == FNR { reason[$1] = 1; next }
  { base = $1; sub(/_avx(2|512|vnni|512vnni)$/, "", base) }
  $3 && !$2 && !reason[$1] && !reason[base] { print $1 }' \
  "$work/reasons" "$work/stamped" | sort -u > "$work/bad"
if [ -s "$work/bad" ]; then
  while read -r name; do
    ok "$name has a vector register" false
  done < "$work/bad"
else
  ok "every loop has a vector register, or a reason" true
fi
done_all
