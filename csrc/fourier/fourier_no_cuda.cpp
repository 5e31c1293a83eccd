// The twins of fourier_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "fourier/fourier.h"

namespace pinn {

template <typename T>
void run_on_cuda(const FourierFeatures<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const FourierFeaturesBackward<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const FourierFeaturesSecondOrder<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const FourierJet<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const FourierJetBackward<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const FourierFeatures<float>&, Stream);
template void run_on_cuda(const FourierFeatures<double>&, Stream);
template void run_on_cuda(const FourierFeaturesBackward<float>&, Stream);
template void run_on_cuda(const FourierFeaturesBackward<double>&, Stream);
template void run_on_cuda(const FourierFeaturesSecondOrder<float>&, Stream);
template void run_on_cuda(const FourierFeaturesSecondOrder<double>&, Stream);
template void run_on_cuda(const FourierJet<float>&, Stream);
template void run_on_cuda(const FourierJet<double>&, Stream);
template void run_on_cuda(const FourierJetBackward<float>&, Stream);
template void run_on_cuda(const FourierJetBackward<double>&, Stream);

}  // namespace pinn
