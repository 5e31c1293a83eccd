// The products of all columns of a tall matrix with one another: the contract.
//
//   out (+)= A' A, its upper triangle,   A [rows, p]
//
// Rows of A are copied, in S, into panels of columns. Products of kPanelRows rows are summed in registers in S, and
// these sums in float64. The order depends on the sizes alone, so every number of threads gives the same bits.
#pragma once

#include <cstdint>

#include "core/run.h"

namespace pinn {

template <typename T>
struct NormalMatrix {
  const T* a;  // [rows, p]: number (i, j) at i * row_stride + j * column_stride
  // outputs
  double* out;  // [p, p]; what is below the diagonal means nothing
  std::int64_t rows, p, row_stride, column_stride;
  bool in_single;   // products in float32
  bool accumulate;  // add to out
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NormalMatrix<T>&);

}  // namespace pinn
