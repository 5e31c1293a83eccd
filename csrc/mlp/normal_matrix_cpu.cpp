// The normal matrix on the CPU: slabs of rows are packed as [panels of P columns][rows][P], then squares of panels are
// dealt to the threads. A square's panels and its part of `out` stay in the second-level cache along a slab.
#include <algorithm>
#include <cstddef>

#include "core/parallel.h"
#include "core/workspace.h"
#include "mlp/normal_matrix.h"
#include "mlp/panel_product.h"

namespace pinn {
namespace {

using std::int64_t;

// Rows of a product: two panels of so many fit into a first-level cache of 48 KiB, or most of them.
constexpr int64_t kPanelRows = 192;
// Columns of a square: 256 x 256 sums in float64 are half of a second-level cache of 1 MiB.
constexpr int64_t kSquare = 256;
constexpr int64_t kSlabBytes = 64 << 20;

PINN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Panel j of rows begin .. begin + count, zeros beyond the last column.
template <typename V, typename T>
void pack_panel(const NormalMatrix<T>& a, int64_t begin, int64_t count, int64_t j, typename V::Scalar* packed) {
  using S = typename V::Scalar;
  constexpr int64_t P = kPanel<V>;
  const T* const from = a.a + begin * a.row_stride + j * P * a.column_stride;
  const int64_t width = panel_width<V>(a.p, j);
  if (a.column_stride == 1 && width == P) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t q = 0; q < P; ++q) packed[i * P + q] = static_cast<S>(from[i * a.row_stride + q]);
    return;
  }
  std::fill_n(packed, count * P, S(0));
  for (int64_t q = 0; q < width; ++q)
    for (int64_t i = 0; i < count; ++i)
      packed[i * P + q] = static_cast<S>(from[i * a.row_stride + q * a.column_stride]);
}

// out (+)= the products of two panels, whose sums over kPanelRows rows are in d.
template <typename V>
PINN_INLINE void add_tile(const typename V::Scalar* d,  // [P][P]
                          int64_t height, int64_t width, int64_t stride, bool add, double* out) {
  constexpr int64_t P = kPanel<V>;
  for (int64_t i = 0; i < height; ++i)
    for (int64_t q = 0; q < width; ++q) {
      const double sum = static_cast<double>(d[i * P + q]);
      out[i * stride + q] = add ? out[i * stride + q] + sum : sum;
    }
}

// The square of panels (row, column) over a slab.
template <typename V, typename T>
void add_square(const NormalMatrix<T>& a, const typename V::Scalar* packed, int64_t count, bool add, int64_t row,
                int64_t column) {
  using S = typename V::Scalar;
  constexpr int64_t P = kPanel<V>, R = kBlockRows<V>, of_square = kSquare / P;
  using Rows = std::make_index_sequence<static_cast<std::size_t>(R)>;
  static constexpr auto blocks = outer_blocks<V, 2, S>(Rows{});
  const int64_t panels = num_panels<V>(a.p);
  alignas(64) S d[P * P];
  for (int64_t begin = 0; begin < count; begin += kPanelRows) {
    const int64_t rows = std::min(kPanelRows, count - begin);
    for (int64_t j = column * of_square; j < std::min((column + 1) * of_square, panels); ++j)
      for (int64_t i = row * of_square; i < std::min((row + 1) * of_square, j + 1); ++i) {
        const S* const left = packed + (i * count + begin) * P;
        in_blocks(P, R, [&](int64_t from, int64_t height) {
          blocks[static_cast<std::size_t>(height - 1)](left + from, packed + (j * count + begin) * P, rows,
                                                       d + from * P, false);
        });
        add_tile<V>(d, panel_width<V>(a.p, i), panel_width<V>(a.p, j), a.p, add || begin > 0,
                    a.out + i * P * a.p + j * P);
      }
  }
}

template <typename V, typename T>
void multiply(const NormalMatrix<T>& a) {
  using S = typename V::Scalar;
  const int64_t panels = num_panels<V>(a.p), squares = ceil_div(a.p, kSquare);
  const int64_t row_bytes = panels * kPanel<V> * static_cast<int64_t>(sizeof(S));
  const int64_t slab = std::min(a.rows, std::max<int64_t>(1, kSlabBytes / row_bytes / kPanelRows) * kPanelRows);
  S* const packed = static_cast<S*>(workspace(static_cast<std::size_t>(slab * row_bytes)));
  const bool worthwhile = a.rows * a.p >= kMinParallelNumbers;
  for (int64_t begin = 0; begin < a.rows; begin += slab) {
    const int64_t count = std::min(slab, a.rows - begin);
    parallel_for(panels, worthwhile,
                 [&](int64_t j) { pack_panel<V>(a, begin, count, j, packed + j * count * kPanel<V>); });
    parallel_for(squares * (squares + 1) / 2, worthwhile, [&](int64_t square) {
      int64_t column = 0;
      while ((column + 1) * (column + 2) / 2 <= square) ++column;
      add_square<V>(a, packed, count, a.accumulate || begin > 0, square - column * (column + 1) / 2, column);
    });
  }
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NormalMatrix<T>& a) {
  if (a.rows == 0) {
    if (!a.accumulate) std::fill_n(a.out, a.p * a.p, 0.0);
  } else if (a.in_single) {
    multiply<Vec<isa, float>>(a);
  } else {
    multiply<Vec<isa, double>>(a);
  }
}

template void run_on_cpu(IsaConstant<kIsa>, const NormalMatrix<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NormalMatrix<double>&);

}  // namespace pinn
