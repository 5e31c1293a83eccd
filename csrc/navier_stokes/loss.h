// The mean square Navier-Stokes residual of a network and all its gradients, in one pass: the contract of this room.
//
//   term_i = sum_points point_weight residual_i^2 / count,     total = sum_i term_weight_i term_i
//
// The points go through the network, the residual (residual.h) and back in tiles (mlp/mlp.h).
#pragma once

#include "mlp/mlp.h"
#include "navier_stokes/residual.h"

namespace pinn {

template <typename T>
struct NavierStokesLoss {
  Mlp<T> mlp;              // outputs u, v[, w], p
  const T* nu;             // [n] or [1]
  const T* forcing;        // [n, dim] or [1, dim], or null: none
  const T* term_weights;   // [dim + 1]
  const T* point_weights;  // [n], or null: ones
  double count;            // what the sums are divided by: the points of the whole step
  // outputs
  T* total;      // [1]
  T* terms;      // [dim + 1]
  T* residual;   // [n, dim + 1], or null: not wanted
  T* gradient;   // [num_parameters (+ d m) (+ size of nu)], d total; or null: not wanted
  bool want_B;   // gradient holds B
  bool want_nu;  // gradient holds nu
  ResidualSize size;
  Sharing sharing;
  void* workspace;  // CUDA: cuda_workspace_bytes(...) bytes; CPU: null
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesLoss<T>&);

template <typename T>
void run_on_cuda(const NavierStokesLoss<T>&, Stream);

}  // namespace pinn
