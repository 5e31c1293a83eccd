// Sketches of the rows of a matrix: the contract.
//
//   out = S A,   or   out += S A,   S [l, r] random, never stored whole
//
// Entry (i, row) of S is a function of (seed, kind, i, row_offset + row) alone: sketch_point.h. Each number of out adds
// its terms in the order of the rows, to zero or to what out held. So a matrix that comes in blocks of rows, one after
// the other, gives the bits of one call with all rows, whatever the blocks and the threads.
#pragma once

#include <cstdint>

#include "core/run.h"

namespace pinn {

enum class SketchKind { gaussian, sparse_sign };

struct Sketch {
  SketchKind kind;
  std::uint64_t seed;
  std::int64_t l;  // rows of the sketch
};

template <typename T>
struct SketchRows {
  const T* a;  // [r, n], a row every `stride` numbers
  // outputs
  T* out;        // [l, n]
  T* workspace;  // [min(r, kSketchChunk), l] on the GPU; unused on the CPU
  Sketch sketch;
  std::int64_t r, n, stride;
  std::int64_t row_offset;  // of the first row of a among the rows of all blocks
  bool accumulate;          // add to out
};

// Rows of A whose part of S is there at a time.
inline constexpr std::int64_t kSketchChunk = 512;

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const SketchRows<T>&);

template <typename T>
void run_on_cuda(const SketchRows<T>&, Stream);

}  // namespace pinn
