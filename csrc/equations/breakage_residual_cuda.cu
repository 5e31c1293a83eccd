// The breakage residual on the GPU: one thread scans one time.
#include "core/cuda_launch.h"
#include "equations/breakage_scan_cuda.h"

namespace pinn {

template <typename T>
void run_on_cuda(const BreakageResidual<T>& a, Stream stream) {
  for_each("breakage_residual", a.grid.times, stream,
           [a] __device__(int64_t time) { breakage_residual_of_time(a, time); });
}

template <typename T>
void run_on_cuda(const BreakageResidualBackward<T>& a, Stream stream) {
  for_each("breakage_residual_backward", a.grid.times, stream,
           [a] __device__(int64_t time) { breakage_backward_of_time(a, time); });
}

template void run_on_cuda(const BreakageResidual<float>&, Stream);
template void run_on_cuda(const BreakageResidual<double>&, Stream);
template void run_on_cuda(const BreakageResidualBackward<float>&, Stream);
template void run_on_cuda(const BreakageResidualBackward<double>&, Stream);

}  // namespace pinn
