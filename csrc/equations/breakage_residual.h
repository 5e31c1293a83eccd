// The residual of the breakage population balance in log space, on a grid of times and volumes.
//
//   rho[t, i] = g_t + S - scale_i tail[t, i],   tail[t, i] = int_{v_i}^inf weight(v') exp(g(t, v') - g(t, v_i)) dv'
//
// g = log f. Daughters (c + 2) v^c / v'^(c + 1) make scale = (c + 2) v^c and weight = S / v^(c + 1). The integral is
// one scan for each time, from the largest volume down; its pieces and their adjoint are in breakage_piece.h, the
// derivation in docs/conventions.md.
#pragma once

#include "core/run.h"

namespace pinn {

template <typename T>
struct BreakageGrid {
  const T* g;         // [times, nodes]
  const T* weight;    // [nodes]
  const T* scale;     // [nodes]
  const T* step;      // [nodes - 1] volume between nodes
  const T* log_tail;  // [times] log of the integral of weight f beyond the last node, or null: it ends there
  std::int64_t times, nodes;
};

template <typename T>
struct BreakageResidual {
  BreakageGrid<T> grid;
  const T* g_t;   // [times, nodes]
  const T* rate;  // [nodes] S
  // outputs
  T* out;  // [times, nodes]
};

template <typename T>
struct BreakageResidualBackward {
  BreakageGrid<T> grid;
  const T* v_out;  // [times, nodes]
  // outputs
  T* v_g;         // [times, nodes]
  T* v_log_tail;  // [times], or null: not wanted
  T* v_weight;    // [times, nodes], to be summed over times, or null: not wanted
  T* v_scale;     // [times, nodes], null where v_weight is
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const BreakageResidual<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const BreakageResidualBackward<T>&);

template <typename T>
void run_on_cuda(const BreakageResidual<T>&, Stream);
template <typename T>
void run_on_cuda(const BreakageResidualBackward<T>&, Stream);

}  // namespace pinn
