// Columns of a few rows at a time, packed so that a block of products reads one run of memory:
//
//   packed [panels of kRows rows][steps of V::size columns][kRows][V::size]
//
// Rows that lie a power of two apart would share few places of the cache.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/simd.h"

namespace pinn::gram {

using std::int64_t;

PINN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of a panel. kRows^2 sums, kRows vectors of one panel and one of the other fill the registers: 32 with AVX-512,
// 16 else.
template <Isa isa>
inline constexpr int kRows = isa == Isa::avx512 ? 5 : 3;

template <Isa isa, typename S>
inline constexpr int64_t kStep = kRows<isa> * Vec<isa, S>::size;  // numbers of a step of a panel

template <typename V, typename In>
PINN_INLINE V load_as(const In* p, int64_t count) {
  using S = typename V::Scalar;
  if constexpr (std::is_same_v<In, S>) return count >= V::size ? V::load(p) : V::load(p, count);
  S lanes[V::size];
  if (count >= V::size)
    for (int j = 0; j < V::size; ++j) lanes[j] = static_cast<S>(p[j]);
  else
    for (int j = 0; j < V::size; ++j) lanes[j] = j < count ? static_cast<S>(p[j]) : S(0);
  return V::load(lanes);
}

// The columns a [r, count], a row every `stride` numbers; zeros up to the last step's end and the last panel's.
// change(step, x) sees, and may change, the kRows vectors of each step before they are stored.
template <Isa isa, typename In, typename S, typename Change>
PINN_INLINE void pack(const In* a, int64_t stride, int64_t r, int64_t count, int64_t steps, S* packed,
                      const Change& change) {
  using V = Vec<isa, S>;
  constexpr int R = kRows<isa>;
  for (int64_t first = 0; first < r; first += R, a += R * stride) {
    const int rows = static_cast<int>(std::min<int64_t>(R, r - first));
    for (int64_t s = 0; s < steps; ++s, packed += kStep<isa, S>) {
      const int64_t left = count - s * V::size;
      V x[R];
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i)
        x[i] = i < rows && left > 0 ? load_as<V>(a + i * stride + s * V::size, left) : V(S(0));
      change(s, x);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) x[i].store(packed + i * V::size);
    }
  }
}

}  // namespace pinn::gram
