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

inline void check_cuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw Error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Of the current device.
inline int cuda_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

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

// launch(name, kernel, blocks, threads, bytes of dynamic_shared(), arguments ...) for kernels whose source also runs on
// the host (tests/cpp/cuda_on_host.h).
struct CudaLaunch {
  cudaStream_t stream;

  template <typename... Parameters, typename... Arguments>
  void operator()(const char* name, void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes,
                  const Arguments&... arguments) const {
    if (shared_bytes > (48 << 10))  // as much needs no leave
      check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), name);
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), static_cast<std::size_t>(shared_bytes),
             stream>>>(arguments...);
    check_launch(name);
  }
};

}  // namespace pinn
