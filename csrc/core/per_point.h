// A coefficient of an equation: numbers of its own for each point, or the same for all.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace pinn {

template <typename T>
struct PerPoint {
  const T* numbers;  // [n, columns] or [columns], or null: zeros
  int columns;
  bool per_point;

  PINN_HD T at(std::int64_t point, int column) const {
    return numbers == nullptr ? T(0) : numbers[(per_point ? point * columns : 0) + column];
  }
};

}  // namespace pinn
