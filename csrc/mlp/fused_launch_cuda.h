// Launches of the fused kernels on the current CUDA device.
#pragma once

#include "core/cuda_launch.h"
#include "mlp/fused_plan.h"

namespace pinn::fused_cuda {

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw Error(std::string(what) + ": " + cudaGetErrorString(error));
}

inline int attribute_of(int device, cudaDeviceAttr attribute) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

inline Device current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  return {attribute_of(device, cudaDevAttrMultiProcessorCount),
          attribute_of(device, cudaDevAttrMaxSharedMemoryPerBlockOptin),
          attribute_of(device, cudaDevAttrMaxSharedMemoryPerMultiprocessor)};
}

struct CudaLaunch {
  cudaStream_t stream;

  template <typename... Parameters, typename... Arguments>
  void operator()(const char* name, void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes,
                  const Arguments&... arguments) const {
    if (shared_bytes > 0)
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), name);
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), static_cast<std::size_t>(shared_bytes),
             stream>>>(arguments...);
    check_launch(name);
  }
};

}  // namespace pinn::fused_cuda
