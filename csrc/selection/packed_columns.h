// Columns packed into tiles, their squares, and their products with directions: vectors of columns.
//
// A product of a column with a direction is a chain of r fused multiply-adds in a lane of its own: what a column has
// does not depend on those beside it.
#pragma once

#include <algorithm>

#include "core/simd.h"
#include "selection/norm_bounds.h"

namespace pinn::pivots {

// Directions at once: products stay in registers (32 of them with AVX-512, 16 else).
template <Isa isa>
inline constexpr int kDirections = isa == Isa::avx512 ? 12
                                   : isa == Isa::avx2 ? 3
                                                      : 1;
template <Isa isa, typename S>
inline constexpr int kVectors = static_cast<int>(kTile<S> / Vec<isa, S>::size);

// products[d][lane] = direction d . column, for `count` directions. Few of them go through even and odd rows apart: a
// single chain of additions would wait for itself.
template <Isa isa, typename S, int count>
PINN_INLINE void multiply(const S* tile, const S* direction, int64_t r, S* products) {
  using V = Vec<isa, S>;
  constexpr int vectors = kVectors<isa, S>, chains = count * vectors <= 6 ? 2 : 1;
  V sum[chains][count][vectors];
#pragma GCC unroll 16
  for (int h = 0; h < chains; ++h)
#pragma GCC unroll 16
    for (int d = 0; d < count; ++d)
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) sum[h][d][v] = V(S(0));
  const auto add_row = [&](int64_t i, V(&to)[count][vectors]) {
    V a[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) a[v] = V::load(tile + i * kTile<S> + v * V::size);
#pragma GCC unroll 16
    for (int d = 0; d < count; ++d) {
      const V q(direction[d * r + i]);
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) to[d][v] += q * a[v];
    }
  };
  int64_t i = 0;
  for (; i + chains <= r; i += chains)
#pragma GCC unroll 16
    for (int h = 0; h < chains; ++h) add_row(i + h, sum[h]);
  if (i < r) add_row(i, sum[0]);
#pragma GCC unroll 16
  for (int d = 0; d < count; ++d)
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      V total = sum[0][d][v];
      if constexpr (chains == 2) total += sum[1][d][v];
      total.store(products + d * kTile<S> + v * V::size);
    }
}

template <Isa isa, typename S, int count>
void multiply_up_to(int wanted, const S* tile, const S* direction, int64_t r, S* products) {
  if constexpr (count > 1) {
    if (wanted < count) return multiply_up_to<isa, S, count - 1>(wanted, tile, direction, r, products);
  }
  multiply<isa, S, count>(tile, direction, r, products);
}

// value += sign * (direction . column)^2, direction after direction.
template <Isa isa, typename S>
void add_squares(const S* tile, const S* direction, int64_t count, int64_t r, S sign, S* value) {
  using V = Vec<isa, S>;
  constexpr int group = kDirections<isa>;
  alignas(64) S products[group * kTile<S>];
  for (int64_t first = 0; first < count; first += group) {
    const int some = static_cast<int>(std::min<int64_t>(group, count - first));
    multiply_up_to<isa, S, group>(some, tile, direction + first * r, r, products);
    for (int v = 0; v < kVectors<isa, S>; ++v) {
      V x = V::load(value + v * V::size);
      for (int d = 0; d < some; ++d) {
        const V p = V::load(products + d * kTile<S> + v * V::size);
        x += V(sign) * p * p;
      }
      x.store(value + v * V::size);
    }
  }
}

template <Isa isa, typename S>
void squares(const S* tile, int64_t r, S* value) {
  using V = Vec<isa, S>;
  constexpr int vectors = kVectors<isa, S>;
  V sum[vectors];
#pragma GCC unroll 16
  for (int v = 0; v < vectors; ++v) sum[v] = V(S(0));
  for (int64_t i = 0; i < r; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      const V a = V::load(tile + i * kTile<S> + v * V::size);
      sum[v] += a * a;
    }
  for (int v = 0; v < vectors; ++v) sum[v].store(value + v * V::size);
}

// The tiles from column `begin` on; zeros from `end` on. A few rows side by side: each is on a page of its own, where
// the hardware looks ahead along as many streams (4 rows: 1.4 times as fast as one, 100 x 262,144).
template <Isa isa, typename In, typename S>
void pack(const Columns<In>& columns, int64_t begin, int64_t end, int64_t tiles, S* packed) {
  constexpr int64_t kRows = 4;
  const int64_t whole = std::min((end - begin) / kTile<S>, tiles);
  for (int64_t first = 0; first < columns.r; first += kRows) {
    const int64_t last = std::min(first + kRows, columns.r);
    for (int64_t t = 0; t < whole; ++t)
      for (int64_t i = first; i < last; ++i) {
        const In* in = columns.a + i * columns.stride + begin + t * kTile<S>;
        S* out = packed + (t * columns.r + i) * kTile<S>;
        for (int64_t j = 0; j < kTile<S>; ++j) out[j] = static_cast<S>(in[j]);
      }
    for (int64_t t = whole; t < tiles; ++t)
      for (int64_t i = first; i < last; ++i) {
        const In* in = columns.a + i * columns.stride;
        S* out = packed + (t * columns.r + i) * kTile<S>;
        for (int64_t j = 0, from = begin + t * kTile<S>; j < kTile<S>; ++j, ++from)
          out[j] = from < end ? static_cast<S>(in[from]) : S(0);
      }
  }
}

}  // namespace pinn::pivots
