// The Gram matrix on the CPU: parts of the columns over threads, block by block, the lower triangle in tiles of
// kRows x kRows sums that stay in registers along a block. No product is summed across lanes before the block ends.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/parallel.h"
#include "core/simd.h"
#include "core/workspace.h"
#include "selection/gram.h"
#include "selection/packed_rows.h"

namespace pinn {
namespace {

using gram::ceil_div;
using gram::kRows;
using gram::kStep;

// Lanes of two halves of a, and of b, in turn: (a0 + ah, b0 + bh, a1 + a(h + 1), ...), h = size / 2.
template <typename V, int... lane>
PINN_INLINE V add_halves(V a, V b, std::integer_sequence<int, lane...>) {
  constexpr int size = V::size;
  return V(__builtin_shufflevector(a.raw, b.raw, (lane / 2 + lane % 2 * size)...)) +
         V(__builtin_shufflevector(a.raw, b.raw, (size / 2 + lane / 2 + lane % 2 * size)...));
}

// The lane of the sum of vector `index` of `size`: the first two to be added differ in the highest bit.
PINN_INLINE constexpr int lane_of_sum(int index, int size) {
  int lane = 0;
  for (int bit = 1; bit < size; bit *= 2) lane = 2 * lane + (index & bit ? 1 : 0);
  return lane;
}

// The sums of the lanes of many vectors, as one vector: halves of two vectors are added at a time, so that a vector
// costs two shuffles and an addition, and not a chain of its own. v[0] becomes the sums of `count` vectors, at most
// V::size of them; `spread` lanes of each are left to add.
template <typename V, int count, int spread = V::size>
PINN_INLINE void lane_sums(V* v) {
  if constexpr (spread > 1) {
#pragma GCC unroll 16
    for (int i = 0; i < count / 2; ++i)
      v[i] = add_halves(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, V::size>{});
    if constexpr (count % 2 == 1)
      v[count / 2] = add_halves(v[count - 1], V(typename V::Scalar(0)), std::make_integer_sequence<int, V::size>{});
    lane_sums<V, (count + 1) / 2, spread / 2>(v);
  }
}

// Two panels of a block, in the first-level cache; all of them, in most of a second-level one.
constexpr int64_t kTwoPanelBytes = 30 << 10;
constexpr int64_t kBlockBytes = 640 << 10;
// Sums over parts of the columns: at most so many, and of so many bytes together (one may have more).
constexpr int64_t kMaxParts = 32;
constexpr int64_t kPartsBytes = 64 << 20;

// A tile's sums: [kGroups][V::size], the sum of rows i and j at tile_place(i, j).
template <Isa isa, typename S>
inline constexpr int kGroups = (kRows<isa> * kRows<isa> + Vec<isa, S>::size - 1) / Vec<isa, S>::size;
template <Isa isa, typename S>
inline constexpr int kTileSums = kGroups<isa, S> * Vec<isa, S>::size;

template <Isa isa, typename S>
PINN_INLINE constexpr int64_t tile_place(int64_t i, int64_t j) {
  constexpr int size = Vec<isa, S>::size;
  const int index = static_cast<int>(i * kRows<isa> + j);
  return index / size * size + lane_of_sum(index % size, size);
}

// How r x n is cut: depends on nothing else.
template <Isa isa, typename S>
struct Plan {
  int64_t panels, side, steps, columns, blocks, parts, part_numbers;

  PINN_INLINE Plan(int64_t r, int64_t n) {
    constexpr int64_t step_bytes = kStep<isa, S> * static_cast<int64_t>(sizeof(S)), width = Vec<isa, S>::size;
    panels = ceil_div(r, kRows<isa>);
    side = panels * kRows<isa>;
    const int64_t max_steps = kTwoPanelBytes / (2 * step_bytes);
    steps = std::min(std::clamp<int64_t>(kBlockBytes / (panels * step_bytes), 8, max_steps), ceil_div(n, width));
    columns = steps * width;
    blocks = ceil_div(n, columns);
    part_numbers = tile(panels) + side + 1;  // products, along the mean, square of the mean
    const int64_t fit = kPartsBytes / (part_numbers * static_cast<int64_t>(sizeof(double)));
    parts = std::min({blocks, kMaxParts, std::max<int64_t>(1, fit)});
  }
  PINN_INLINE int64_t first_block(int64_t part) const { return part * blocks / parts; }
  // Where the sums of a row of tiles begin.
  PINN_INLINE static int64_t tile(int64_t panel) { return panel * (panel + 1) / 2 * kTileSums<isa, S>; }
};

template <typename V>
PINN_INLINE void add_in_double(V sums, double* to) {
  typename V::Scalar lane[V::size];
  sums.store(lane);
  for (int j = 0; j < V::size; ++j) to[j] += static_cast<double>(lane[j]);
}

// to[tile_place(i, j)] += x_i . y_j
template <Isa isa, typename S>
PINN_INLINE void add_tile(const S* x, const S* y, int64_t steps, double* to) {
  using V = Vec<isa, S>;
  constexpr int R = kRows<isa>, last = R * R - (kGroups<isa, S> - 1) * V::size;
  V sum[R * R];
#pragma GCC unroll 32
  for (int i = 0; i < R * R; ++i) sum[i] = V(S(0));
  for (; steps > 0; --steps, x += kStep<isa, S>, y += kStep<isa, S>) {
    V column[R];
#pragma GCC unroll 8
    for (int j = 0; j < R; ++j) column[j] = V::load(y + j * V::size);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const V row = V::load(x + i * V::size);
#pragma GCC unroll 8
      for (int j = 0; j < R; ++j) sum[i * R + j] += row * column[j];
    }
  }
#pragma GCC unroll 8
  for (int g = 0; g + 1 < kGroups<isa, S>; ++g) {
    lane_sums<V, V::size>(sum + g * V::size);
    add_in_double(sum[g * V::size], to + g * V::size);
  }
  lane_sums<V, last>(sum + R * R - last);
  add_in_double(sum[R * R - last], to + R * R - last);
}

// Takes the mean off a panel's rows, and adds their products with it.
template <Isa isa, typename S>
PINN_INLINE void centre_panel(const S* mean, int64_t steps, int64_t rows, S* panel, double* along_mean) {
  using V = Vec<isa, S>;
  for (int64_t i = 0; i < rows; ++i) {
    V sum(S(0));
    for (int64_t s = 0; s < steps; ++s) {
      S* const at = panel + s * kStep<isa, S> + i * V::size;
      const V m = V::load(mean + s * V::size), x = V::load(at) - m;
      x.store(at);
      sum += x * m;
    }
    along_mean[i] += static_cast<double>(sum.sum());
  }
}

template <Isa isa, typename S, typename T>
void add_block(const RowGram<T>& a, const Plan<isa, S>& plan, int64_t block, S* packed, S* mean, double* part) {
  using V = Vec<isa, S>;
  constexpr int R = kRows<isa>;
  const int64_t begin = block * plan.columns, count = std::min(plan.columns, a.n - begin);
  const int64_t steps = ceil_div(count, V::size), panel = steps * kStep<isa, S>;
  std::fill(mean, mean + plan.columns, S(0));
  gram::pack<isa>(a.a + begin, a.stride, a.r, count, steps, packed, [&](int64_t s, const V(&x)[R]) {
    V sum = x[0];
#pragma GCC unroll 8
    for (int i = 1; i < R; ++i) sum += x[i];
    (V::load(mean + s * V::size) + sum).store(mean + s * V::size);
  });
  double* const along_mean = part + plan.tile(plan.panels);
  double square = 0;
  for (int64_t j = 0; j < count; ++j) {
    mean[j] /= static_cast<S>(a.r);
    a.mean[begin + j] = static_cast<T>(mean[j]);
    square += static_cast<double>(mean[j]) * static_cast<double>(mean[j]);
  }
  along_mean[plan.side] += square;
  for (int64_t i = 0; i < plan.panels; ++i) {
    S* const row = packed + i * panel;
    centre_panel<isa>(mean, steps, std::min<int64_t>(R, a.r - i * R), row, along_mean + i * R);
    for (int64_t j = 0; j <= i; ++j)
      add_tile<isa>(row, packed + j * panel, steps, part + plan.tile(i) + j * kTileSums<isa, S>);
  }
}

template <Isa isa, typename S, typename T>
void gram_of(const RowGram<T>& a) {
  constexpr int64_t R = kRows<isa>;
  if (a.r == 0 || a.n == 0) {
    std::fill(a.gram, a.gram + a.r * a.r, 0.0);
    std::fill(a.along_mean, a.along_mean + a.r, 0.0);
    *a.mean_square = 0.0;
    return;
  }
  const Plan<isa, S> plan(a.r, a.n);
  const int64_t parts_bytes = plan.parts * plan.part_numbers * static_cast<int64_t>(sizeof(double));
  const int64_t numbers = plan.side * plan.columns + plan.columns;  // a block, and its mean
  const int64_t thread_bytes = ceil_div(numbers * static_cast<int64_t>(sizeof(S)), 64) * 64;
  const int64_t start = ceil_div(parts_bytes, 64) * 64;
  char* const memory = static_cast<char*>(workspace(static_cast<std::size_t>(start + max_threads() * thread_bytes)));
  double* const parts = reinterpret_cast<double*>(memory);

  parallel_for(plan.parts, a.r * a.n >= kMinParallelNumbers, [&](int64_t part) {
    S* const packed = reinterpret_cast<S*>(memory + start + thread_index() * thread_bytes);
    double* const sums = parts + part * plan.part_numbers;
    std::fill(sums, sums + plan.part_numbers, 0.0);
    for (int64_t block = plan.first_block(part); block < plan.first_block(part + 1); ++block)
      add_block<isa>(a, plan, block, packed, packed + plan.side * plan.columns, sums);
  });

  const auto total = [&](int64_t at) {
    double sum = 0;
    for (int64_t part = 0; part < plan.parts; ++part) sum += parts[part * plan.part_numbers + at];
    return sum;
  };
  parallel_for(a.r, plan.parts * a.r * a.r >= kMinParallelNumbers, [&](int64_t i) {
    const int64_t tiles = plan.tile(i / R);
    for (int64_t j = 0; j <= i; ++j) {
      const int64_t place = tiles + j / R * kTileSums<isa, S> + tile_place<isa, S>(i % R, j % R);
      a.gram[i * a.r + j] = a.gram[j * a.r + i] = total(place);
    }
    a.along_mean[i] = total(plan.tile(plan.panels) + i);
  });
  *a.mean_square = total(plan.tile(plan.panels) + plan.side);
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const RowGram<T>& a) {
  if (a.in_double)
    gram_of<isa, double>(a);
  else
    gram_of<isa, T>(a);
}

template void run_on_cpu(IsaConstant<kIsa>, const RowGram<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const RowGram<double>&);

}  // namespace pinn
