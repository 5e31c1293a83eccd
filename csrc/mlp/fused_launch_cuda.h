// The current CUDA device, as the plan of a fused operation needs it.
#pragma once

#include "core/cuda_launch.h"
#include "mlp/fused_plan.h"

namespace pinn::fused_cuda {

inline int attribute_of(int device, cudaDeviceAttr attribute) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

inline Device current_device() {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  return {attribute_of(device, cudaDevAttrMultiProcessorCount),
          attribute_of(device, cudaDevAttrMaxSharedMemoryPerBlockOptin),
          attribute_of(device, cudaDevAttrMaxSharedMemoryPerMultiprocessor)};
}

}  // namespace pinn::fused_cuda
