// Beyond the rank, by one block: the frame Y = R^-1 Q' and the directions that lower every g_j = a_j' M^-1 a_j.
//
// The formulas are those of leverage.h: with w a_t = Q R e_t for the chosen columns that made the basis, Y takes these
// to unit vectors and M to I; one more column z = w Y a takes (u' Y a_j)^2 / (1 + z' u), u = M^-1 z, from every g_j.
#pragma once

#include "selection/pivot_block_cuda.h"

namespace pinn::pivot_cuda {

template <typename T>
__device__ __forceinline__ double weight_of(const Pivoting<T>& p, int64_t column) {
  return p.op.weight == nullptr ? 1.0 : static_cast<double>(p.op.weight[column / p.op.size.c]);
}

// Adds a column of A to M.
template <typename T>
__device__ __forceinline__ void add_to_leverage(const Pivoting<T>& p, State& state, int64_t column, double* partial) {
  const int64_t r = p.op.size.r, size = state.num_basis;
  products_with_rows(p.frame, size, r, p.op.a + column, p.columns, weight_of(p, column), p.z);
  __syncthreads();
  products_with_rows(p.inverse, size, size, p.z, 1, 1.0, p.u);
  __syncthreads();
  double part = 0;
  for (int64_t t = thread(); t < size; t += threads()) part += p.z[t] * p.u[t];
  const double square = 1 + sum_of_block(part, partial), root = ::sqrt(square);
  double* const direction = p.direction + state.num_directions * r;
  for (int64_t i = thread(); i < r; i += threads()) {
    double sum = 0;
    for (int64_t t = 0; t < size; ++t) sum += p.u[t] * p.frame[t * r + i];
    direction[i] = sum / root;
  }
  for (int64_t e = thread(); e < size * size; e += threads()) p.inverse[e] -= p.u[e / size] * p.u[e % size] / square;
  ++state.num_directions;
  __syncthreads();
}

// The frame of the basis, and what the chosen columns outside of it add.
template <typename T>
__device__ __forceinline__ void begin_leverage(const Pivoting<T>& p, State& state, double* partial) {
  const int64_t r = p.op.size.r, c = p.op.size.c, size = state.num_basis;
  for (int64_t t = 0; t < size; ++t)  // column t of R is row t of the triangle
    products_with_rows(p.basis, t + 1, r, p.op.a + p.source[t], p.columns, weight_of(p, p.source[t]),
                       p.triangle + t * size);
  for (int64_t e = thread(); e < size * size; e += threads()) p.inverse[e] = e / size == e % size ? 1 : 0;
  __syncthreads();
  for (int64_t i = thread(); i < r; i += threads())
    for (int64_t t = size - 1; t >= 0; --t) {
      double sum = p.basis[t * r + i];
      for (int64_t s = t + 1; s < size; ++s) sum -= p.triangle[s * size + t] * p.frame[s * r + i];
      p.frame[t * r + i] = sum / p.triangle[t * size + t];
    }
  __syncthreads();
  state.phase = Phase::beyond_rank;
  state.measure = true;
  state.num_directions = state.applied = 0;
  for (int64_t s = 0; s < state.chosen; ++s)
    for (int64_t e = p.op.pivot[s] * c; e < (p.op.pivot[s] + 1) * c; ++e) {
      bool in_basis = false;
      for (int64_t t = 0; t < size; ++t) in_basis = in_basis || p.source[t] == e;
      if (!in_basis) add_to_leverage(p, state, e, partial);
    }
}

}  // namespace pinn::pivot_cuda
