// The twins of pivot_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "qr/qr.h"

namespace pinn {

template <typename T>
void run_on_cuda(const PivotedQr<T>&, Stream) {
  throw_no_cuda();
}

std::int64_t cuda_pivot_workspace_bytes(const PivotSize&, bool) { throw_no_cuda(); }

template void run_on_cuda(const PivotedQr<float>&, Stream);
template void run_on_cuda(const PivotedQr<double>&, Stream);

}  // namespace pinn
