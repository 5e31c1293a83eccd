// One pass over A for each pivot: products with the new directions, down-dated norms, constraints, the best of a block.
//
// A warp reads 32 adjacent columns row after row. Only columns of candidates that may still be chosen are read.
#pragma once

#include "selection/pivot_block_cuda.h"

namespace pinn::pivot_cuda {

// Sum of the squares of `count` products of rows [count, r] with a column. All threads call it, with a column or not.
template <int count, typename T>
__device__ __forceinline__ double squares_of_products(const double* rows, int64_t r, const T* a, int64_t stride,
                                                      bool there, double* stage) {
  double sum[count];
  for (int d = 0; d < count; ++d) sum[d] = 0;
  for (int64_t start = 0; start < r; start += kStage) {
    const int length = static_cast<int>(r - start < kStage ? r - start : kStage);
    __syncthreads();
    for (int e = thread(); e < count * length; e += kThreads)
      stage[e % length * count + e / length] = rows[e / length * r + start + e % length];
    __syncthreads();
    if (!there) continue;
#pragma unroll 8
    for (int i = 0; i < length; ++i) {
      const double x = static_cast<double>(a[(start + i) * stride]);
#pragma unroll
      for (int d = 0; d < count; ++d) sum[d] += stage[i * count + d] * x;
    }
  }
  double squares = 0;
  for (int d = 0; d < count; ++d) squares += sum[d] * sum[d];
  return squares;
}

// The same for any number of rows; A is read once for every kDirections of them.
template <typename T>
__device__ __forceinline__ double squares_of_products(const double* rows, int64_t count, int64_t r, const T* a,
                                                      int64_t stride, bool there, double* stage) {
  double squares = 0;
  for (; count >= kDirections; count -= kDirections, rows += kDirections * r)
    squares += squares_of_products<kDirections>(rows, r, a, stride, there, stage);
  for (; count > 0; --count, rows += r) squares += squares_of_products<1>(rows, r, a, stride, there, stage);
  return squares;
}

// f(column, whether this thread has one) until all columns of the block are through; all threads call f together.
template <typename T, typename F>
__device__ __forceinline__ void for_each_column(const Pivoting<T>& p, const F& f) {
  const int64_t c = p.op.size.c, block = blockIdx.x;
  const int64_t end = p.last_candidate(block) * c;
  for (int64_t base = p.first_candidate(block) * c; base < end; base += kThreads)
    f(base + thread(), base + thread() < end);
}

// Lengths of all columns. Of each block: the largest candidate that is allowed, and -1 where a number is not finite.
template <typename T>
__global__ void __launch_bounds__(kThreads) measure_kernel(Pivoting<T> p) {
  double* const partial = static_cast<double*>(dynamic_shared()) + kStage * kDirections;
  const PivotedQr<T>& op = p.op;
  const int64_t c = op.size.c, block = blockIdx.x;
  for_each_column(p, [&](int64_t e, bool there) {
    if (!there) return;
    double square = 0;
#pragma unroll 8
    for (int64_t i = 0; i < op.size.r; ++i) {
      const double x = static_cast<double>(op.a[i * p.columns + e]);
      square += x * x;
    }
    p.value[e] = p.measured[e] = square;
  });
  __syncthreads();
  Best largest{0, -1};  // as a best of positive numbers
  bool finite = true;
  for (int64_t j = p.first_candidate(block) + thread(); j < p.last_candidate(block); j += kThreads) {
    double sum = 0;
    for (int64_t e = j * c; e < (j + 1) * c; ++e) sum += p.value[e];
    const bool excluded = op.region != nullptr && op.quota[op.region[j]] == 0;
    p.blocked[j] = (op.forbidden != nullptr && op.forbidden[j] != 0) || excluded ? 1 : 0;
    finite = finite && sum - sum == 0;
    if (p.blocked[j] == 0) largest.reduce_max(sum, j);
  }
  const bool wrong = any_of_block(!finite, partial);
  largest = best_of_block(largest, partial);
  if (thread() == 0) {
    p.best_score[block] = largest.score;
    p.best[block] = wrong ? -1 : 0;
  }
}

// The norm of a column in full, by the whole block: it has been copied, its part in the span is taken out.
template <typename T>
__device__ __forceinline__ void recompute_norm(const Pivoting<T>& p, const State& state, int64_t e, double* partial) {
  const int64_t r = p.op.size.r, block = blockIdx.x;
  double* const column = p.column + block * r;
  for (int64_t i = thread(); i < r; i += kThreads) column[i] = static_cast<double>(p.op.a[i * p.columns + e]);
  __syncthreads();
  const double square = project_out(p.basis, state.num_basis, r, column, p.projection + block * p.capacity, partial);
  const double rounding = p.op.size.tolerance * state.largest;
  if (thread() != 0) return;
  p.value[e] = square;
  p.measured[e] = square > rounding * rounding ? square : 0;  // what is rounding is not looked at again
}

template <typename T>
__global__ void __launch_bounds__(kThreads) pass_kernel(Pivoting<T> p) {
  double* const stage = static_cast<double*>(dynamic_shared());  // [kStage, kDirections]
  double* const partial = stage + kStage * kDirections;
  const PivotedQr<T>& op = p.op;
  const State state = *p.state;
  if (state.phase == Phase::done || state.chosen == op.size.k) return;
  const int64_t r = op.size.r, c = op.size.c, block = blockIdx.x;

  for (int64_t j = p.first_candidate(block) + thread(); j < p.last_candidate(block); j += kThreads) {
    bool excluded = op.region != nullptr && p.left[op.region[j]] == 0;
    if (op.position != nullptr)
      for (int64_t s = state.constrained; s < state.chosen; ++s)
        excluded = excluded || too_near(op.size, op.position, j, op.pivot[s]);
    if (excluded) p.blocked[j] = 1;
  }
  __syncthreads();

  const bool beyond = state.phase == Phase::beyond_rank;
  const double* const directions = beyond ? p.direction : p.basis;
  bool cancelled = false;
  for_each_column(p, [&](int64_t e, bool there) {
    there = there && p.blocked[e / c] == 0;
    const T* const a = op.a + e;
    double value = 0;
    if (state.measure) {
      value = squares_of_products(p.frame, state.num_basis, r, a, p.columns, there, stage);
    } else if (there) {
      value = p.value[e];
    }
    value -= squares_of_products(directions + state.applied * r, state.num_directions - state.applied, r, a, p.columns,
                                 there, stage);
    if (!there) return;
    value = value > 0 ? value : 0;
    cancelled = cancelled || (!beyond && value < kCancelled * p.measured[e]);
    p.value[e] = value;
  });
  // The barriers in there also show the values of all columns to all threads.
  if (any_of_block(cancelled, partial))
    for (int64_t e = p.first_candidate(block) * c; e < p.last_candidate(block) * c; ++e) {
      if (p.blocked[e / c] == 0 && p.value[e] < kCancelled * p.measured[e]) recompute_norm(p, state, e, partial);
      __syncthreads();
    }
  const Best best = best_candidate(p, state, block, partial);
  if (thread() == 0) {
    p.best_score[block] = best.score;
    p.best[block] = best.candidate;
  }
}

}  // namespace pinn::pivot_cuda
