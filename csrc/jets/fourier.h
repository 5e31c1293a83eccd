// Random Fourier features and their jets (Tancik et al., NeurIPS 2020).
//
//   features(x) = [cos(2 pi x B), sin(2 pi x B)],  x [n, d],  B [d, m],  features [n, 2m]
//
// The adjoints are derived in docs/conventions.md. Cotangents are called v_*, cotangents of cotangents g_* and gg_*.
// The gradient of B is a sum over points. It leaves as `partials`, one sum for each fixed chunk of points
// (core/parallel.h), which the caller adds up: the same bits for every number of threads.
#pragma once

#include "core/run.h"
#include "jets/streams.h"

namespace pinn {

struct FourierSize {
  std::int64_t n, d, m;
};

template <typename T>
struct FourierFeatures {
  const T* x;  // [n, d]
  const T* B;  // [d, m]
  // outputs
  T* out;  // [n, 2m]
  FourierSize size;
};

template <typename T>
struct FourierFeaturesBackward {
  const T* v_out;  // [n, 2m]
  const T* x;      // [n, d]
  const T* B;      // [d, m]
  // outputs
  T* v_x;       // [n, d], or null: not wanted
  T* partials;  // [chunks, d, m] of v_B
  FourierSize size;
};

// The adjoint of FourierFeaturesBackward.
template <typename T>
struct FourierFeaturesSecondOrder {
  const T* g_x;    // [n, d], cotangent of v_x
  const T* g_B;    // [d, m], cotangent of v_B
  const T* v_out;  // [n, 2m]
  const T* x;      // [n, d]
  const T* B;      // [d, m]
  // outputs
  T* gg_v_out;  // [n, 2m]
  T* gg_x;      // [n, d]
  T* partials;  // [chunks, d, m] of gg_B
  FourierSize size;
};

template <typename T>
struct FourierJet {
  const T* x;  // [n, d]
  const T* B;  // [d, m]
  // outputs
  T* out;  // [streams, n, 2m]
  FourierSize size;
  JetStreams streams;
};

template <typename T>
struct FourierJetBackward {
  const T* v_out;  // [streams, n, 2m]
  const T* x;      // [n, d]
  const T* B;      // [d, m]
  // outputs
  T* v_x;       // [n, d], or null: not wanted
  T* partials;  // [chunks, d, m] of v_B
  FourierSize size;
  JetStreams streams;
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierFeatures<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierFeaturesBackward<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierFeaturesSecondOrder<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierJet<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierJetBackward<T>&);

template <typename T>
void run_on_cuda(const FourierFeatures<T>&, Stream);
template <typename T>
void run_on_cuda(const FourierFeaturesBackward<T>&, Stream);
template <typename T>
void run_on_cuda(const FourierFeaturesSecondOrder<T>&, Stream);
template <typename T>
void run_on_cuda(const FourierJet<T>&, Stream);
template <typename T>
void run_on_cuda(const FourierJetBackward<T>&, Stream);

}  // namespace pinn
