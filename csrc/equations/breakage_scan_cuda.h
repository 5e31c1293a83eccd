// One time of the breakage residual on the GPU, forward and backward: a thread scans all its nodes, so that the sum has
// the order of the definition. Its source also runs on the host (tests/cpp/breakage_kernels.cpp).
#pragma once

#include "equations/breakage_piece.h"
#include "equations/breakage_residual.h"

namespace pinn {

using std::int64_t;

template <typename T>
__device__ T breakage_last_tail(const BreakageGrid<T>& a, int64_t time) {
  return a.log_tail == nullptr ? T(0) : exp_of(a.log_tail[time] - a.g[(time + 1) * a.nodes - 1]);
}

// f(node, tail at the node), the largest volume first.
template <typename T, typename F>
__device__ void for_each_breakage_tail(const BreakageGrid<T>& a, int64_t time, const F& f) {
  const T* g = a.g + time * a.nodes;
  T tail = breakage_last_tail(a, time);
  f(a.nodes - 1, tail);
  for (int64_t i = a.nodes - 2; i >= 0; --i) {
    const auto p = breakage_step<T, T>(g[i], g[i + 1], a.weight[i], a.weight[i + 1], a.step[i]);
    tail = p.own + p.growth * tail;
    f(i, tail);
  }
}

template <typename T>
__device__ void breakage_residual_of_time(const BreakageResidual<T>& a, int64_t time) {
  const int64_t at = time * a.grid.nodes;
  for_each_breakage_tail(
      a.grid, time, [&](int64_t i, T tail) { a.out[at + i] = a.g_t[at + i] + a.rate[i] - a.grid.scale[i] * tail; });
}

// v_g holds the tails until they are read.
template <typename T>
__device__ void breakage_backward_of_time(const BreakageResidualBackward<T>& a, int64_t time) {
  const BreakageGrid<T>& grid = a.grid;
  const int64_t at = time * grid.nodes, pieces = grid.nodes - 1;
  const T *g = grid.g + at, *weight = grid.weight, *v_out = a.v_out + at;
  T *v_g = a.v_g + at, *v_weight = a.v_weight == nullptr ? nullptr : a.v_weight + at;
  for_each_breakage_tail(grid, time, [&](int64_t i, T tail) {
    v_g[i] = tail;
    if (v_weight != nullptr) a.v_scale[at + i] = -v_out[i] * tail;
  });
  T lambda = -grid.scale[0] * v_out[0], before = T(0), weight_before = T(0);
  for (int64_t i = 0; i < pieces; ++i) {
    const auto p = breakage_slopes<T, T>(g[i], g[i + 1], weight[i], weight[i + 1], grid.step[i], v_g[i + 1]);
    const T v_rise = lambda * p.rise;
    v_g[i] = before - v_rise;
    before = v_rise;
    if (v_weight != nullptr) {
      v_weight[i] = weight_before + lambda * p.w0;
      weight_before = lambda * p.w1;
    }
    lambda = p.growth * lambda - grid.scale[i + 1] * v_out[i + 1];
  }
  const T v_log_tail = lambda * breakage_last_tail(grid, time);
  v_g[pieces] = before - v_log_tail;
  if (a.v_log_tail != nullptr) a.v_log_tail[time] = v_log_tail;
  if (v_weight != nullptr) v_weight[pieces] = weight_before;
}

}  // namespace pinn
