// What a block of threads has for itself. The host compiler sees no CUDA: tests/cpp/cuda_on_host.h declares the same
// name before this file.
#pragma once

#ifdef __CUDACC__

namespace pinn {

// The shared memory of the launch, aligned to 16 bytes.
__device__ __forceinline__ void* dynamic_shared() {
  extern __shared__ float4 shared_memory[];
  return shared_memory;
}

}  // namespace pinn

#endif
