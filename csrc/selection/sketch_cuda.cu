// Sketches of rows on the GPU (sketch_kernels_cuda.h).
#include "core/cuda_launch.h"
#include "selection/sketch_kernels_cuda.h"

namespace pinn {

template <typename T>
void run_on_cuda(const SketchRows<T>& a, Stream stream) {
  sketch_cuda::run_sketch(a, CudaLaunch{cuda_stream(stream)});
}

template void run_on_cuda(const SketchRows<float>&, Stream);
template void run_on_cuda(const SketchRows<double>&, Stream);

}  // namespace pinn
