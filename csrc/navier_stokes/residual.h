// The residual of the incompressible Navier-Stokes equations on a jet: the contract of this room.
//
//   momentum_i = du_i/dt + sum_j u_j du_i/dx_j + dp/dx_i - nu lap u_i - f_i,     continuity = sum_j du_j/dx_j
//
// The jet's columns are u, v[, w], p; its streams are the value, [d/dt,] d/dx, d/dy[, d/dz] and the Laplacian. The
// pressure is kinematic. `time` may be present in the jet and left out of the residual (a steady flow).
#pragma once

#include <cstdint>

#include "core/run.h"

namespace pinn {

struct ResidualSize {
  std::int64_t n;
  int dim;               // 2 or 3
  bool time_stream;      // the jet has d/dt before d/dx
  bool steady;           // leave d/dt out
  bool nu_per_point;     // nu has n numbers, else one
  bool force_per_point;  // forcing has n rows, else one
};

template <typename T>
struct NavierStokesResidual {
  const T* jet;      // [streams, n, dim + 1]
  const T* nu;       // [n] or [1]
  const T* forcing;  // [n, dim] or [1, dim], or null: none
  // outputs
  T* out;  // [n, dim + 1]
  ResidualSize size;
};

template <typename T>
struct NavierStokesResidualBackward {
  const T* v_out;  // [n, dim + 1]
  const T* jet;    // [streams, n, dim + 1]
  const T* nu;     // [n] or [1]
  // outputs
  T* v_jet;  // [streams, n, dim + 1]
  T* v_nu;   // [n], per point also where nu is one number; or null: not wanted
  ResidualSize size;
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidual<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidualBackward<T>&);

template <typename T>
void run_on_cuda(const NavierStokesResidual<T>&, Stream);
template <typename T>
void run_on_cuda(const NavierStokesResidualBackward<T>&, Stream);

}  // namespace pinn
