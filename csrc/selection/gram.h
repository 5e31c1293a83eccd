// Few long rows: their Gram matrix about the mean row, and sums of them. The contract.
//
//   gram = (A - 1 m') (A - 1 m')',   m = mean of the rows,   along_mean = (A - 1 m') m,   mean_square = m'm
//   out  = R (A - 1 c')              R [l, r], c any row
//
// A block of columns is copied, less the mean, into panels of rows that stay in the cache (packed_rows.h); A is read
// once by each. Products of a block are taken in T, or in double, and added to those of other blocks in double: what
// rounds grows with the block, not with n. Blocks are dealt to parts that depend on r and n alone, and the parts are
// added in order; a column of out is a sum in the order of the rows. So every number of threads gives the same bits.
#pragma once

#include <cstdint>

#include "core/run.h"

namespace pinn {

template <typename T>
struct RowGram {
  const T* a;  // [r, n], a row every `stride` numbers
  // outputs
  double* gram;         // [r, r]
  T* mean;              // [n]
  double* along_mean;   // [r]
  double* mean_square;  // [1]
  std::int64_t r, n, stride;
  bool in_double;  // products, and the mean that is taken off
};

template <typename T>
struct ProjectRows {
  const T* a;         // [r, n], a row every `stride` numbers
  const T* rotation;  // [l, r]
  const T* mean;      // [n], or null for zeros
  // outputs
  T* out;  // [l, n]
  std::int64_t l, r, n, stride;
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const RowGram<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const ProjectRows<T>&);

}  // namespace pinn
