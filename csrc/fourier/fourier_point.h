// One point and one frequency of the Fourier features, forward and adjoint, for host and device.
//
// With the phase z = 2 pi x.b, the wave (c, s) = (cos z, sin z) and the rates k_j = dz/dx_j = 2 pi b_j:
//   value      c              s
//   first j    -s k_j         c k_j
//   Laplacian  -c kappa       -s kappa,     kappa = sum_j weight_j k_j^2
// N is float or double on the device and a Vec of adjacent frequencies on the host.
#pragma once

#include "core/math.h"

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

}  // namespace pinn
