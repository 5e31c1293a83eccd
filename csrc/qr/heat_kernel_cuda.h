// A heat of the tournament by one block: Gram-Schmidt with pivoting of columns that lie in shared memory.
//
//   winner s = argmax_j weight_j |res_j| - cost_j,   then for all columns of the heat: res -= q q' res
//
// Residuals are written where the columns lie, in the type of A: their squares lose nothing to cancellation, and a
// direction is a column that is there, over its length. So the winners' own columns are read once more where they
// came from. All limits hold within a heat, so its winners may stand together.
#pragma once

#include "qr/heat_plan_cuda.h"
#include "qr/pivot_block_cuda.h"

namespace pinn::pivot_cuda {

// All heats of a round.
template <typename T>
struct Heats {
  PivotedQr<T> op;  // the whole: weights, costs and limits by the numbers of A
  HeatShape shape;
  const T* a;             // [r, stride], the columns of n candidates
  const int64_t* number;  // [n] in A, -1: an empty slot; null: as they come
  int64_t n, stride;
  const double* basis;  // of the forced ones' span, [span->num_basis, r]; null: none
  const State* span;
  // outputs
  T* winner;               // [r, winner_stride]: heat h has the candidates from h slots
  int64_t* winner_number;  // [heats slots], -1: an empty slot
  int64_t winner_stride;
};

// What a thread has of its block's heat: a part of a column's rows, and a candidate.
template <typename T>
struct Player {
  HeatMemory<T> memory;
  int64_t begin;  // candidates of the field
  int count, column, part;
  bool has_column;
  int64_t number;     // of candidate thread() in A; -1: none, or it cannot be chosen
  int64_t in_region;  // winners in its region
};

template <typename T>
__device__ __forceinline__ Player<T> enter(const Heats<T>& h) {
  Player<T> me;
  place_heat(me.memory, static_cast<char*>(dynamic_shared()), h.shape, h.op.size.r, threads());
  const PivotedQr<T>& op = h.op;
  me.begin = static_cast<int64_t>(blockIdx.x) * h.shape.width;
  me.count = static_cast<int>(h.n - me.begin < h.shape.width ? h.n - me.begin : h.shape.width);
  me.column = thread() % h.shape.columns;
  me.part = thread() / h.shape.columns;
  me.has_column = me.part < h.shape.parts && me.column < me.count * op.size.c;
  me.number = -1;
  me.in_region = 0;
  if (thread() >= me.count) return me;
  const int64_t number = h.number == nullptr ? me.begin + thread() : h.number[me.begin + thread()];
  if (number < 0) return me;
  bool blocked = op.forbidden != nullptr && op.forbidden[number] != 0;
  blocked = blocked || (op.region != nullptr && op.quota[op.region[number]] == 0);
  if (h.number == nullptr)  // these need no heat
    for (int64_t i = 0; i < op.size.num_forced; ++i) blocked = blocked || op.forced[i] == number;
  if (!blocked) me.number = number;
  return me;
}

// The columns and their squares. Loads go out some at a time.
template <typename T>
__device__ __forceinline__ void load_columns(const Heats<T>& h, const Player<T>& me) {
  constexpr int kAhead = 32 / static_cast<int>(sizeof(T));
  if (me.has_column) {
    const int r = static_cast<int>(h.op.size.r), parts = h.shape.parts, stride = h.shape.columns + 1;
    const T* const from = h.a + me.begin * h.op.size.c + me.column;
    T* const to = me.memory.column + me.column;
    T square = 0;
    for (int first = me.part; first < r; first += kAhead * parts) {
      T x[kAhead];
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int row = first + i * parts;
        x[i] = row < r ? from[row * h.stride] : T(0);
      }
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int row = first + i * parts;
        if (row < r) to[row * stride] = x[i];
        square += x[i] * x[i];
      }
    }
    me.memory.square[me.part * h.shape.columns + me.column] = square;
  }
  __syncthreads();
}

// |res|^2 of a column.
template <typename T>
__device__ __forceinline__ T square_of(const Heats<T>& h, const Player<T>& me, int column) {
  T sum = 0;
  for (int part = 0; part < h.shape.parts; ++part) sum += me.memory.square[part * h.shape.columns + column];
  return sum;
}

// |res|^2 of the candidate of this thread.
template <typename T>
__device__ __forceinline__ T square_of_candidate(const Heats<T>& h, const Player<T>& me) {
  const int c = static_cast<int>(h.op.size.c);
  T sum = 0;
  for (int e = thread() * c; e < (thread() + 1) * c; ++e) sum += square_of(h, me, e);
  return sum;
}

// The score of the candidate of this thread; none where it cannot be chosen.
template <typename T>
__device__ __forceinline__ double score_of(const Heats<T>& h, const Player<T>& me, double rounding) {
  if (me.number < 0) return no_score();
  const double square = static_cast<double>(square_of_candidate(h, me));
  return square > rounding * rounding ? weighted_score(h.op, me.number, square, 1) : no_score();
}

// res -= q q' res for all columns, q in memory.direction. All threads have written their part of q.
template <typename T>
__device__ __forceinline__ void take_out_direction(const Heats<T>& h, const Player<T>& me) {
  const int r = static_cast<int>(h.op.size.r), parts = h.shape.parts, columns = h.shape.columns, stride = columns + 1;
  const T* const q = me.memory.direction;
  T* const column = me.memory.column + me.column;
  __syncthreads();
  if (me.has_column) {
    T sum = 0;
#pragma unroll 8
    for (int row = me.part; row < r; row += parts) sum += q[row] * column[row * stride];
    me.memory.product[me.part * columns + me.column] = sum;
  }
  __syncthreads();
  if (me.has_column) {
    T product = 0, square = 0;
    for (int part = 0; part < parts; ++part) product += me.memory.product[part * columns + me.column];
#pragma unroll 8
    for (int row = me.part; row < r; row += parts) {
      const T rest = column[row * stride] - product * q[row];
      column[row * stride] = rest;
      square += rest * rest;
    }
    me.memory.square[me.part * columns + me.column] = square;
  }
  __syncthreads();
}

// The directions of candidate j whose length is above the rounding level, the longest first.
template <typename T>
__device__ __forceinline__ void take_out_candidate(const Heats<T>& h, const Player<T>& me, int j, double rounding) {
  const int r = static_cast<int>(h.op.size.r), c = static_cast<int>(h.op.size.c), stride = h.shape.columns + 1;
  for (int d = 0; d < c; ++d) {
    int longest = j * c;
    T square = square_of(h, me, longest);
    for (int e = j * c + 1; e < (j + 1) * c; ++e) {
      const T other = square_of(h, me, e);
      if (other > square) longest = e, square = other;
    }
    const double length = ::sqrt(static_cast<double>(square));
    if (!(length > rounding)) return;
    for (int row = thread(); row < r; row += threads())
      me.memory.direction[row] = me.memory.column[row * stride + longest] / static_cast<T>(length);
    take_out_direction(h, me);
  }
}

// Whether the candidate of this thread stands no more after `taken` was chosen.
template <typename T>
__device__ __forceinline__ bool is_closed_by(const PivotedQr<T>& op, Player<T>& me, int64_t taken) {
  if (me.number == taken) return true;
  if (op.position != nullptr && too_near(op, me.number, taken)) return true;
  if (op.region == nullptr || op.region[me.number] != op.region[taken]) return false;
  return ++me.in_region >= op.quota[op.region[taken]];
}

// The k best, into memory.chosen by their order; how many there were.
template <typename T>
__device__ __forceinline__ int play(const Heats<T>& h, Player<T>& me, double rounding) {
  const int k = static_cast<int>(h.op.size.k);
  // Where the rank has ended, whoever is left goes on by number, so that there are k to choose from beyond it.
  bool beyond_rank = false;
  int won = 0;
  while (won < k) {
    Best best{no_score(), -1};
    const double score = !beyond_rank ? score_of(h, me, rounding) : me.number >= 0 ? 0 : no_score();
    if (score > no_score()) best.meet(score, thread());
    best = best_of_block(best, me.memory.partial);
    if (best.candidate < 0) {
      if (beyond_rank) break;
      beyond_rank = true;
      continue;
    }
    const int j = static_cast<int>(best.candidate);
    const int64_t taken = h.number == nullptr ? me.begin + j : h.number[me.begin + j];
    if (me.number >= 0 && is_closed_by(h.op, me, taken)) me.number = -1;
    if (thread() == 0) me.memory.chosen[won] = j;
    ++won;
    if (!beyond_rank && won < k) take_out_candidate(h, me, j, rounding);
  }
  return won;
}

// The longest of lot thread() before anything was chosen; -1: none.
template <typename T>
__device__ __forceinline__ int longest_of_lot(const Heats<T>& h, const Player<T>& me) {
  const int lots = static_cast<int>(h.shape.lots), size = (me.count + lots - 1) / lots, first = thread() * size;
  Best best{no_score(), -1};
  if (thread() < lots)
    for (int j = first; j < first + size && j < me.count; ++j)
      if (me.memory.score[j] > no_score()) best.meet(me.memory.score[j], j);
  return static_cast<int>(best.candidate);
}

// memory.order: the winners and the longest, ascending, so that ties in later rounds go to the lowest.
template <typename T>
__device__ __forceinline__ void put_in_order(const Heats<T>& h, const Player<T>& me, int won, int longest) {
  const int k = static_cast<int>(h.op.size.k), slots = static_cast<int>(h.shape.slots);
  int* const chosen = me.memory.chosen;
  for (int s = won + thread(); s < k; s += threads()) chosen[s] = -1;
  for (int s = thread(); s < slots; s += threads()) me.memory.order[s] = -1;
  __syncthreads();
  if (thread() < h.shape.lots) {
    bool won_too = false;
    for (int s = 0; s < won; ++s) won_too = won_too || chosen[s] == longest;
    chosen[k + thread()] = won_too ? -1 : longest;
  }
  __syncthreads();
  for (int s = thread(); s < slots; s += threads()) {
    if (chosen[s] < 0) continue;
    int place = 0;
    for (int other = 0; other < slots; ++other) place += chosen[other] >= 0 && chosen[other] < chosen[s] ? 1 : 0;
    me.memory.order[place] = chosen[s];
  }
  __syncthreads();
}

// The slots of this heat. in_first_empty: what the columns of the first slot hold, where it is empty.
template <typename T>
__device__ __forceinline__ void send_on(const Heats<T>& h, const Player<T>& me, T in_first_empty) {
  const int c = static_cast<int>(h.op.size.c), slots = static_cast<int>(h.shape.slots), length = slots * c;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * slots;
  for (int e = thread(); e < length * static_cast<int>(h.op.size.r); e += threads()) {
    const int row = e / length, s = e % length / c, j = me.memory.order[s];
    T number = s == 0 ? in_first_empty : T(0);
    if (j >= 0) number = h.a[row * h.stride + (me.begin + j) * c + e % c];
    h.winner[row * h.winner_stride + first * c + e % length] = number;
  }
  for (int s = thread(); s < slots; s += threads()) {
    const int64_t j = me.memory.order[s];
    h.winner_number[first + s] = j < 0 ? -1 : h.number == nullptr ? me.begin + j : h.number[me.begin + j];
  }
}

template <typename T>
__global__ void __launch_bounds__(kHeatThreads, kHeatsTogether<T>) heat_kernel(Heats<T> h) {
  Player<T> me = enter(h);
  load_columns(h, me);
  bool finite = true;
  Best largest{0, -1};
  if (thread() < me.count) {
    const T square = square_of_candidate(h, me);
    finite = square - square == T(0);
    if (me.number >= 0) largest.meet(static_cast<double>(square), thread());
  }
  if (any_of_block(!finite, me.memory.partial)) {
    // An infinity goes through all rounds to the exact choice, which reports it.
    put_in_order(h, me, 0, -1);
    return send_on(h, me, static_cast<T>(HUGE_VAL));
  }
  largest = best_of_block(largest, me.memory.partial);
  const double rounding = h.op.size.tolerance * ::sqrt(largest.score);
  if (thread() < me.count) me.memory.score[thread()] = score_of(h, me, rounding);
  __syncthreads();
  const int longest = longest_of_lot(h, me);
  if (h.basis != nullptr)
    for (int64_t t = 0; t < h.span->num_basis; ++t) {
      for (int64_t row = thread(); row < h.op.size.r; row += threads())
        me.memory.direction[row] = static_cast<T>(h.basis[t * h.op.size.r + row]);
      take_out_direction(h, me);
    }
  const int won = play(h, me, rounding);
  put_in_order(h, me, won, longest);
  send_on(h, me, T(0));
}

}  // namespace pinn::pivot_cuda
