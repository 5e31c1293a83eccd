// Pairs of bfloat16 as factors of the products (panel_product.h), with sums in float32: vdpbf16ps, twice the rate of
// float32. A slot holds two numbers of a sum that follow each other, the first one in its lower half.
//
// Each number is rounded once, to nearest even: 2^-9 of itself at most. Below 2^-126 in size it counts as zero.
#pragma once

#include "core/simd.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace pinn {

template <typename V>
struct Bfloat16Pairs;

#ifdef __AVX512BF16__
template <>
struct Bfloat16Pairs<Vec<Isa::avx512_bf16, float>> {
  using Sum = Vec<Isa::avx512_bf16, float>;
  using Vector = __m512bh;
  static constexpr std::int64_t kDepth = 2, kPanelNumbers = 2 * Sum::size;

  PINN_INLINE static Vector load(const float* p) { return bits<Vector>(_mm512_loadu_si512(p)); }
  PINN_INLINE static Vector broadcast(const float* p) {
    int pair;
    std::memcpy(&pair, p, sizeof pair);
    return bits<Vector>(_mm512_set1_epi32(pair));
  }
  PINN_INLINE static void add_product(Sum& sum, Vector a, Vector b) {
    sum.raw = bits<Sum::Raw>(_mm512_dpbf16_ps(bits<__m512>(sum.raw), a, b));
  }

  static std::int64_t room(std::int64_t features, std::int64_t num_rows) {
    return num_panels(features) * ((num_rows + 1) / 2) * kPanelNumbers;
  }

  // [panels][num_rows][P] -> [panels][num_rows / 2][P]; of an odd number of rows the last is paired with zeros. `to`
  // may be `panels` where there is one.
  static const float* over_rows(const float* panels, std::int64_t features, std::int64_t num_rows, float* to) {
    const float *from = panels, *begin = to;
    const Sum zero(0.0F);
    for (; features > 0; features -= kPanelNumbers, from += num_rows * kPanelNumbers)
      for (std::int64_t r = 0; r < num_rows; r += 2, to += kPanelNumbers)
        for (std::int64_t v = 0; v < kPanelNumbers && v < features; v += Sum::size) {
          const float* row = from + r * kPanelNumbers + v;
          const __m512i pair = rounded(Sum::load(row), r + 1 < num_rows ? Sum::load(row + kPanelNumbers) : zero);
          _mm512_storeu_si512(to + v, _mm512_permutexvar_epi16(_mm512_load_si512(kInterleaved), pair));
        }
    return begin;
  }

  // [panels][num_rows][P] -> [panels][num_rows][P / 2].
  static const float* over_features(const float* panels, std::int64_t features, std::int64_t num_rows, float* to) {
    const std::int64_t rows = num_panels(features) * num_rows;
    for (std::int64_t r = 0; r < rows; ++r, panels += kPanelNumbers)
      _mm512_storeu_si512(to + r * Sum::size, rounded(Sum::load(panels), Sum::load(panels + Sum::size)));
    return to;
  }

 private:
  alignas(64) static constexpr std::uint16_t kInterleaved[] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                               21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                               11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

  static std::int64_t num_panels(std::int64_t features) { return (features + kPanelNumbers - 1) / kPanelNumbers; }

  // The numbers of one vector, then those of the other.
  PINN_INLINE static __m512i rounded(Sum first, Sum second) {
    return bits<__m512i>(_mm512_cvtne2ps_pbh(bits<__m512>(second.raw), bits<__m512>(first.raw)));
  }

  template <typename To, typename From>
  PINN_INLINE static To bits(From from) {
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
  }
};
#endif

}  // namespace pinn
