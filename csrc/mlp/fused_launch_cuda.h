// The current CUDA device, as the plan of a fused operation needs it.
#pragma once

#include "core/cuda_launch.h"
#include "mlp/fused_plan.h"

namespace pinn::fused_cuda {

inline Device current_device() {
  return {cuda_attribute(cudaDevAttrMultiProcessorCount), cuda_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin),
          cuda_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor)};
}

}  // namespace pinn::fused_cuda
