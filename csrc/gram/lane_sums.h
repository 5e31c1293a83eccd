// The sums of the lanes of many vectors, as one vector: halves of two vectors are added at a time, so that a vector
// costs two shuffles and an addition, and not a chain of its own.
#pragma once

#include <utility>

#include "core/simd.h"

namespace pinn::gram {

// Lanes of two halves of a, and of b, in turn: (a0 + ah, b0 + bh, a1 + a(h + 1), ...), h = size / 2.
template <typename V, int... lane>
PINN_INLINE V add_halves(V a, V b, std::integer_sequence<int, lane...>) {
  constexpr int size = V::size;
  return V(__builtin_shufflevector(a.raw, b.raw, (lane / 2 + lane % 2 * size)...)) +
         V(__builtin_shufflevector(a.raw, b.raw, (size / 2 + lane / 2 + lane % 2 * size)...));
}

// Where the sum of vector `index` of `size` lies: the first to meet differ in the highest bit.
PINN_INLINE constexpr int lane_of_sum(int index, int size) {
  int lane = 0;
  for (int bit = 1; bit < size; bit *= 2) lane = 2 * lane + (index & bit ? 1 : 0);
  return lane;
}

// v[0] becomes the sums of `count` vectors, at most V::size of them; `spread` lanes of each are left to add.
template <typename V, int count, int spread = V::size>
PINN_INLINE void lane_sums(V* v) {
  if constexpr (spread > 1) {
#pragma GCC unroll 16
    for (int i = 0; i < count / 2; ++i)
      v[i] = add_halves(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, V::size>{});
    if constexpr (count % 2 == 1)
      v[count / 2] = add_halves(v[count - 1], V(typename V::Scalar(0)), std::make_integer_sequence<int, V::size>{});
    lane_sums<V, (count + 1) / 2, spread / 2>(v);
  }
}

}  // namespace pinn::gram
