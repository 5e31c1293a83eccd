// Activations of jets on the CPU: the numbers of one stream in vectors, all streams of a number together.
#include "core/parallel.h"
#include "core/simd_math.h"
#include "jets/activation_point.h"

namespace pinn {

using std::int64_t;

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const ActivationJet<T>& a) {
  using V = Vec<isa, T>;
  with_activation(a.activation, [&](auto activation) {
    parallel_over(Chunks(a.count), a.streams.count() * a.count, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += V::size) {
        const int64_t left = end - i;
        activation_jet_point<activation.value, V, T>(
            a.streams, [&](int s) { return V::load(a.z + s * a.count + i, left); },
            [&](int s, V value) { value.store(a.out + s * a.count + i, left); });
      }
    });
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const ActivationJetBackward<T>& a) {
  using V = Vec<isa, T>;
  with_activation(a.activation, [&](auto activation) {
    parallel_over(Chunks(a.count), a.streams.count() * a.count, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += V::size) {
        const int64_t left = end - i;
        activation_jet_backward_point<activation.value, V, T>(
            a.streams, [&](int s) { return V::load(a.z + s * a.count + i, left); },
            [&](int s) { return V::load(a.v_out + s * a.count + i, left); },
            [&](int s, V value) { value.store(a.v_z + s * a.count + i, left); });
      }
    });
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const ActivationJet<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const ActivationJet<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const ActivationJetBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const ActivationJetBackward<double>&);

}  // namespace pinn
