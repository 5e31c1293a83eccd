// An activation function on a jet: the contract of this room.
//
//   value      f(z)
//   first j    f'(z) z_j
//   Laplacian  f''(z) sum_j weight_j z_j^2 + f'(z) z_L
//
// z is the jet before the activation, [streams, n, c]; the backward pass recomputes f and its derivatives from z, so
// nothing else is kept. (linear_jet has no kernel of its own: it is torch's matrix product on all streams at once.)
#pragma once

#include "core/jet_streams.h"
#include "core/run.h"

namespace pinn {

enum class Activation { tanh, sine, silu, gelu };

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

// f(std::integral_constant<Activation, a>{}): the activation as a compile-time choice.
template <typename F>
void with_activation(Activation a, F&& f) {
  switch (a) {
    case Activation::tanh:
      return f(std::integral_constant<Activation, Activation::tanh>{});
    case Activation::sine:
      return f(std::integral_constant<Activation, Activation::sine>{});
    case Activation::silu:
      return f(std::integral_constant<Activation, Activation::silu>{});
    case Activation::gelu:
      return f(std::integral_constant<Activation, Activation::gelu>{});
  }
}

}  // namespace pinn
