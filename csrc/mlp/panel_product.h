// The matrix products of a tile whose features lie in vectors (panel_layout.h), blocked for registers.
//
// A tile's features lie in panels of P = two vectors: [features / P][rows][P]. A weight is packed the same way, so that
// its rows of P numbers are read in order. One block keeps its rows x P sums in registers; of a last panel that is half
// empty, one vector is computed and no more.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "core/simd.h"
#include "mlp/tile.h"

namespace pinn {

template <typename V>
inline constexpr std::int64_t kPanel = 2 * V::size;

template <typename V>
PINN_INLINE std::int64_t num_panels(std::int64_t features) {
  return (features + kPanel<V> - 1) / kPanel<V>;
}

// Features in panel j, and the vectors that hold them.
template <typename V>
PINN_INLINE std::int64_t panel_width(std::int64_t features, std::int64_t j) {
  const std::int64_t left = features - j * kPanel<V>;
  return left < kPanel<V> ? left : kPanel<V>;
}
template <typename V>
PINN_INLINE int panel_vectors(std::int64_t features, std::int64_t j) {
  return panel_width<V>(features, j) > V::size ? 2 : 1;
}

// The factors of a product as its blocks read them: slots of the size of T, each with `kDepth` numbers that follow each
// other in the sum. Here a slot is a number; bfloat16_pairs.h has two in one.
template <typename V>
struct Numbers {
  using Sum = V;
  using Vector = V;
  using T = typename V::Scalar;
  static constexpr std::int64_t kDepth = 1;

  PINN_INLINE static Vector load(const T* p) { return V::load(p); }
  PINN_INLINE static Vector broadcast(const T* p) { return V(*p); }
  PINN_INLINE static void add_product(V& sum, Vector a, Vector b) { sum += a * b; }

  // Panels of features as factors of a sum over rows, or over features; those that have to be made take `room` numbers.
  static const T* over_rows(const T* panels, std::int64_t, std::int64_t, T*) { return panels; }
  static const T* over_features(const T* panels, std::int64_t, std::int64_t, T*) { return panels; }
  static std::int64_t room(std::int64_t, std::int64_t) { return 0; }
};

template <typename F>
PINN_INLINE std::int64_t num_slots(std::int64_t numbers) {
  return (numbers + F::kDepth - 1) / F::kDepth;
}

// y[i] = sum_k x[i][k] b[k] for `rows` rows i.
template <typename F, int rows, int vectors, typename T>
void product_block(const T* x,                 // [panels of k][panel_stride], each [rows][P / kDepth]
                   std::int64_t panel_stride,  //
                   const T* b,                 // [num_k][P]
                   std::int64_t num_k,         // slots
                   T* y) {                     // [rows][P]
  using V = typename F::Sum;
  constexpr std::int64_t P = kPanel<V>, row = P / F::kDepth;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sum[i][v] = V(T(0));
  for (; num_k > 0; num_k -= row, x += panel_stride) {
    const std::int64_t here = num_k < row ? num_k : row;
    for (std::int64_t k = 0; k < here; ++k, b += P) {
      typename F::Vector column[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) column[v] = F::load(b + v * V::size);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const typename F::Vector a = F::broadcast(x + i * row + k);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) F::add_product(sum[i][v], a, column[v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sum[i][v].store(y + i * P + v * V::size);
}

// d[o] = sum_r v[r][o] x[r] for `rows` columns o of v, or d[o] += where it has a value already. The sum of this tile is
// formed first: one rounding against the running sum for each tile, not for each row.
template <typename F, int rows, int vectors, typename T>
void outer_block(const T* v,             // [num_rows][P], from column o on
                 const T* x,             // [num_rows][P]
                 std::int64_t num_rows,  // slots
                 T* d,                   // [rows][P]
                 bool add) {
  using V = typename F::Sum;
  constexpr std::int64_t P = kPanel<V>;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int w = 0; w < vectors; ++w) sum[i][w] = V(T(0));
  for (std::int64_t r = 0; r < num_rows; ++r, v += P, x += P) {
    typename F::Vector column[vectors];
#pragma GCC unroll 2
    for (int w = 0; w < vectors; ++w) column[w] = F::load(x + w * V::size);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const typename F::Vector a = F::broadcast(v + i);
#pragma GCC unroll 2
      for (int w = 0; w < vectors; ++w) F::add_product(sum[i][w], a, column[w]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int w = 0; w < vectors; ++w) {
      T* to = d + i * P + w * V::size;
      (add ? V::load(to) + sum[i][w] : sum[i][w]).store(to);
    }
}

// The blocks by their number of rows, [0] for one row.
template <typename T>
using ProductBlock = void (*)(const T*, std::int64_t, const T*, std::int64_t, T*);
template <typename T>
using OuterBlock = void (*)(const T*, const T*, std::int64_t, T*, bool);

template <typename F, int vectors, typename T, std::size_t... i>
constexpr std::array<ProductBlock<T>, sizeof...(i)> product_blocks(std::index_sequence<i...>) {
  return {&product_block<F, static_cast<int>(i) + 1, vectors, T>...};
}
template <typename F, int vectors, typename T, std::size_t... i>
constexpr std::array<OuterBlock<T>, sizeof...(i)> outer_blocks(std::index_sequence<i...>) {
  return {&outer_block<F, static_cast<int>(i) + 1, vectors, T>...};
}

// One panel of features of y = x b: x [num_k] features in panels of factors, b [num_k / kDepth][P], y [num_rows][P].
template <typename F, typename T>
void multiply_panel(const T* x, const T* b, T* y, std::int64_t num_rows, std::int64_t num_k, int vectors) {
  using V = typename F::Sum;
  using Rows = std::make_index_sequence<static_cast<std::size_t>(kBlockRows<V>)>;
  static constexpr auto one = product_blocks<F, 1, T>(Rows{});
  static constexpr auto two = product_blocks<F, 2, T>(Rows{});
  constexpr std::int64_t row = kPanel<V> / F::kDepth;
  const auto& blocks = vectors == 2 ? two : one;
  in_blocks(num_rows, kBlockRows<V>, [&](std::int64_t begin, std::int64_t rows) {
    blocks[static_cast<std::size_t>(rows - 1)](x + begin * row, num_rows * row, b, num_slots<F>(num_k),
                                               y + begin * kPanel<V>);
  });
}

// d (+)= v^T x over the rows: v [num_out] and x [num_in] features in panels, d [panels of in][num_out][P]; `room` for
// the factors of v and, behind them, of a panel of x.
template <typename F, typename T>
void add_outer_product(const T* v, const T* x, T* d, std::int64_t num_rows, std::int64_t num_out, std::int64_t num_in,
                       bool add, T* room) {
  using V = typename F::Sum;
  constexpr std::int64_t P = kPanel<V>;
  using Rows = std::make_index_sequence<static_cast<std::size_t>(kBlockRows<V>)>;
  static constexpr auto one = outer_blocks<F, 1, T>(Rows{});
  static constexpr auto two = outer_blocks<F, 2, T>(Rows{});
  const std::int64_t slots = num_slots<F>(num_rows);
  v = F::over_rows(v, num_out, num_rows, room);
  for (std::int64_t j = 0; j < num_panels<V>(num_in); ++j) {
    const auto& blocks = panel_vectors<V>(num_in, j) == 2 ? two : one;
    const T* column =
        F::over_rows(x + j * num_rows * P, panel_width<V>(num_in, j), num_rows, room + F::room(num_out, num_rows));
    for (std::int64_t k = 0; k < num_panels<V>(num_out); ++k)
      in_blocks(panel_width<V>(num_out, k), kBlockRows<V>, [&](std::int64_t begin, std::int64_t rows) {
        blocks[static_cast<std::size_t>(rows - 1)](v + k * slots * P + begin, column, slots,
                                                   d + (j * num_out + k * P + begin) * P, add);
      });
  }
}

}  // namespace pinn
