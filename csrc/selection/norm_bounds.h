// Upper bounds of the residual norms of many columns, down-dated lazily (greedy.h chooses by them).
//
// A residual norm only falls when a direction is projected out, so a stale one is an upper bound. Candidates are in
// blocks. The best few of each block are *kept*: copied together, so that they stay in cache, and updated apart from
// the rest. For the rest one number stands, the largest score among them when the block was last *recomputed*. That
// reads the block once, whatever the number of directions that have come since.
//
// All norms are upper bounds: value + slack, the rounding that S may have left in the value. Exact ones are taken in
// double, of the few candidates that may be the best.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace pinn::pivots {

using std::int64_t;

// Columns of one tile: two registers of AVX-512. Packed columns are tiles after tiles, [tile][r][kTileBytes].
inline constexpr int64_t kTileBytes = 128;
template <typename S>
inline constexpr int64_t kTile = kTileBytes / static_cast<int64_t>(sizeof(S));

// Packed columns that a thread works on at once: half of the smallest second-level cache around.
inline constexpr int64_t kSlabBytes = 512 * 1024;

inline constexpr int64_t kMaxKept = 64;

template <typename In>
struct Columns {
  const In* a;  // [r, n c]; candidate j has the columns j c to (j + 1) c of each row
  int64_t r, n, c, stride;
};

// In: numbers of A; S: in which norms are followed.
template <typename In, typename S>
struct NormBounds {
  Columns<In> columns;
  const In* weight;             // [n] or null
  const In* cost;               // [n] or null
  double cost_scale;            // costs are multiplied by it
  const std::uint8_t* blocked;  // [n]
  S floor;                      // a squared norm up to it counts as none
  double relative_slack;        // of a value, relative to what it was when it was measured
  const S* frame;               // [num_frame, r]: squares of products with its rows are measured; null: squares
  int64_t num_frame;
  double frame_square;  // sum of the frame's squares
  const S* direction;   // [num_directions, r]: what has been chosen since
  const double* exact;  // the same in double; null: no norm can be taken anew
  int64_t num_directions;
  int64_t width;  // candidates of a block
  int64_t keep;   // of them kept

  // state, by column
  S* value;  // [n c]
  S* slack;  // [n c]
  // state, by block
  int64_t* applied;       // directions that the values have seen; -1: not measured yet
  int64_t* kept_applied;  // directions that the kept candidates have seen
  int64_t* kept_count;
  S* outside;            // largest score among the others, when last recomputed
  S* inside;             // largest score among the kept, when last updated
  S* largest;            // largest measured value of a candidate that is not blocked
  std::uint8_t* finite;  // whether all values were
  // state, by block and kept candidate
  int64_t* kept;       // [keep] candidates, ascending
  S* kept_key;         // [keep] scores, upper bounds
  double* kept_exact;  // [keep] exact scores of an earlier step, upper bounds too; infinity: none yet
  S* kept_value;       // [keep c]
  S* kept_slack;       // [keep c]
  S* kept_columns;     // packed
  // by thread
  S* slab;         // packed columns of a block, or of a part of it
  S* keys;         // [width]
  double* column;  // [r]

  int64_t num_blocks() const { return (columns.n + width - 1) / width; }
  int64_t tiles_of(int64_t candidates) const { return (candidates * columns.c + kTile<S> - 1) / kTile<S>; }
  int64_t slab_tiles() const {
    const int64_t fit = kSlabBytes / (columns.r * kTileBytes), all = tiles_of(width);
    return fit < 1 ? 1 : fit < all ? fit : all;
  }
};

// Updates all candidates of a block and keeps the best of them. `best` is a score that is known to be reached.
template <Isa isa, typename In, typename S>
void recompute_block(IsaConstant<isa>, const NormBounds<In, S>&, int64_t block, int64_t thread, double best);

// Updates the kept candidates of a block.
template <Isa isa, typename In, typename S>
void update_candidates(IsaConstant<isa>, const NormBounds<In, S>&, int64_t block);

// v -= Q' Q v for the rows of Q [s, r], one after the other; the squared length of what is left.
template <Isa isa>
double project_out(IsaConstant<isa>, const double* Q, int64_t s, int64_t r, double* v);

}  // namespace pinn::pivots
