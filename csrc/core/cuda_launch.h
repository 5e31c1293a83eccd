// What every CUDA launch needs: a grid for n independent items, and the error check after it. Nothing synchronises.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/run.h"

namespace pinn {

inline constexpr int kBlockSize = 256;

inline cudaStream_t cuda_stream(Stream stream) { return static_cast<cudaStream_t>(stream); }

inline void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) throw Error(std::string(kernel) + ": CUDA launch failed: " + cudaGetErrorString(error));
}

template <typename F>
__global__ void __launch_bounds__(kBlockSize) for_each_kernel(std::int64_t n, F f) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kBlockSize;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kBlockSize + threadIdx.x; i < n; i += stride) f(i);
}

// f(i) for 0 <= i < n, one thread per item. 2^20 blocks fill any device; beyond, threads take several items.
template <typename F>
void for_each(const char* kernel, std::int64_t n, Stream stream, F f) {
  if (n == 0) return;
  std::int64_t blocks = (n + kBlockSize - 1) / kBlockSize;
  if (blocks > (1 << 20)) blocks = 1 << 20;
  for_each_kernel<<<static_cast<unsigned>(blocks), kBlockSize, 0, cuda_stream(stream)>>>(n, f);
  check_launch(kernel);
}

}  // namespace pinn
