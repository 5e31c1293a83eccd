// What the threads of a block do together, in a fixed order: sums, products with rows, the best candidate.
//
// All threads of the block call these, whole warps; `partial` is shared memory of two numbers for each warp.
#pragma once

#include "core/cuda_block.h"
#include "selection/pivot_plan_cuda.h"

namespace pinn::pivot_cuda {

__device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int threads() { return static_cast<int>(blockDim.x); }
__device__ __forceinline__ double no_score() { return -HUGE_VAL; }

__device__ __forceinline__ double sum_of_warp(double number) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) number += lane_exchange(number, mask);
  return number;
}

__device__ __forceinline__ double sum_of_block(double number, double* partial) {
  number = sum_of_warp(number);
  __syncthreads();
  if (thread() % kWarp == 0) partial[thread() / kWarp] = number;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < threads() / kWarp; ++w) sum += partial[w];
  return sum;
}

__device__ __forceinline__ bool any_of_block(bool flag, double* partial) {
  __syncthreads();
  if (thread() == 0) partial[0] = 0;
  __syncthreads();
  if (flag) partial[0] = 1;
  __syncthreads();
  return partial[0] > 0;
}

struct Best {
  double score;
  int64_t candidate;  // -1: none

  __device__ __forceinline__ void reduce_max(double other, int64_t by) {
    if (by >= 0 && (candidate < 0 || other > score || (other == score && by < candidate)))
      score = other, candidate = by;
  }
};

__device__ __forceinline__ Best best_of_block(Best best, double* partial) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const double score = lane_exchange(best.score, mask);
    const int64_t candidate = lane_exchange(best.candidate, mask);
    best.reduce_max(score, candidate);
  }
  const int warps = threads() / kWarp;
  int64_t* const candidates = reinterpret_cast<int64_t*>(partial + warps);
  __syncthreads();
  if (thread() % kWarp == 0) {
    partial[thread() / kWarp] = best.score;
    candidates[thread() / kWarp] = best.candidate;
  }
  __syncthreads();
  for (int w = 0; w < warps; ++w) best.reduce_max(partial[w], candidates[w]);
  return best;
}

// out[t] = scale * rows[t] . v for t < count, rows [count, r]; a warp takes every so many rows.
template <typename V>
__device__ __forceinline__ void products_with_rows(const double* rows, int64_t count, int64_t r, const V* v,
                                                   int64_t stride, double scale, double* out) {
  const int lane = thread() % kWarp;
  for (int64_t t = thread() / kWarp; t < count; t += threads() / kWarp) {
    double sum = 0;
    for (int64_t i = lane; i < r; i += kWarp) sum += rows[t * r + i] * static_cast<double>(v[i * stride]);
    sum = sum_of_warp(sum);
    if (lane == 0) out[t] = scale * sum;
  }
}

// v -= Q' Q v, all products first; the square of what is left. Q [count, r].
__device__ __forceinline__ double project_out(const double* Q, int64_t count, int64_t r, double* v, double* coefficient,
                                              double* partial) {
  products_with_rows(Q, count, r, v, 1, 1.0, coefficient);
  __syncthreads();
  double square = 0;
  for (int64_t i = thread(); i < r; i += threads()) {
    double rest = v[i];
    for (int64_t t = 0; t < count; ++t) rest -= coefficient[t] * Q[t * r + i];
    v[i] = rest;
    square += rest * rest;
  }
  return sum_of_block(square, partial);  // its barriers also part this use of v and of the coefficients from the next
}

// weight |res| - cost of candidate j, |res|^2 = square.
template <typename T>
__device__ __forceinline__ double weighted_score(const PivotedQr<T>& op, int64_t j, double square, double cost_scale) {
  double score = ::sqrt(square);
  if (op.weight != nullptr) score *= static_cast<double>(op.weight[j]);
  return op.cost == nullptr ? score : score - cost_scale * static_cast<double>(op.cost[j]);
}

// Score of a candidate in the scale of its phase; none where it cannot be chosen.
template <typename T>
__device__ __forceinline__ double score_of(const Pivoting<T>& p, const State& state, int64_t j) {
  if (p.blocked[j] != 0) return no_score();
  const int64_t c = p.op.size.c;
  double sum = 0;
  for (int64_t e = j * c; e < (j + 1) * c; ++e) sum += p.value[e];
  double cost_scale = 1;
  if (state.phase == Phase::beyond_rank) {
    cost_scale = 1 / state.largest;
  } else {
    const double rounding = p.op.size.tolerance * state.largest;
    if (!(sum > rounding * rounding)) return no_score();
  }
  return weighted_score(p.op, j, sum, cost_scale);
}

// The best candidate of a block of the passes over A.
template <typename T>
__device__ __forceinline__ Best best_candidate(const Pivoting<T>& p, const State& state, int64_t block,
                                               double* partial) {
  Best best{no_score(), -1};
  for (int64_t j = p.first_candidate(block) + thread(); j < p.last_candidate(block); j += threads()) {
    const double score = score_of(p, state, j);
    if (score > no_score()) best.reduce_max(score, j);
  }
  return best_of_block(best, partial);
}

}  // namespace pinn::pivot_cuda
