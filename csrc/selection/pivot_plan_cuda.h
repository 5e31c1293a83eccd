// Pivoted QR on the GPU: what the kernels share, and its place in the workspace.
//
// Norms are followed in double, whatever the type of A: the squares of residuals at float's rounding level are far
// above what double loses. A block of kThreads threads has `width` candidates, a thread one column at a time.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "selection/pivoted_qr.h"

namespace pinn::pivot_cuda {

using std::int64_t;

inline constexpr int kThreads = 256;         // of a block in a pass over A
inline constexpr int kAcceptThreads = 1024;  // of the one block that takes a pivot
inline constexpr int kWarp = 32;
inline constexpr int kDirections = 4;  // in one read of A
inline constexpr int kStage = 128;     // numbers of each direction in shared memory at a time
inline constexpr int kPassBytes = (kStage * kDirections + kAcceptThreads / kWarp * 2) * 8;
inline constexpr int kAcceptBytes = kAcceptThreads / kWarp * 2 * 8;

// LAPACK's rule (geqp3, Drmac and Bujanovic 2008): a down-dated square that has lost half of its digits is taken anew.
inline constexpr double kCancelled = 1.5e-8;
// Squares of smaller numbers run into the subnormal ones before the rounding level of the residuals.
inline constexpr double kSmallest = 0x1p-900;

enum class Phase : int64_t { pivoting, beyond_rank, done };

struct State {
  Phase phase;
  int64_t chosen, rank;
  int64_t num_basis;       // rows of `basis`
  int64_t num_directions;  // of the phase: those of the basis, or the leverage's
  int64_t applied;         // directions that the values have seen
  int64_t constrained;     // chosen ones that `blocked` has seen
  bool measure;            // the leverage of all candidates is to be taken anew
  double largest;          // |a| of an allowed candidate
};

template <typename T>
struct Pivoting {
  PivotedQr<T> op;
  int64_t columns;  // n c
  int64_t width;    // candidates of a block
  int64_t blocks;
  int64_t capacity;  // rows that the basis can have
  // workspace
  State* state;
  double* value;          // [columns] squared residual, or leverage
  double* measured;       // [columns] what it was when it was taken in full
  std::uint8_t* blocked;  // [n]
  double* best_score;     // [blocks]
  int64_t* best;          // [blocks] -1: none
  double* basis;          // [capacity, r] orthonormal
  int64_t* source;        // [capacity] the column that each came from
  double* vectors;        // [c, r] of the candidate that is taken
  double* square;         // [c]
  double* coefficient;    // [capacity]
  double* column;         // [blocks, r] of a block that takes norms anew
  double* projection;     // [blocks, capacity]
  double* triangle;       // [capacity, capacity]
  double* frame;          // [capacity, r]
  double* inverse;        // [capacity, capacity]
  double* z;              // [capacity]
  double* u;              // [capacity]
  double* direction;      // [k c, r] beyond the rank
  int64_t* left;          // [num_regions] of the quotas

  PINN_HD int64_t first_candidate(int64_t block) const { return block * width; }
  PINN_HD int64_t last_candidate(int64_t block) const {
    return (block + 1) * width < op.size.n ? (block + 1) * width : op.size.n;
  }
};

// Fills in all but `op`; returns the bytes of the workspace. Without memory it only counts.
template <typename T>
int64_t place_workspace(Pivoting<T>& p) {
  const PivotSize& size = p.op.size;
  const int64_t capacity = size.r < size.k * size.c ? size.r : size.k * size.c, r = size.r;
  p.columns = size.n * size.c;
  p.width = size.c < kThreads ? kThreads / size.c : 1;
  p.blocks = (size.n + p.width - 1) / p.width;
  p.capacity = capacity;
  int64_t bytes = 0;
  char* const memory = static_cast<char*>(p.op.workspace);
  const auto place = [&](auto*& array, int64_t count) {
    array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(memory + bytes);
    bytes += (count * static_cast<int64_t>(sizeof(*array)) + 255) / 256 * 256;
  };
  place(p.state, 1);
  place(p.value, p.columns);
  place(p.measured, p.columns);
  place(p.blocked, size.n);
  place(p.best_score, p.blocks);
  place(p.best, p.blocks);
  place(p.basis, capacity * r);
  place(p.source, capacity);
  place(p.vectors, size.c * r);
  place(p.square, size.c);
  place(p.coefficient, capacity);
  place(p.column, p.blocks * r);
  place(p.projection, p.blocks * capacity);
  place(p.triangle, capacity * capacity);
  place(p.frame, capacity * r);
  place(p.inverse, capacity * capacity);
  place(p.z, capacity);
  place(p.u, capacity);
  place(p.direction, size.k * size.c * r);
  place(p.left, size.num_regions);
  return bytes;
}

}  // namespace pinn::pivot_cuda
