// Pivoted QR that stops at k: the contract.
//
//   A [r, n, c], row after row: n candidates, c columns each (one sensor measures all of its c components)
//   pivot s = argmax_j score_j,   score_j = weight_j |res_j| - cost_j,   ties to the lowest j
//   |res_j|^2 = sum over the candidate's c columns of |a - Q Q' a|^2,    Q: what has been chosen, orthonormal
//
// A candidate whose residual is at rounding level, |res_j| <= tolerance * (largest |a_j| that is allowed), adds nothing
// to the span. Where no other is left, `rank` pivots have been chosen, and those that follow are greedily D-optimal,
// within the span (Saito et al., IEEE Access 9 (2021) 68535):
//
//   score_j = weight_j sqrt(g_j) - cost_j / (largest |a_j|),  g_j = sum over the c columns of a' M^-1 a,
//   M = sum over the chosen of weight^2 a a'
//
// Neither the trailing matrix nor Q's product with it is ever formed; A is only read.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/run.h"

namespace pinn {

struct PivotSize {
  std::int64_t r, n, c;
  std::int64_t k;
  std::int64_t num_forced;   // <= k
  std::int64_t num_regions;  // labels are below it
  std::int64_t d;            // coordinates of a position
  double min_distance;       // > 0 where there are positions
  double tolerance;          // relative to the largest |a_j| allowed
};

// Whether candidates j and `chosen` are nearer than min_distance; position [n, d].
PINN_HD bool too_near(const PivotSize& size, const double* position, std::int64_t j, std::int64_t chosen) {
  double square = 0;
  for (std::int64_t i = 0; i < size.d; ++i) {
    const double step = position[j * size.d + i] - position[chosen * size.d + i];
    square += step * step;
  }
  return square < size.min_distance * size.min_distance;
}

enum class PivotStatus : std::int64_t {
  ok = 0,
  not_finite = 1,  // a NaN or an infinity in A, or squares that overflow; nothing was chosen
  too_small = 2,   // squares underflow, or all columns are zero; nothing was chosen
  exhausted = 3,   // the constraints left fewer than k; `chosen` pivots stand in the output
};

// What a choice reports.
inline constexpr int kStatus = 0, kChosen = 1, kRank = 2, kPivotReport = 3;

template <typename T>
struct PivotedQr {
  const T* a;                     // [r, n, c]
  const T* weight;                // [n], > 0 where allowed, or null
  const T* cost;                  // [n] or null
  const std::uint8_t* forbidden;  // [n] or null; a forced one is not forbidden
  const std::int64_t* forced;     // [num_forced], distinct; chosen first, in this order
  const double* position;         // [n, d] or null: none nearer than min_distance to a chosen one
  const std::int64_t* region;     // [n] or null
  const std::int64_t* quota;      // [num_regions]: the most that a region may have
  // outputs
  std::int64_t* pivot;   // [k]
  double* r_diagonal;    // [k]: |res| when it was chosen, without weight; 0 where at rounding level, and beyond rank
  std::int64_t* report;  // [kPivotReport]
  PivotSize size;
  void* workspace;  // CUDA only: cuda_pivot_workspace_bytes()
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const PivotedQr<T>&);

template <typename T>
void run_on_cuda(const PivotedQr<T>&, Stream);  // all pointers on the device, outputs and report too

std::int64_t cuda_pivot_workspace_bytes(const PivotSize& size, bool float64);

}  // namespace pinn
