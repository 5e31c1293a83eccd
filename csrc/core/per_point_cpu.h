// A coefficient in vectors of points.
#pragma once

#include "core/per_point.h"
#include "core/simd.h"

namespace pinn {

// At the points from `point` on, of which `left` are there; beyond them zeros.
template <typename V, typename T>
PINN_INLINE V load_coefficient(const PerPoint<T>& a, int column, std::int64_t point, std::int64_t left) {
  if (a.numbers == nullptr) return V(T(0));
  if (!a.per_point) return V(a.numbers[column]);
  return V::gather(a.numbers + point * a.columns + column, a.columns, left);
}

}  // namespace pinn
