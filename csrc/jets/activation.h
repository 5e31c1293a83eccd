// An activation function on a jet.
//
//   value      f(z)
//   first j    f'(z) z_j
//   Laplacian  f''(z) sum_j weight_j z_j^2 + f'(z) z_L
//
// z is the jet before the activation, [streams, n, c]; the backward pass recomputes f and its derivatives from z, so
// nothing else is kept. (linear_jet has no kernel of its own: it is torch's matrix product on all streams at once.)
#pragma once

#include "core/run.h"
#include "jets/streams.h"

namespace pinn {

enum class Activation { tanh, sine, silu, gelu };
inline constexpr const char* kActivationNames[] = {"tanh", "sine", "silu", "gelu"};
inline constexpr int kNumActivations = static_cast<int>(sizeof(kActivationNames) / sizeof(kActivationNames[0]));

// f(std::integral_constant<Activation, a>{}): the activation as a compile-time choice. On the device f is a device
// function, on the host a host function, of which nvcc would warn.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <int a = 0, typename F>
PINN_HD void with_activation(Activation activation, const F& f) {
  if (static_cast<int>(activation) == a) return f(std::integral_constant<Activation, static_cast<Activation>(a)>{});
  if constexpr (a + 1 < kNumActivations) with_activation<a + 1>(activation, f);
}

template <typename T>
struct ActivationJet {
  const T* z;  // [streams, count]
  // outputs
  T* out;              // [streams, count]
  std::int64_t count;  // n * c
  JetStreams streams;
  Activation activation;
};

template <typename T>
struct ActivationJetBackward {
  const T* v_out;  // [streams, count]
  const T* z;      // [streams, count]
  // outputs
  T* v_z;              // [streams, count]
  std::int64_t count;  // n * c
  JetStreams streams;
  Activation activation;
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const ActivationJet<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const ActivationJetBackward<T>&);

template <typename T>
void run_on_cuda(const ActivationJet<T>&, Stream);
template <typename T>
void run_on_cuda(const ActivationJetBackward<T>&, Stream);

}  // namespace pinn
