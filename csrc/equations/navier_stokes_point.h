// The residual of the incompressible Navier-Stokes equations at one point and its adjoint, for host and device.
//
//   momentum_i = du_i/dt + sum_j u_j du_i/dx_j + dp/dx_i - nu lap u_i - f_i,     continuity = sum_j du_j/dx_j
//
// The velocity is that of the network and of a base flow, where there is one: a steady Stokes flow, whose own pressure
// and viscous terms cancel, so that it enters by its value and gradient alone.
//
// The network's outputs are u, v[, w], p; the streams are the value, [d/dt,] d/dx, d/dy[, d/dz] and the Laplacian. The
// pressure is kinematic. N is float or double on the device and a Vec of points on the host; dim is 2 or 3.
#pragma once

#include "core/per_point.h"

namespace pinn {

// What the residual needs of the jet: with c running over u, v[, w], p.
template <int dim, typename N>
struct FlowJet {
  N value[dim];              // u_i
  N rate[dim];               // du_i/dt, zero where steady
  N gradient[dim][dim + 1];  // [j][c]: d(u, v[, w], p)_c / dx_j
  N laplacian[dim];          // lap u_i
};

// The concept of a residual stands in mlp/mean_square.h.
template <int dim, typename T>
struct NavierStokes {
  using Scalar = T;
  static constexpr const char* kName = "navier_stokes_loss";
  static constexpr int kColumns = dim + 1, kLearned = 1;
  template <typename N>
  using Jet = FlowJet<dim, N>;
  template <typename N>
  struct Coefficients {
    N nu, force[dim];
    N value[dim], gradient[dim][dim];  // of the base flow, [j][i]: dU_i / dx_j
  };

  PerPoint<T> nu, forcing;
  bool steady;         // leave d/dt out
  PerPoint<T> base{};  // of each point U_i, then dU_i / dx_j, j slower than i; null: none
  static constexpr int kBaseColumns = dim * (dim + 1);

  template <typename Streams>
  static constexpr bool supports =
      Streams::has_laplacian && (Streams::num_first == dim || Streams::num_first == dim + 1);

  PINN_HD const PerPoint<T>& learned() const { return nu; }

  template <typename N, typename Read>
  PINN_HD Coefficients<N> coefficients(const Read& read) const {
    Coefficients<N> k;
    k.nu = read(nu, 0);
    for (int i = 0; i < dim; ++i) {
      k.force[i] = read(forcing, i);
      k.value[i] = read(base, i);
      for (int j = 0; j < dim; ++j) k.gradient[j][i] = read(base, dim + dim * j + i);
    }
    return k;
  }

  template <typename N, typename Streams, typename F>
  PINN_HD void for_each_entry(FlowJet<dim, N>& q, const Streams& streams, const F& f) const {
    const bool time = streams.num_first > dim;
    const int space = time ? 2 : 1;  // stream of d/dx
    for (int i = 0; i < dim; ++i) {
      f(0, i, q.value[i]);
      if (time && !steady) f(1, i, q.rate[i]);
      for (int c = 0; c <= dim; ++c) f(space + i, c, q.gradient[i][c]);
      f(space + dim, i, q.laplacian[i]);
    }
  }

  template <typename N>
  PINN_HD static void point(const FlowJet<dim, N>& q, const Coefficients<N>& k, N (&residual)[dim + 1]) {
    residual[dim] = q.gradient[0][0] + k.gradient[0][0];
    for (int j = 1; j < dim; ++j) residual[dim] = residual[dim] + (q.gradient[j][j] + k.gradient[j][j]);
    for (int i = 0; i < dim; ++i) {
      N r = q.rate[i] + q.gradient[i][dim] - k.nu * q.laplacian[i] - k.force[i];
      for (int j = 0; j < dim; ++j) r = r + (q.value[j] + k.value[j]) * (q.gradient[j][i] + k.gradient[j][i]);
      residual[i] = r;
    }
  }

  template <typename N, int learned>
  PINN_HD static void backward_point(const FlowJet<dim, N>& q, const Coefficients<N>& k, const N (&v)[dim + 1],
                                     FlowJet<dim, N>& v_q, N (&v_nu)[learned]) {
    v_nu[0] = -v[0] * q.laplacian[0];
    for (int i = 1; i < dim; ++i) v_nu[0] = v_nu[0] - v[i] * q.laplacian[i];
    for (int j = 0; j < dim; ++j) {
      v_q.value[j] = v[0] * (q.gradient[j][0] + k.gradient[j][0]);
      for (int i = 1; i < dim; ++i) v_q.value[j] = v_q.value[j] + v[i] * (q.gradient[j][i] + k.gradient[j][i]);
      for (int i = 0; i < dim; ++i) v_q.gradient[j][i] = v[i] * (q.value[j] + k.value[j]);
      v_q.gradient[j][j] = v_q.gradient[j][j] + v[dim];
      v_q.gradient[j][dim] = v[j];
      v_q.rate[j] = v[j];
      v_q.laplacian[j] = -k.nu * v[j];
    }
  }
};

}  // namespace pinn
