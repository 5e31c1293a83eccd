// Activations of jets on the GPU: one thread per number, all its streams; loads and stores are coalesced by stream.
#include "core/cuda_launch.h"
#include "jets/activation_point.h"

namespace pinn {

namespace {

using std::int64_t;

// Function templates, because an extended lambda may not stand inside a generic one.
template <Activation activation, typename T>
void forward(const ActivationJet<T>& a, Stream stream) {
  for_each("activation_jet", a.count, stream, [a] __device__(int64_t i) {
    activation_jet_point<activation, T, T>(
        a.streams, [&](int s) { return a.z[s * a.count + i]; },
        [&](int s, T value) { a.out[s * a.count + i] = value; });
  });
}

template <Activation activation, typename T>
void backward(const ActivationJetBackward<T>& a, Stream stream) {
  for_each("activation_jet_backward", a.count, stream, [a] __device__(int64_t i) {
    activation_jet_backward_point<activation, T, T>(
        a.streams, [&](int s) { return a.z[s * a.count + i]; }, [&](int s) { return a.v_out[s * a.count + i]; },
        [&](int s, T value) { a.v_z[s * a.count + i] = value; });
  });
}

}  // namespace

template <typename T>
void run_on_cuda(const ActivationJet<T>& a, Stream stream) {
  with_activation(a.activation, [&](auto activation) { forward<decltype(activation)::value>(a, stream); });
}

template <typename T>
void run_on_cuda(const ActivationJetBackward<T>& a, Stream stream) {
  with_activation(a.activation, [&](auto activation) { backward<decltype(activation)::value>(a, stream); });
}

template void run_on_cuda(const ActivationJet<float>&, Stream);
template void run_on_cuda(const ActivationJet<double>&, Stream);
template void run_on_cuda(const ActivationJetBackward<float>&, Stream);
template void run_on_cuda(const ActivationJetBackward<double>&, Stream);

}  // namespace pinn
