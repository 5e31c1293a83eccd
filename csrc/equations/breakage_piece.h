// Integrals over one piece between two nodes where log f and the weight are linear in v, for host and device.
//
//   int_0^1 exp(d s) (w0 + (w1 - w0) s) ds = w0 phi(d) + (w1 - w0) psi(d)
//   phi = (e^d - 1) / d,   psi = phi' = (e^d - phi) / d,   chi = psi' = (e^d - 2 psi) / d
//
// d is the rise of log f over the piece. Near zero the quotients cancel: there chi is its series, and psi and phi
// follow from it by the same recurrences the other way round. N is float or double on the device, a Vec on the host.
#pragma once

#include "core/math.h"

namespace pinn {

template <typename N>
struct BreakagePiece {
  N growth, phi, psi, chi;  // growth = e^d
};

// chi = sum_k (k + 1) (k + 2) / (k + 3)! d^k = 1/3 + d/4 + d^2/10 + ...; below 1/2 the first term left out is 1e-19.
template <typename N, typename T>
PINN_HD N breakage_chi_series(N d) {
  constexpr int terms = sizeof(T) == 4 ? 9 : 15;
  constexpr double c[] = {1.0 / 3,        1.0 / 4,         1.0 / 10,         1.0 / 36,          1.0 / 168,
                          1.0 / 960,      1.0 / 6480,      1.0 / 50400,      1.0 / 443520,      1.0 / 4354560,
                          1.0 / 47174400, 1.0 / 558835200, 1.0 / 7185024000, 1.0 / 99632332800, 1.0 / 1482030950400};
  N p(static_cast<T>(c[terms - 1]));
  for (int k = terms - 2; k >= 0; --k) p = p * d + N(static_cast<T>(c[k]));
  return p;
}

template <typename N, typename T>
PINN_HD BreakagePiece<N> breakage_piece(N rise) {
  const T bound = sizeof(T) == 4 ? T(87) : T(708);  // of exp_of on the host
  const N one(T(1)), two(T(2)), half(T(0.5));
  const N d = min_of(rise, N(bound)), size = fabs_of(d);
  BreakagePiece<N> p;
  p.growth = exp_of(d);
  const N inverse = one / select_below(size, half, one, d);
  const N phi = expm1_of(d) * inverse, psi = (p.growth - phi) * inverse;
  const N chi_near = breakage_chi_series<N, T>(select_below(size, half, d, d - d));
  const N psi_near = half * (p.growth - d * chi_near);
  p.chi = select_below(size, half, chi_near, (p.growth - two * psi) * inverse);
  p.psi = select_below(size, half, psi_near, psi);
  p.phi = select_below(size, half, p.growth - d * psi_near, phi);
  // Beyond the dtype's range the integral is infinite, and not what the bound makes of it.
  const N infinite(static_cast<T>(HUGE_VAL));
  p.growth = select_below(N(bound), rise, infinite, p.growth);
  p.phi = select_below(N(bound), rise, infinite, p.phi);
  return p;
}

// The part of the integral from one node to the next, and e^d: tail_i = own + growth * tail_{i+1}, over f at node i.
template <typename N>
struct BreakageStep {
  N own, growth;
};

template <typename N, typename T>
PINN_HD BreakageStep<N> breakage_step(N g0, N g1, N w0, N w1, N step) {
  const BreakagePiece<N> p = breakage_piece<N, T>(g1 - g0);
  return {step * (w0 * p.phi + (w1 - w0) * p.psi), p.growth};
}

// For a cotangent of tail_i of one: those of the rise and of both weights.
template <typename N>
struct BreakageSlopes {
  N growth, rise, w0, w1;
};

template <typename N, typename T>
PINN_HD BreakageSlopes<N> breakage_slopes(N g0, N g1, N w0, N w1, N step, N tail_beyond) {
  const BreakagePiece<N> p = breakage_piece<N, T>(g1 - g0);
  const N rise = step * (w0 * p.psi + (w1 - w0) * p.chi) + p.growth * tail_beyond;
  return {p.growth, rise, step * (p.phi - p.psi), step * p.psi};
}

}  // namespace pinn
