// The twins of sketch_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "qr/sketch.h"

namespace pinn {

template <typename T>
void run_on_cuda(const SketchRows<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const SketchRows<float>&, Stream);
template void run_on_cuda(const SketchRows<double>&, Stream);

}  // namespace pinn
