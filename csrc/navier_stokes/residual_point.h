// The Navier-Stokes residual of one point and its adjoint, for host and device.
//
// N is float or double on the device and a Vec of points on the host; dim is 2 or 3.
#pragma once

#include "core/host_device.h"

namespace pinn {

// What the residual needs of the jet: with c running over u, v[, w], p.
template <int dim, typename N>
struct FlowJet {
  N value[dim];              // u_i
  N rate[dim];               // du_i/dt, zero where steady
  N gradient[dim][dim + 1];  // [j][c]: d(u, v[, w], p)_c / dx_j
  N laplacian[dim];          // lap u_i
};

template <int dim, typename N>
PINN_HD void residual_point(const FlowJet<dim, N>& q, N nu, const N (&force)[dim], N (&residual)[dim + 1]) {
  residual[dim] = q.gradient[0][0];
  for (int j = 1; j < dim; ++j) residual[dim] = residual[dim] + q.gradient[j][j];
  for (int i = 0; i < dim; ++i) {
    N r = q.rate[i] + q.gradient[i][dim] - nu * q.laplacian[i] - force[i];
    for (int j = 0; j < dim; ++j) r = r + q.value[j] * q.gradient[j][i];
    residual[i] = r;
  }
}

// From the cotangent v of the residual: that of the jet, and that of nu.
template <int dim, typename N>
PINN_HD N residual_backward_point(const FlowJet<dim, N>& q, N nu, const N (&v)[dim + 1], FlowJet<dim, N>& v_q) {
  N v_nu = -v[0] * q.laplacian[0];
  for (int i = 1; i < dim; ++i) v_nu = v_nu - v[i] * q.laplacian[i];
  for (int j = 0; j < dim; ++j) {
    v_q.value[j] = v[0] * q.gradient[j][0];
    for (int i = 1; i < dim; ++i) v_q.value[j] = v_q.value[j] + v[i] * q.gradient[j][i];
    for (int i = 0; i < dim; ++i) v_q.gradient[j][i] = v[i] * q.value[j];
    v_q.gradient[j][j] = v_q.gradient[j][j] + v[dim];
    v_q.gradient[j][dim] = v[j];
    v_q.rate[j] = v[j];
    v_q.laplacian[j] = -nu * v[j];
  }
  return v_nu;
}

// Visits every number of the jet that the residual reads: f(stream, column, number&).
template <int dim, typename N, typename F>
PINN_HD void for_each_entry(FlowJet<dim, N>& q, bool time_stream, bool steady, const F& f) {
  const int space = time_stream ? 2 : 1;  // stream of d/dx
  for (int i = 0; i < dim; ++i) {
    f(0, i, q.value[i]);
    if (time_stream && !steady) f(1, i, q.rate[i]);
    for (int c = 0; c <= dim; ++c) f(space + i, c, q.gradient[i][c]);
    f(space + dim, i, q.laplacian[i]);
  }
}

}  // namespace pinn
