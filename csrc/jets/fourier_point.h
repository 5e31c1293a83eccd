// One point and one frequency of the Fourier features, forward and adjoint, for host and device.
//
// With the phase z = 2 pi x.b, the wave (c, s) = (cos z, sin z) and the rates k_j = dz/dx_j = 2 pi b_j:
//   value      c              s
//   first j    -s k_j         c k_j
//   Laplacian  -c kappa       -s kappa,     kappa = sum_j weight_j k_j^2
// N is float or double on the device and a Vec of adjacent frequencies on the host.
#pragma once

#include "core/math.h"
#include "jets/streams.h"

namespace pinn {

template <typename N>
using Wave = CosSin<N>;

// Cotangent of the phase from the cotangents of (c, s).
template <typename N>
PINN_HD N v_phase_of_value(Wave<N> w, Wave<N> v) {
  return w.cos * v.sin - w.sin * v.cos;
}

// d v_phase_of_value / d phase.
template <typename N>
PINN_HD N v_phase_rate(Wave<N> w, Wave<N> v) {
  return -(w.cos * v.cos + w.sin * v.sin);
}

template <typename N>
PINN_HD Wave<N> first_derivative(Wave<N> w, N k) {
  return {-w.sin * k, w.cos * k};
}

template <typename N>
PINN_HD Wave<N> laplacian(Wave<N> w, N kappa) {
  return {-w.cos * kappa, -w.sin * kappa};
}

// What the cotangent v of first derivative j adds to the cotangents of the phase and of k_j.
template <typename N>
PINN_HD void first_derivative_backward(Wave<N> w, N k, Wave<N> v, N& v_phase, N& v_k) {
  v_phase += k * v_phase_rate(w, v);
  v_k += v_phase_of_value(w, v);
}

// What the cotangent v of the Laplacian adds to the cotangents of the phase and of kappa.
template <typename N>
PINN_HD void laplacian_backward(Wave<N> w, N kappa, Wave<N> v, N& v_phase, N& v_kappa) {
  v_phase += kappa * (w.sin * v.cos - w.cos * v.sin);
  v_kappa += v_phase_rate(w, v);
}

// The rates k_j of the first derivatives, and kappa, from b(coordinate) -> N. Streams is JetStreams, or the same with
// compile-time numbers.
template <typename N, typename T>
struct Rates {
  N first[kMaxCoordinates], kappa;

  template <typename Streams, typename Frequency>
  PINN_HD Rates(const Streams& streams, const Frequency& b) : kappa(T(0)) {
    for (int j = 0; j < streams.num_first; ++j) {
      first[j] = N(T(kTwoPi)) * b(streams.first[j]);
      kappa = kappa + N(static_cast<T>(streams.weight[j])) * first[j] * first[j];
    }
  }

  PINN_HD N rate(int j) const { return first[j]; }
};

// The jet of a wave: store(stream, wave).
template <typename N, typename Streams, typename AnyRates, typename Store>
PINN_HD void wave_jet(const Streams& streams, const AnyRates& rates, Wave<N> w, const Store& store) {
  store(0, w);
  for (int j = 0; j < streams.num_first; ++j) store(1 + j, first_derivative(w, rates.rate(j)));
  if (streams.has_laplacian) store(streams.laplacian(), laplacian(w, rates.kappa));
}

// Its adjoint: load(stream) is the cotangent; add(j, N) takes the cotangent of the rate k_j, and that of the phase is
// returned.
template <typename N, typename T, typename Streams, typename AnyRates, typename Load, typename Add>
PINN_HD N wave_jet_backward(const Streams& streams, const AnyRates& rates, Wave<N> w, const Load& load,
                            const Add& add) {
  N v_phase = v_phase_of_value(w, load(0)), v_kappa(T(0));
  if (streams.has_laplacian) laplacian_backward(w, rates.kappa, load(streams.laplacian()), v_phase, v_kappa);
  for (int j = 0; j < streams.num_first; ++j) {
    N v_k = N(T(2)) * N(static_cast<T>(streams.weight[j])) * rates.rate(j) * v_kappa;
    first_derivative_backward(w, rates.rate(j), load(1 + j), v_phase, v_k);
    add(j, v_k);
  }
  return v_phase;
}

}  // namespace pinn
