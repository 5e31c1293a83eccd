// Sketches of rows on the CPU: blocks of columns over threads, each through all rows, eight rows at a time.
//
// A block's part of out is in memory of the thread's own, [tiles][l][width of a tile], as rows of out that are a
// power of two apart would share few places of the cache. Eight rows of A go through it together: so many streams the
// hardware prefetches, and one that has been read stays in the first-level cache for all rows of S. Every number adds
// its terms in the order of the rows, whatever its tile.
#include <algorithm>

#include "core/parallel.h"
#include "core/simd.h"
#include "core/workspace.h"
#include "selection/sketch.h"
#include "selection/sketch_point.h"

namespace pinn {
namespace {

using std::int64_t;

constexpr int kPanel = 8;  // rows of A at a time
constexpr int64_t kBlockBytes =
    256 << 10;  // of a block's part of out: 1.1 times as fast as 32 KiB (Zen 4), as rows of A run longer

PINN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Where a tile's columns begin in a panel of A, and how much of it there is.
template <typename T>
struct Panel {
  const T* a;
  int64_t stride, left;  // columns from a on
  int rows;
};

template <typename V, bool whole, typename T>
PINN_INLINE V load_columns(const T* a, int64_t left) {
  if constexpr (whole) return V::load(a);
  return left > 0 ? V::load(a, left) : V(T(0));
}

// Dense: S of a panel is [groups][rows of the panel][rows of the group].
template <Isa isa, typename T>
struct Gaussian {
  // Sums, a tile's vectors and an entry of S fill the registers.
  static constexpr int kVectors = isa == Isa::avx512 ? 3 : 2;
  static constexpr int kGroup = isa == Isa::avx512 ? 8 : 6;
  static constexpr int64_t width = kVectors * Vec<isa, T>::size;

  T* s;
  int64_t l;

  PINN_INLINE static int64_t bytes_of_panel(int64_t l) { return kPanel * l * static_cast<int64_t>(sizeof(T)); }
  PINN_INLINE Gaussian(void* memory, const Sketch& sketch) : s(static_cast<T*>(memory)), l(sketch.l) {}

  // f(first row of S, rows): groups as even as can be.
  template <typename F>
  PINN_INLINE void for_each_group(F&& f) const {
    const int64_t groups = ceil_div(l, kGroup);
    for (int64_t g = 0, first = 0; g < groups; ++g) {
      const int64_t rows = l / groups + (g < l % groups ? 1 : 0);
      f(first, rows);
      first += rows;
    }
  }

  PINN_INLINE void draw(const ColumnOfSketch& column, int64_t panel, int64_t row, int rows) const {
    T* const start = s + panel * kPanel * l;
    for (int p = 0; p < rows; ++p) {
      double entry[4] = {};
      for_each_group([&](int64_t first, int64_t count) {
        for (int64_t i = first; i < first + count; ++i) {
          if (i % 4 == 0) column.gaussian(row + p, i / 4, entry);
          start[first * kPanel + p * count + i - first] = static_cast<T>(entry[i % 4]);
        }
      });
    }
  }

  template <int group, bool whole>
  PINN_INLINE static void add_group(const T* s, const Panel<T>& x, T* y) {
    using V = Vec<isa, T>;
    V sum[group][kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < group; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[i][v] = V::load(y + (i * kVectors + v) * V::size);
    const T* a = x.a;
    int left = x.rows;  // 1 or more: a loop that might not run would keep the sums in memory
    do {
      V row[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) row[v] = load_columns<V, whole>(a + v * V::size, x.left - v * V::size);
#pragma GCC unroll 8
      for (int i = 0; i < group; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[i][v] += V(s[i]) * row[v];
      a += x.stride;
      s += group;
    } while (--left > 0);
#pragma GCC unroll 8
    for (int i = 0; i < group; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[i][v].store(y + (i * kVectors + v) * V::size);
  }

  template <bool whole, int group = kGroup>
  PINN_INLINE static void add_group(int64_t rows, const T* s, const Panel<T>& x, T* y) {
    if constexpr (group > 0) {
      if (rows == group) return add_group<group, whole>(s, x, y);
      add_group<whole, group - 1>(rows, s, x, y);
    }
  }

  template <bool whole>
  PINN_INLINE void add(int64_t panel, const Panel<T>& x, T* y) const {
    const T* const start = s + panel * kPanel * l;
    for_each_group(
        [&](int64_t first, int64_t rows) { add_group<whole>(rows, start + first * kPanel, x, y + first * width); });
  }
};

// Sparse: the signs of a panel by the rows of S, and by the rows of A in each.
template <Isa isa, typename T>
struct SparseSign {
  static constexpr int kVectors = 8;  // the more, the less the lists cost
  static constexpr int64_t width = kVectors * Vec<isa, T>::size;

  struct Signs {
    int64_t place[kPanel * kMaxSigns];  // row of S
    T entry[kPanel * kMaxSigns];
    int row[kPanel * kMaxSigns];  // of the panel
    int count;
  };
  Signs* signs;

  PINN_INLINE static int64_t bytes_of_panel(int64_t) { return sizeof(Signs); }
  PINN_INLINE SparseSign(void* memory, const Sketch&) : signs(static_cast<Signs*>(memory)) {}

  PINN_INLINE void draw(const ColumnOfSketch& column, int64_t panel, int64_t row, int rows) const {
    Signs& list = signs[panel];
    list.count = 0;
    for (int p = 0; p < rows; ++p) {
      int64_t place[kMaxSigns];
      double entry[kMaxSigns];
      column.sparse_sign(row + p, place, entry);
      for (int q = 0; q < column.num_signs; ++q) {
        int at = list.count++;
        for (; at > 0 && list.place[at - 1] > place[q]; --at) {
          list.place[at] = list.place[at - 1];
          list.entry[at] = list.entry[at - 1];
          list.row[at] = list.row[at - 1];
        }
        list.place[at] = place[q];
        list.entry[at] = static_cast<T>(entry[q]);
        list.row[at] = p;
      }
    }
  }

  template <bool whole>
  PINN_INLINE void add(int64_t panel, const Panel<T>& x, T* y) const {
    using V = Vec<isa, T>;
    const Signs& list = signs[panel];
    for (int e = 0; e < list.count;) {
      const int64_t place = list.place[e];
      T* const out = y + place * width;
      V sum[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[v] = V::load(out + v * V::size);
      for (; e < list.count && list.place[e] == place; ++e) {
        const T* a = x.a + list.row[e] * x.stride;
        // All loads first: behind the branches of a tile that is not whole, compilers round product and sum apart.
        V row[kVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) row[v] = load_columns<V, whole>(a + v * V::size, x.left - v * V::size);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[v] += V(list.entry[e]) * row[v];
      }
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[v].store(out + v * V::size);
    }
  }
};

// Columns [first, first + count) of out between their place and the thread's memory.
template <int64_t width, typename T>
PINN_INLINE void read_block(const SketchRows<T>& a, bool accumulate, int64_t first, int64_t count, T* y) {
  const int64_t l = a.sketch.l, tiles = ceil_div(count, width);
  if (!accumulate || count % width != 0) std::fill(y, y + tiles * l * width, T(0));
  if (!accumulate) return;
  for (int64_t i = 0; i < l; ++i)
    for (int64_t t = 0; t < tiles; ++t) {
      const T* from = a.out + i * a.n + first + t * width;
      std::copy(from, from + std::min(width, count - t * width), y + (t * l + i) * width);
    }
}

template <int64_t width, typename T>
PINN_INLINE void write_block(const SketchRows<T>& a, int64_t first, int64_t count, const T* y) {
  const int64_t l = a.sketch.l, tiles = ceil_div(count, width);
  for (int64_t i = 0; i < l; ++i)
    for (int64_t t = 0; t < tiles; ++t) {
      const T* from = y + (t * l + i) * width;
      std::copy(from, from + std::min(width, count - t * width), a.out + i * a.n + first + t * width);
    }
}

template <typename Kind, typename T>
PINN_INLINE void add_panels(const SketchRows<T>& a, const Kind& kind, int64_t row, int64_t rows, int64_t first,
                            int64_t count, T* y) {
  constexpr int64_t width = Kind::width;
  const int64_t tile_size = a.sketch.l * width;
  for (int64_t panel = 0; panel * kPanel < rows; ++panel) {
    const int64_t top = row + panel * kPanel;
    Panel<T> x{a.a + top * a.stride + first, a.stride, count,
               static_cast<int>(std::min<int64_t>(kPanel, rows - panel * kPanel))};
    T* tile = y;
    for (; x.left >= width; x.a += width, x.left -= width, tile += tile_size) kind.template add<true>(panel, x, tile);
    if (x.left > 0) kind.template add<false>(panel, x, tile);
  }
}

template <typename Kind, typename T>
PINN_INLINE void sketch_rows(const SketchRows<T>& a) {
  constexpr int64_t width = Kind::width, chunk = kSketchChunk;  // a copy, as std::min would make it a symbol
  const int64_t l = a.sketch.l, bytes = static_cast<int64_t>(sizeof(T));
  const int64_t tile_bytes = l * width * bytes;
  const int64_t tiles = std::clamp<int64_t>(kBlockBytes / tile_bytes, 1, ceil_div(a.n, width));
  const int64_t columns = tiles * width, blocks = ceil_div(a.n, columns);
  const int64_t panels = ceil_div(std::min(a.r, chunk), kPanel);
  const int64_t panel_bytes = ceil_div(panels * Kind::bytes_of_panel(l), 64) * 64;
  const int64_t block_bytes = ceil_div(tiles * tile_bytes, 64) * 64;
  char* const memory =
      static_cast<char*>(workspace(static_cast<std::size_t>(panel_bytes + max_threads() * block_bytes)));

  const Kind kind(memory, a.sketch);
  const ColumnOfSketch column(a.sketch);
  for (int64_t row = 0; row < a.r || row == 0; row += chunk) {
    const int64_t rows = std::min(chunk, a.r - row);
    parallel_for(ceil_div(rows, kPanel), rows * l >= kMinParallelNumbers / 16, [&](int64_t panel) {  // a logarithm each
      kind.draw(column, panel, a.row_offset + row + panel * kPanel,
                static_cast<int>(std::min<int64_t>(kPanel, rows - panel * kPanel)));
    });
    parallel_for(blocks, rows * a.n >= kMinParallelNumbers, [&](int64_t block) {
      const int64_t first = block * columns, count = std::min(columns, a.n - first);
      T* const y = reinterpret_cast<T*>(memory + panel_bytes + thread_index() * block_bytes);
      read_block<width>(a, a.accumulate || row > 0, first, count, y);
      add_panels(a, kind, row, rows, first, count, y);
      write_block<width>(a, first, count, y);
    });
  }
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const SketchRows<T>& a) {
  if (a.sketch.l == 0 || a.n == 0) return;
  if (a.sketch.kind == SketchKind::gaussian)
    sketch_rows<Gaussian<isa, T>>(a);
  else
    sketch_rows<SparseSign<isa, T>>(a);
}

template void run_on_cpu(IsaConstant<kIsa>, const SketchRows<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const SketchRows<double>&);

}  // namespace pinn
