// What a block of threads has for itself. The host compiler sees no CUDA: tests/cpp/cuda_on_host.h declares the same
// names before this file.
#pragma once

#ifdef __CUDACC__

namespace pinn {

// The shared memory of the launch, aligned to 16 bytes.
__device__ __forceinline__ void* dynamic_shared() {
  extern __shared__ float4 shared_memory[];
  return shared_memory;
}

// The number of the lane whose index differs by the bits of `mask`. All lanes of the warp call it.
template <typename T>
__device__ __forceinline__ T lane_exchange(T number, int mask) {
  return __shfl_xor_sync(0xffffffffu, number, mask);
}

}  // namespace pinn

#endif
