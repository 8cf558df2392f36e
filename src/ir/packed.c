#include "ir/packed.h"

#include "base/assert.h"
#include "base/math.h"
#include "ir/tensor.h"

void gs_codes_unpack(int bits, bool sign, uint8_t *dst, const void *src,
               int64_t first, int64_t n) {
  const uint8_t *s = src;
  gs_assert((bits == 4 || bits == 2) && first >= 0 && n >= 0);
  unsigned flip = sign ? 1u << (bits - 1) : 0;
  int64_t i = 0;
  if (bits == 4 && first % 2 == 0) {
    const uint8_t *p = s + first / 2;
    for (int64_t j = 0; j < n / 2; j++) {
      unsigned b = p[j];
      dst[2 * j] = (uint8_t)(((b & 15) ^ flip) - flip);
      dst[2 * j + 1] = (uint8_t)(((b >> 4) ^ flip) - flip);
    }
    i = n / 2 * 2;
  }
  for (; i < n; i++)
    dst[i] = (uint8_t)((gs_code_get(bits, s, first + i) ^ flip) - flip);
}

void gs_codes_pack(int bits, void *dst, const uint8_t *src, int64_t n) {
  uint8_t *d = dst;
  int per = 8 / bits;
  gs_assert((bits == 4 || bits == 2) && n >= 0);
  unsigned mask = (1u << bits) - 1;
  for (int64_t i = 0; i < n; i += per) {
    unsigned b = 0;
    for (int j = 0; j < per && i + j < n; j++)
      b |= (src[i + j] & mask) << (j * bits);
    d[i / per] = (uint8_t)b;
  }
}

/* n codes from place s of src to place d of dst. */
static void copy_codes(int bits, void *dst, int64_t d, const void *src,
                       int64_t s, int64_t n) {
  int per = 8 / bits;
  while (n > 0 && d % per != 0) {
    gs_assert(d >= 0 && s >= 0);
    gs_code_put(bits, dst, d++, gs_code_get(bits, src, s++));
    n--;
  }
  if (s % per == 0 && n >= per) {
    memcpy((uint8_t *)dst + d / per, (const uint8_t *)src + s / per,
           (size_t)(n / per));
    int64_t done = n / per * per;
    d += done;
    s += done;
    n -= done;
  }
  while (n-- > 0) gs_code_put(bits, dst, d++, gs_code_get(bits, src, s++));
}

void gs_packed_copy(int bits, int rank, const int64_t *count, const void *src,
                    const int64_t *sdims, const int64_t *sfirst, void *dst,
                    const int64_t *ddims, const int64_t *dfirst) {
  gs_assert(rank >= 0 && rank <= GS_MAX_RANK);
  int64_t n = gs_product(count, rank);
  if (n <= 0) return;
  int64_t run = rank ? count[rank - 1] : 1, at[GS_MAX_RANK + 1] = {0};
  for (int64_t done = 0; done < n; done += run) {
    int64_t s = 0, d = 0;
    for (int i = 0; i < rank; i++) {
      s = s * sdims[i] + at[i] + (sfirst ? sfirst[i] : 0);
      d = d * ddims[i] + at[i] + (dfirst ? dfirst[i] : 0);
    }
    copy_codes(bits, dst, d, src, s, run);
    for (int i = rank - 2; i >= 0; i--) {
      if (++at[i] < count[i]) break;
      at[i] = 0;
    }
  }
}
