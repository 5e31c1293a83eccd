// Between heats and the exact choice: the columns of the forced ones, the arguments of the winners, their numbers in A.
#pragma once

#include "qr/heat_plan_cuda.h"
#include "qr/pivot_block_cuda.h"

namespace pinn::pivot_cuda {

inline int64_t field_blocks(int64_t count) { return (count + kFieldThreads - 1) / kFieldThreads; }

__device__ __forceinline__ int64_t item() { return static_cast<int64_t>(blockIdx.x) * kFieldThreads + thread(); }

// The columns of the forced ones, to the front of rows of `stride`, and which they are: in A, or among themselves.
template <typename T>
__global__ void __launch_bounds__(kFieldThreads)
    forced_kernel(PivotedQr<T> op, T* to, int64_t stride, int64_t* number, bool in_a) {
  const int64_t c = op.size.c, count = op.size.num_forced * c, e = item();
  if (e >= op.size.r * count) return;
  const int64_t row = e / count, s = e % count / c;
  to[row * stride + e % count] = op.a[(row * op.size.n + op.forced[s]) * c + e % c];
  if (row == 0 && e % c == 0) number[s] = in_a ? op.forced[s] : s;
}

template <typename T>
__global__ void __launch_bounds__(kFieldThreads)
    arguments_kernel(PivotedQr<T> op, const int64_t* number, int64_t n, Arguments<T> arguments) {
  const int64_t s = item();
  if (s >= n) return;
  const bool empty = number[s] < 0;
  const int64_t j = empty ? 0 : number[s];
  arguments.forbidden[s] = empty ? 1 : 0;
  if (op.weight != nullptr) arguments.weight[s] = op.weight[j];
  if (op.cost != nullptr) arguments.cost[s] = op.cost[j];
  if (op.region != nullptr) arguments.region[s] = op.region[j];
  if (op.position != nullptr)
    for (int64_t i = 0; i < op.size.d; ++i) arguments.position[s * op.size.d + i] = op.position[j * op.size.d + i];
}

// After the exact choice among the winners, by one block: pivots by their numbers in A, and A's one read.
template <typename T>
__global__ void __launch_bounds__(kFieldThreads)
    finish_kernel(PivotedQr<T> op, const int64_t* number, const State* last) {
  for (int64_t s = thread(); s < op.report[kChosen]; s += threads()) op.pivot[s] = number[op.pivot[s]];
  __syncthreads();
  if (thread() != 0) return;
  op.report[kLookedAt] += op.size.n * op.size.c;
  // Squares of numbers so small have vanished in heats of float.
  if (sizeof(T) == 4 && op.report[kStatus] == static_cast<int64_t>(PivotStatus::ok) && last->largest < kSmallestFloat) {
    op.report[kStatus] = static_cast<int64_t>(PivotStatus::too_small);
    op.report[kChosen] = op.report[kRank] = 0;
  }
}

}  // namespace pinn::pivot_cuda
