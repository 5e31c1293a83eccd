// The streams of a jet, [streams, points, features] in memory.
//
//   stream 0                  value
//   stream 1 + j              first derivative by coordinate first[j]
//   stream 1 + num_first      sum_j weight[j] * second derivative by first[j], where there is a Laplacian
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace pinn {

inline constexpr int kMaxCoordinates = 8;
inline constexpr int kMaxStreams = kMaxCoordinates + 2;

struct JetStreams {
  int num_first;
  bool has_laplacian;
  int first[kMaxCoordinates];
  double weight[kMaxCoordinates];  // zero for a coordinate outside the Laplacian

  PINN_HD int laplacian() const { return 1 + num_first; }
  PINN_HD int count() const { return 1 + num_first + (has_laplacian ? 1 : 0); }
};

}  // namespace pinn
