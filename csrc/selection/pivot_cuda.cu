// Pivoted QR that stops at k on the GPU (pivot_run_cuda.h).
#include "core/cuda_launch.h"
#include "selection/pivot_run_cuda.h"

namespace pinn {

template <typename T>
void run_on_cuda(const PivotedQr<T>& op, Stream stream) {
  pivot_cuda::run_pivoting(op, CudaLaunch{cuda_stream(stream)});
}

std::int64_t cuda_pivot_workspace_bytes(const PivotSize& size, bool float64) {
  const auto bytes_for = [&](auto t) {
    pivot_cuda::Pivoting<decltype(t)> pivoting{};
    pivoting.op.size = size;
    return pivot_cuda::place_workspace(pivoting);
  };
  return float64 ? bytes_for(double{}) : bytes_for(float{});
}

template void run_on_cuda(const PivotedQr<float>&, Stream);
template void run_on_cuda(const PivotedQr<double>&, Stream);

}  // namespace pinn
