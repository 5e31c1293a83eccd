// The Navier-Stokes residual (navier_stokes_point.h) on a jet that is in memory: operation and adjoint.
#pragma once

#include "core/run.h"
#include "equations/navier_stokes_point.h"
#include "jets/streams.h"

namespace pinn {

template <int dim, typename T>
struct NavierStokesResidual {
  const T* jet;  // [streams, n, dim + 1]
  NavierStokes<dim, T> equation;
  // outputs
  T* out;  // [n, dim + 1]
  std::int64_t n;
  JetStreams streams;  // [d/dt,] d/dx, d/dy[, d/dz] and the Laplacian
};

template <int dim, typename T>
struct NavierStokesResidualBackward {
  const T* v_out;  // [n, dim + 1]
  const T* jet;    // [streams, n, dim + 1]
  NavierStokes<dim, T> equation;
  // outputs
  T* v_jet;  // [streams, n, dim + 1]
  T* v_nu;   // [n], per point also where nu is one number; or null: not wanted
  std::int64_t n;
  JetStreams streams;
};

template <Isa isa, int dim, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidual<dim, T>&);
template <Isa isa, int dim, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidualBackward<dim, T>&);

template <int dim, typename T>
void run_on_cuda(const NavierStokesResidual<dim, T>&, Stream);
template <int dim, typename T>
void run_on_cuda(const NavierStokesResidualBackward<dim, T>&, Stream);

}  // namespace pinn
