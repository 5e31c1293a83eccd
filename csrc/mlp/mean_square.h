// The mean square of the residual of an equation on a network, and all its gradients, in one pass.
//
//   term_i = sum_points point_weight residual_i^2 / count,     total = sum_i term_weight_i term_i
//
// The points go through the network, the residual and back in tiles (mlp.h). What is done with the outputs of a tile
// stands in mean_square_cpu.h and mean_square_cuda.h, for every equation. An equation is a struct of coefficients and
// sizes, Residual, that works on one point (a number or a Vec of points, N); equations/navier_stokes_point.h is the
// model:
//
//   Scalar, kName                      float or double; the name of the operation in messages
//   kColumns, kLearned                 columns of the residual; numbers of the coefficient that can be learned, or 0
//   Jet<N>                             what the residual reads of the network's outputs; zeros where it is `Jet<N>{}`
//   Coefficients<N>                    what it reads of its coefficients
//   supports<Streams>                  whether the CUDA kernel is compiled for these streams (fused_layers_cuda.h)
//   learned() -> PerPoint              the coefficient that can be learned, with kLearned columns
//   for_each_entry(jet, streams, f)    f(stream, output, N&) for every number of the jet that the residual reads
//   coefficients<N>(read)              from read(PerPoint, column) -> N
//   point(jet, coefficients, r)        the residual, r[kColumns]
//   backward_point(jet, coefficients, v, v_jet, v_learned)
//                                      the cotangents of jet and v_learned[kLearned], all written, from v[kColumns]
#pragma once

#include "core/per_point.h"
#include "mlp/mlp.h"

namespace pinn {

template <typename Residual>
struct MeanSquare {
  using T = typename Residual::Scalar;
  Mlp<T> mlp;
  Residual equation;
  const T* term_weights;   // [kColumns]
  const T* point_weights;  // [n], or null: ones
  double count;            // what the sums are divided by: the points of the whole step
  // outputs
  T* total;           // [1]
  T* terms;           // [kColumns]
  T* residual;        // [n, kColumns], or null: not wanted
  T* gradient;        // [num_parameters (+ d m) (+ size of learned())], d total; or null: not wanted
  bool want_B;        // gradient holds B
  bool want_learned;  // gradient holds the learned coefficient
  Partition partition;
  void* workspace;  // CUDA: cuda_workspace_bytes(...) bytes; CPU: null

  // Numbers of the gradient before those of the learned coefficient.
  std::int64_t before_learned() const { return mlp.shape.num_parameters() + (want_B ? mlp.shape.d * mlp.shape.m : 0); }
};

template <Isa isa, typename Residual>
void run_on_cpu(IsaConstant<isa>, const MeanSquare<Residual>&);

template <typename Residual>
void run_on_cuda(const MeanSquare<Residual>&, Stream);

}  // namespace pinn
