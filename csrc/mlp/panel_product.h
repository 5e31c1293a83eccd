// The matrix products of a tile with its features in vectors (panel_layout.h), blocked for registers.
//
// A tile has its features in panels of P = two vectors: [features / P][rows][P]. A weight is packed the same way, so
// that its rows of P numbers are read in order. One block keeps its rows x P sums in registers; of a last panel that is
// half empty, one vector is computed and no more.
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

// y[i] = sum_k x[i][k] b[k] for `rows` rows i.
template <typename V, int rows, int vectors, typename T>
void product_block(const T* x,                 // [panels of k][panel_stride], each [rows][P]
                   std::int64_t panel_stride,  //
                   const T* b,                 // [num_k][P]
                   std::int64_t num_k,         //
                   T* y) {                     // [rows][P]
  constexpr std::int64_t P = kPanel<V>;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sum[i][v] = V(T(0));
  for (; num_k > 0; num_k -= P, x += panel_stride) {
    const std::int64_t here = num_k < P ? num_k : P;
    for (std::int64_t k = 0; k < here; ++k, b += P) {
      V column[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) column[v] = V::load(b + v * V::size);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const V a(x[i * P + k]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sum[i][v] += a * column[v];
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
template <typename V, int rows, int vectors, typename T>
void outer_block(const T* v,             // [num_rows][P], from column o on
                 const T* x,             // [num_rows][P]
                 std::int64_t num_rows,  //
                 T* d,                   // [rows][P]
                 bool add) {
  constexpr std::int64_t P = kPanel<V>;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int w = 0; w < vectors; ++w) sum[i][w] = V(T(0));
  for (std::int64_t r = 0; r < num_rows; ++r, v += P, x += P) {
    V column[vectors];
#pragma GCC unroll 2
    for (int w = 0; w < vectors; ++w) column[w] = V::load(x + w * V::size);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const V a(v[i]);
#pragma GCC unroll 2
      for (int w = 0; w < vectors; ++w) sum[i][w] += a * column[w];
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

template <typename V, int vectors, typename T, std::size_t... i>
constexpr std::array<ProductBlock<T>, sizeof...(i)> product_blocks(std::index_sequence<i...>) {
  return {&product_block<V, static_cast<int>(i) + 1, vectors, T>...};
}
template <typename V, int vectors, typename T, std::size_t... i>
constexpr std::array<OuterBlock<T>, sizeof...(i)> outer_blocks(std::index_sequence<i...>) {
  return {&outer_block<V, static_cast<int>(i) + 1, vectors, T>...};
}

// One panel of features of y = x b: x [num_k] features in panels, b [num_k][P], y [num_rows][P].
template <typename V, typename T>
void multiply_panel(const T* x, const T* b, T* y, std::int64_t num_rows, std::int64_t num_k, int vectors) {
  using Rows = std::make_index_sequence<static_cast<std::size_t>(kBlockRows<V>)>;
  static constexpr auto one = product_blocks<V, 1, T>(Rows{});
  static constexpr auto two = product_blocks<V, 2, T>(Rows{});
  const auto& blocks = vectors == 2 ? two : one;
  in_blocks(num_rows, kBlockRows<V>, [&](std::int64_t begin, std::int64_t rows) {
    blocks[static_cast<std::size_t>(rows - 1)](x + begin * kPanel<V>, num_rows * kPanel<V>, b, num_k,
                                               y + begin * kPanel<V>);
  });
}

// d (+)= v^T x over the rows: v [num_out] and x [num_in] features in panels, d [panels of in][num_out][P].
template <typename V, typename T>
void add_outer_product(const T* v, const T* x, T* d, std::int64_t num_rows, std::int64_t num_out, std::int64_t num_in,
                       bool add) {
  constexpr std::int64_t P = kPanel<V>;
  using Rows = std::make_index_sequence<static_cast<std::size_t>(kBlockRows<V>)>;
  static constexpr auto one = outer_blocks<V, 1, T>(Rows{});
  static constexpr auto two = outer_blocks<V, 2, T>(Rows{});
  for (std::int64_t j = 0; j < num_panels<V>(num_in); ++j) {
    const auto& blocks = panel_vectors<V>(num_in, j) == 2 ? two : one;
    for (std::int64_t k = 0; k < num_panels<V>(num_out); ++k)
      in_blocks(panel_width<V>(num_out, k), kBlockRows<V>, [&](std::int64_t begin, std::int64_t rows) {
        blocks[static_cast<std::size_t>(rows - 1)](v + k * num_rows * P + begin, x + j * num_rows * P, num_rows,
                                                   d + (j * num_out + k * P + begin) * P, add);
      });
  }
}

}  // namespace pinn
