// The twins of activation_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "jet/activation.h"

namespace pinn {

template <typename T>
void run_on_cuda(const ActivationJet<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const ActivationJetBackward<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const ActivationJet<float>&, Stream);
template void run_on_cuda(const ActivationJet<double>&, Stream);
template void run_on_cuda(const ActivationJetBackward<float>&, Stream);
template void run_on_cuda(const ActivationJetBackward<double>&, Stream);

}  // namespace pinn
