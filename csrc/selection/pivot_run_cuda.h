// A choice on the GPU: launches without a look at what the last one found, and what one block does between two passes:
// the best of all blocks, its new directions, what is chosen and what is excluded.
//
// launch(name, kernel, blocks, threads, shared bytes, arguments ...) is CUDA's (core/cuda_launch.h) or, in tests/cpp,
// an emulation on the host. Once k are chosen, or nothing is left, the kernels that follow return at once.
#pragma once

#include "selection/pivot_leverage_cuda.h"
#include "selection/pivot_pass_cuda.h"

namespace pinn::pivot_cuda {

template <typename T>
__device__ __forceinline__ void report(const Pivoting<T>& p, PivotStatus status, const State& state) {
  if (thread() != 0) return;
  *p.state = state;
  p.op.report[kStatus] = static_cast<int64_t>(status);
  p.op.report[kChosen] = state.chosen;
  p.op.report[kRank] = state.rank;
}

// After the measurement: whether there is anything to choose.
template <typename T>
__global__ void __launch_bounds__(kAcceptThreads) start_kernel(Pivoting<T> p) {
  double* const partial = static_cast<double*>(dynamic_shared());
  Best largest{0, -1};
  bool wrong = false;
  for (int64_t b = thread(); b < p.blocks; b += threads()) {
    wrong = wrong || p.best[b] < 0;
    largest.reduce_max(p.best_score[b], b);
  }
  wrong = any_of_block(wrong, partial);
  largest = best_of_block(largest, partial);
  for (int64_t i = thread(); i < p.op.size.num_regions; i += threads()) p.left[i] = p.op.quota[i];
  State state{};
  state.largest = ::sqrt(largest.score);
  PivotStatus status = PivotStatus::ok;
  if (wrong)
    status = PivotStatus::not_finite;
  else if (!(largest.score >= kSmallest))
    status = PivotStatus::too_small;
  state.phase = status == PivotStatus::ok ? Phase::pivoting : Phase::done;
  report(p, status, state);
}

// Adds the directions of candidate j whose length is above the rounding level, the longest first. Returns its residual
// norm, or 0 where that is no more.
template <typename T>
__device__ __forceinline__ double append(const Pivoting<T>& p, State& state, int64_t j, double* partial) {
  const int64_t r = p.op.size.r, c = p.op.size.c;
  const double rounding = p.op.size.tolerance * state.largest;
  for (int64_t e = thread(); e < c * r; e += threads())
    p.vectors[e] = static_cast<double>(p.op.a[e % r * p.columns + j * c + e / r]);
  __syncthreads();
  const auto orthogonal = [&](int64_t i) {  // twice is enough
    project_out(p.basis, state.num_basis, r, p.vectors + i * r, p.coefficient, partial);
    const double square = project_out(p.basis, state.num_basis, r, p.vectors + i * r, p.coefficient, partial);
    if (thread() == 0) p.square[i] = square;
    return square;
  };
  double sum = 0;
  for (int64_t i = 0; i < c; ++i) sum += orthogonal(i);
  if (!(::sqrt(sum) > rounding)) return 0;
  for (;;) {
    __syncthreads();
    int64_t longest = 0;
    for (int64_t i = 1; i < c; ++i)
      if (p.square[i] > p.square[longest]) longest = i;
    const double length = ::sqrt(p.square[longest] > 0 ? p.square[longest] : 0);
    if (!(length > rounding) || state.num_basis == r) break;
    for (int64_t i = thread(); i < r; i += threads())
      p.basis[state.num_basis * r + i] = p.vectors[longest * r + i] / length;
    if (thread() == 0) p.source[state.num_basis] = j * c + longest;
    ++state.num_basis;
    __syncthreads();
    if (thread() == 0) p.square[longest] = -1;
    for (int64_t i = 0; i < c; ++i) {
      __syncthreads();
      if (p.square[i] >= 0) orthogonal(i);
    }
  }
  return ::sqrt(sum);
}

template <typename T>
__device__ __forceinline__ void accept_pivot(const Pivoting<T>& p, State& state, int64_t j, double length) {
  if (thread() == 0) {
    p.op.pivot[state.chosen] = j;
    p.op.r_diagonal[state.chosen] = length;
    p.blocked[j] = 1;
    if (p.op.region != nullptr) --p.left[p.op.region[j]];
  }
  ++state.chosen;
  if (length > 0) ++state.rank;
}

template <typename T>
__device__ __forceinline__ Best best_of_all(const Pivoting<T>& p, double* partial) {
  Best best{no_score(), -1};
  for (int64_t b = thread(); b < p.blocks; b += threads()) best.reduce_max(p.best_score[b], p.best[b]);
  return best_of_block(best, partial);
}

// Its residual is at the rounding level after all: it is out of QR, and its block has another best.
template <typename T>
__device__ __forceinline__ void exclude(const Pivoting<T>& p, const State& state, int64_t j, double* partial) {
  const int64_t c = p.op.size.c, block = j / p.width;
  for (int64_t e = j * c + thread(); e < (j + 1) * c; e += threads()) p.value[e] = p.measured[e] = 0;
  __syncthreads();
  const Best best = best_candidate(p, state, block, partial);
  if (thread() == 0) {
    p.best_score[block] = best.score;
    p.best[block] = best.candidate;
  }
  __syncthreads();
}

// forced: the number of a forced candidate; -1: the best after a pass.
template <typename T>
__global__ void __launch_bounds__(kAcceptThreads) accept_kernel(Pivoting<T> p, int64_t forced) {
  double* const partial = static_cast<double*>(dynamic_shared());
  State state = *p.state;
  __syncthreads();  // all have read it
  if (state.phase == Phase::done || state.chosen == p.op.size.k) return;
  if (forced >= 0) {
    const int64_t j = p.op.forced[forced];
    accept_pivot(p, state, j, append(p, state, j, partial));
    state.num_directions = state.num_basis;
    return report(p, PivotStatus::ok, state);
  }
  state.applied = state.num_directions;
  state.constrained = state.chosen;
  state.measure = false;
  Best best = best_of_all(p, partial);
  if (state.phase == Phase::beyond_rank) {
    if (best.candidate < 0) {
      state.phase = Phase::done;
      return report(p, PivotStatus::exhausted, state);
    }
    for (int64_t i = 0; i < p.op.size.c; ++i) add_to_leverage(p, state, best.candidate * p.op.size.c + i, partial);
    accept_pivot(p, state, best.candidate, 0);
    return report(p, PivotStatus::ok, state);
  }
  for (; best.candidate >= 0; best = best_of_all(p, partial)) {
    const double length = append(p, state, best.candidate, partial);
    if (length > 0) {
      accept_pivot(p, state, best.candidate, length);
      state.num_directions = state.num_basis;
      return report(p, PivotStatus::ok, state);
    }
    exclude(p, state, best.candidate, partial);
  }
  begin_leverage(p, state, partial);
  report(p, PivotStatus::ok, state);
}

template <typename T, typename Launch>
void run_pivoting(const PivotedQr<T>& op, const Launch& launch, int accept_threads = kAcceptThreads) {
  Pivoting<T> p{};
  p.op = op;
  place_workspace(p);
  const int blocks = static_cast<int>(p.blocks);
  launch("pivoted_qr measure", &measure_kernel<T>, blocks, kThreads, kPassBytes, p);
  launch("pivoted_qr start", &start_kernel<T>, 1, accept_threads, kAcceptBytes, p);
  for (int64_t i = 0; i < op.size.num_forced; ++i)
    launch("pivoted_qr accept", &accept_kernel<T>, 1, accept_threads, kAcceptBytes, p, i);
  // One step more than pivots: that which finds the rank's end takes none.
  for (int64_t i = op.size.num_forced; i <= op.size.k; ++i) {
    launch("pivoted_qr pass", &pass_kernel<T>, blocks, kThreads, kPassBytes, p);
    launch("pivoted_qr accept", &accept_kernel<T>, 1, accept_threads, kAcceptBytes, p, int64_t{-1});
  }
}

}  // namespace pinn::pivot_cuda
