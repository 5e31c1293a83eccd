// Sketches of rows on the GPU: S of a chunk of rows is drawn once, then each thread takes two columns through all rows.
//
// S is dense in memory for both kinds, [rows][l]: with up to kGroup rows of S in registers A is read once, and the
// arithmetic hides behind that. The source also runs on the host (tests/cpp/cuda_on_host.h).
#pragma once

#include "core/cuda_block.h"
#include "selection/sketch_point.h"

namespace pinn::sketch_cuda {

using std::int64_t;

inline constexpr int kThreads = 256;
inline constexpr int kColumns = 2;  // of a thread: each number of S that it reads serves both
inline constexpr int kStage = 64;   // rows of S in shared memory at a time

// One thread draws what one row of A is multiplied with.
template <typename T>
__global__ void __launch_bounds__(kThreads) draw_kernel(Sketch sketch, int64_t first_row, int64_t rows, T* s) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= rows) return;
  const ColumnOfSketch column(sketch);
  T* const out = s + row * sketch.l;
  if (sketch.kind == SketchKind::gaussian) {
    for (int64_t i = 0; i < sketch.l; i += 4) {
      double entry[4];
      column.gaussian(first_row + row, i / 4, entry);
      for (int q = 0; q < 4; ++q)
        if (i + q < sketch.l) out[i + q] = static_cast<T>(entry[q]);
    }
    return;
  }
  for (int64_t i = 0; i < sketch.l; ++i) out[i] = T(0);
  int64_t place[kMaxSigns];
  double entry[kMaxSigns];
  column.sparse_sign(first_row + row, place, entry);
  for (int q = 0; q < column.num_signs; ++q) out[place[q]] = static_cast<T>(entry[q]);
}

// Rows [group, group + rows) of S, with group = blockIdx.x % groups * size.
template <typename T>
struct Product {
  const T* a;  // [r, n], a row every `stride` numbers
  const T* s;  // [r, l]
  T* out;      // [l, n]
  int64_t r, n, stride, l;
  int groups, size;
  bool accumulate;
};

template <int kGroup, typename T>
__global__ void __launch_bounds__(kThreads) product_kernel(Product<T> p) {
  T* const stage = static_cast<T*>(dynamic_shared());  // [kStage][kGroup]
  const int64_t first = static_cast<int64_t>(blockIdx.x) % p.groups * p.size;
  const int64_t count = p.l - first < p.size ? p.l - first : p.size;
  const int64_t left = static_cast<int64_t>(blockIdx.x) / p.groups * (kThreads * kColumns) + threadIdx.x;
  const int thread = static_cast<int>(threadIdx.x);

  T sum[kColumns][kGroup];
#pragma unroll
  for (int c = 0; c < kColumns; ++c)
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      const int64_t column = left + c * kThreads;
      sum[c][i] = p.accumulate && i < count && column < p.n ? p.out[(first + i) * p.n + column] : T(0);
    }
  for (int64_t start = 0; start < p.r; start += kStage) {
    const int rows = static_cast<int>(p.r - start < kStage ? p.r - start : kStage);
    __syncthreads();
    for (int e = thread; e < rows * kGroup; e += kThreads) {
      const int i = e % kGroup;
      stage[e] = i < count ? p.s[(start + e / kGroup) * p.l + first + i] : T(0);
    }
    __syncthreads();
#pragma unroll 4
    for (int row = 0; row < rows; ++row) {
      T x[kColumns];
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int64_t column = left + c * kThreads;
        x[c] = column < p.n ? p.a[(start + row) * p.stride + column] : T(0);
      }
#pragma unroll
      for (int i = 0; i < kGroup; ++i) {
        const T entry = stage[row * kGroup + i];
#pragma unroll
        for (int c = 0; c < kColumns; ++c) sum[c][i] += entry * x[c];
      }
    }
  }
#pragma unroll
  for (int c = 0; c < kColumns; ++c)
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      const int64_t column = left + c * kThreads;
      if (i < count && column < p.n) p.out[(first + i) * p.n + column] = sum[c][i];
    }
}

template <int kGroup, typename T, typename Launch>
void multiply(const Product<T>& p, const Launch& launch) {
  const int64_t blocks = (p.n + kThreads * kColumns - 1) / (kThreads * kColumns) * p.groups;
  launch("sketch_rows", &product_kernel<kGroup, T>, static_cast<int>(blocks), kThreads,
         static_cast<int>(kStage * kGroup * sizeof(T)), p);
}

template <typename T, typename Launch>
void run_sketch(const SketchRows<T>& a, const Launch& launch) {
  const int64_t l = a.sketch.l;
  if (l == 0 || a.n == 0) return;
  const int64_t groups = (l + 31) / 32, size = (l + groups - 1) / groups;
  for (int64_t row = 0; row < a.r || row == 0; row += kSketchChunk) {
    const int64_t rows = a.r - row < kSketchChunk ? a.r - row : kSketchChunk;
    if (rows > 0)
      launch("sketch_rows", &draw_kernel<T>, static_cast<int>((rows + kThreads - 1) / kThreads), kThreads, 0, a.sketch,
             a.row_offset + row, rows, a.workspace);
    const Product<T> p{a.a + row * a.stride,
                       a.workspace,
                       a.out,
                       rows,
                       a.n,
                       a.stride,
                       l,
                       static_cast<int>(groups),
                       static_cast<int>(size),
                       a.accumulate || row > 0};
    if (size <= 8)
      multiply<8>(p, launch);
    else if (size <= 16)
      multiply<16>(p, launch);
    else if (size <= 24)
      multiply<24>(p, launch);
    else
      multiply<32>(p, launch);
  }
}

}  // namespace pinn::sketch_cuda
