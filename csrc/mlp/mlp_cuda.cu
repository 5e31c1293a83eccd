// A whole network on jets on the GPU: one kernel for all layers, forward and back (fused_kernel_cuda.h).
#include "mlp/fused_launch_cuda.h"
#include "mlp/fused_run_cuda.h"
#include "mlp/mlp.h"

namespace pinn {
namespace {

template <typename Op>
void run_supported(const Op& a, Stream stream) {
  fused_cuda::run_fused(a, fused_cuda::current_device(), CudaLaunch{cuda_stream(stream)});
}

}  // namespace

// TF32 came with compute capability 8.0, the least that this file is compiled for.
bool cuda_fused_supports(const MlpShape& shape, bool float64) { return !float64 && fused_cuda::supports(shape); }

std::int64_t cuda_workspace_bytes(const MlpShape& shape, bool gradient, bool want_B) {
  return fused_cuda::make_plan(shape, gradient, want_B, fused_cuda::current_device(), 0, nullptr).bytes;
}

template <>
void run_on_cuda(const MlpJet<float>& a, Stream stream) {
  run_supported(a, stream);
}

template <>
void run_on_cuda(const MlpJetBackward<float>& a, Stream stream) {
  run_supported(a, stream);
}

template <>
void run_on_cuda(const MlpJet<double>&, Stream) {
  fused_cuda::throw_not_supported("mlp_jet");
}

template <>
void run_on_cuda(const MlpJetBackward<double>&, Stream) {
  fused_cuda::throw_not_supported("mlp_jet_backward");
}

}  // namespace pinn
