// The tournament on the GPU: how many candidates a heat has, how many rounds there are, and where all of it lies.
//
// A block of threads plays a heat with its columns in shared memory, a column to a thread, or to several with a part of
// the rows each. A heat always sends on as many slots, those that stay empty are marked; so all sizes are known before
// the first launch. They are a function of the sizes of the choice and of the shared memory that a block can have.
#pragma once

#include "qr/heats.h"
#include "qr/pivot_plan_cuda.h"

namespace pinn::pivot_cuda {

inline constexpr int kHeatThreads = 512;
// On a multiprocessor: numbers of double take too many registers for two.
template <typename T>
inline constexpr int kHeatsTogether = sizeof(T) == 4 ? 2 : 1;
inline constexpr int kFieldThreads = 256;
// Of a largest length in float, whose square has not vanished; as on the CPU.
inline constexpr double kSmallestFloat = 0x1p-35;

struct HeatShape {
  int64_t width;  // candidates; 0: too few fit
  int64_t slots;  // for those that go on: k, and the longest of each lot
  int64_t lots;
  int columns;  // side by side in shared memory, whole warps
  int parts;    // of the rows of a column
  int64_t bytes;
};

// The shared memory of a heat.
template <typename T>
struct HeatMemory {
  double* partial;  // [2, warps]
  double* score;    // [width] before anything was chosen
  T* column;        // [r, columns + 1]: a column, too, goes through all banks
  T* direction;     // [r]
  T* product;       // [parts, columns] with the direction
  T* square;        // [parts, columns] of what is left
  int* chosen;      // [slots] winners by the order of choice, then the longest; -1: none
  int* order;       // [slots] the same, ascending
};

// Returns the bytes; without memory it only counts.
template <typename T>
PINN_HD int64_t place_heat(HeatMemory<T>& heat, char* memory, const HeatShape& shape, int64_t r, int threads) {
  int64_t bytes = 0;
  const auto place = [&](auto*& array, int64_t count) {
    array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(memory + bytes);
    bytes += (count * static_cast<int64_t>(sizeof(*array)) + 15) / 16 * 16;
  };
  place(heat.partial, threads / kWarp * 2);
  place(heat.score, shape.width);
  place(heat.column, r * (shape.columns + 1));
  place(heat.direction, r);
  place(heat.product, shape.parts * shape.columns);
  place(heat.square, shape.parts * shape.columns);
  place(heat.chosen, shape.slots);
  place(heat.order, shape.slots);
  return bytes;
}

// shared_bytes: what one block can have.
template <typename T>
HeatShape shape_of_heats(const PivotSize& size, int64_t shared_bytes, int threads) {
  HeatShape shape{};
  shape.lots = num_longest(size.k);
  shape.slots = size.k + shape.lots;
  // The widest that fits, of at least so many times those that go on.
  const auto widest = [&](int64_t fit, int64_t times) {
    for (int columns = threads / kWarp * kWarp; columns > 0; columns -= kWarp) {
      shape.columns = columns;
      shape.parts = threads / columns;
      shape.width = columns / size.c;
      if (shape.width < times * shape.slots) break;
      HeatMemory<T> counted;
      shape.bytes = place_heat(counted, nullptr, shape, size.r, threads);
      if (shape.bytes <= fit) return true;
    }
    return false;
  };
  // Two blocks on a multiprocessor where they still reduce the field to a quarter: one computes while the other waits.
  // Each takes 1 KB besides, which the limit of a single one has been relieved of.
  constexpr int64_t kReserved = 1024;
  if (kHeatsTogether<T> == 2 && widest((shared_bytes + kReserved) / 2 - kReserved, 4)) return shape;
  if (!widest(shared_bytes, 2)) shape.width = 0;
  return shape;
}

struct TournamentPlan {
  HeatShape shape;
  int num_rounds;  // 0: an exact choice of all
  bool serves;     // an exact choice of all is what was asked for

  int64_t heats_of(int64_t n) const { return (n + shape.width - 1) / shape.width; }
  int64_t winners_of(int64_t n) const { return heats_of(n) * shape.slots; }
};

// last: so many candidates need no heat.
template <typename T>
TournamentPlan plan_tournament(const PivotSize& size, int64_t shared_bytes, int threads = kHeatThreads,
                               int64_t last = kLastHeat) {
  TournamentPlan plan{};
  const bool small = size.n <= last || size.num_forced == size.k;
  plan.shape = shape_of_heats<T>(size, shared_bytes, threads);
  plan.serves = small || plan.shape.width > 0;
  if (small || !plan.serves) return plan;
  for (int64_t n = size.n; n > last && plan.winners_of(n) < n; n = plan.winners_of(n)) ++plan.num_rounds;
  return plan;
}

// The winners of a round, after as many candidates as are forced.
template <typename T>
struct Winners {
  T* a;             // [r, (num_forced + n) c]
  int64_t* number;  // [num_forced + n] in A; -1: an empty slot
  int64_t n;        // slots
};

// The arguments of the winners that are left, by slot; there is room for all, whether they are given or not.
template <typename T>
struct Arguments {
  std::uint8_t* forbidden;  // an empty slot
  T *weight, *cost;
  double* position;
  int64_t* region;
};

template <typename T>
struct ForcedColumns {
  T* a;             // [r, num_forced c]
  int64_t* number;  // [num_forced] among these columns, and among the winners
};

template <typename T>
struct TournamentWorkspace {
  Winners<T> winners[2];  // of odd and of even rounds
  Arguments<T> arguments;
  ForcedColumns<T> forced;
  PivotedQr<T> span;  // the choice of the forced ones alone, for its basis
  PivotedQr<T> last;  // the exact choice of the winners that are left
  int64_t bytes;
};

// Fills in what has its place in the workspace. Without memory it only counts.
template <typename T>
TournamentWorkspace<T> place_tournament(const PivotedQr<T>& op, const TournamentPlan& plan) {
  TournamentWorkspace<T> w{};
  char* const memory = static_cast<char*>(op.workspace);
  const auto take = [&](int64_t bytes) {
    char* const begin = memory + w.bytes;
    w.bytes += (bytes + 255) / 256 * 256;
    return begin;
  };
  const auto place = [&](auto*& array, int64_t count) {
    using Pointer = std::remove_reference_t<decltype(array)>;
    array = reinterpret_cast<Pointer>(take(count * static_cast<int64_t>(sizeof(*array))));
  };
  const auto place_pivoting = [&](PivotedQr<T>& choice) {
    Pivoting<T> counted{};
    counted.op.size = choice.size;
    choice.workspace = take(place_workspace(counted));
  };
  const PivotSize& size = op.size;
  int64_t n = size.n;
  for (int round = 0; round < plan.num_rounds; ++round) {
    Winners<T>& winners = w.winners[round % 2];
    winners.n = n = plan.winners_of(n);
    if (round >= 2) continue;  // there are fewer of them every time
    place(winners.a, size.r * (size.num_forced + n) * size.c);
    place(winners.number, size.num_forced + n);
  }
  w.last = op;
  if (plan.num_rounds == 0) {
    place_pivoting(w.last);
    return w;
  }
  w.last.size.n = size.num_forced + n;
  w.last.a = w.winners[(plan.num_rounds - 1) % 2].a;
  place(w.arguments.forbidden, w.last.size.n);
  place(w.arguments.weight, w.last.size.n);
  place(w.arguments.cost, w.last.size.n);
  place(w.arguments.position, w.last.size.n * size.d);
  place(w.arguments.region, w.last.size.n);
  w.last.forbidden = w.arguments.forbidden;
  if (op.weight != nullptr) w.last.weight = w.arguments.weight;
  if (op.cost != nullptr) w.last.cost = w.arguments.cost;
  if (op.position != nullptr) w.last.position = w.arguments.position;
  if (op.region != nullptr) w.last.region = w.arguments.region;
  place_pivoting(w.last);
  if (size.num_forced == 0) return w;
  place(w.forced.a, size.r * size.num_forced * size.c);
  place(w.forced.number, size.num_forced);
  w.last.forced = w.forced.number;
  w.span.a = w.forced.a;
  w.span.forced = w.forced.number;
  w.span.size = size;
  w.span.size.n = w.span.size.k = size.num_forced;
  w.span.size.num_regions = 0;
  place(w.span.pivot, size.num_forced);
  place(w.span.r_diagonal, size.num_forced);
  place(w.span.report, kPivotReport);
  place_pivoting(w.span);
  return w;
}

}  // namespace pinn::pivot_cuda
