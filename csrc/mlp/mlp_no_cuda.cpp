// The twins of mlp_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "mlp/mlp.h"

namespace pinn {

bool cuda_fused_serves(const MlpShape&, bool) { return false; }
std::int64_t cuda_workspace_bytes(const MlpShape&, bool, bool) { return 0; }

template <typename T>
void run_on_cuda(const MlpJet<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const MlpJetBackward<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const MlpJet<float>&, Stream);
template void run_on_cuda(const MlpJet<double>&, Stream);
template void run_on_cuda(const MlpJetBackward<float>&, Stream);
template void run_on_cuda(const MlpJetBackward<double>&, Stream);

}  // namespace pinn
