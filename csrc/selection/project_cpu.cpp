// Sums of rows on the CPU: blocks of columns over threads, each packed, and read once for every kGroup rows of R.
#include <algorithm>
#include <cstddef>

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

constexpr int64_t kBlockBytes = 512 << 10;  // half of the smallest second-level cache around
constexpr int kVectors = 2;                 // steps at a time

// Rows of R at a time: sums fill the registers.
template <Isa isa>
constexpr int kGroup = isa == Isa::avx512 ? 12 : 5;

// out[g][j] = sum_i s[i][g] x[i][j] for the columns of kVectors steps.
template <Isa isa, typename T, int group>
void project(const T* x, int64_t panel, int64_t r, const T* s, T* out, int64_t stride, int64_t count) {
  using V = Vec<isa, T>;
  constexpr int R = kRows<isa>;
  V sum[group][kVectors];
#pragma GCC unroll 16
  for (int g = 0; g < group; ++g)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[g][v] = V(T(0));
  for (; r > 0; r -= R, x += panel) {
    const int rows = static_cast<int>(std::min<int64_t>(R, r));
    for (int i = 0; i < rows; ++i, s += group) {
      V row[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) row[v] = V::load(x + v * kStep<isa, T> + i * V::size);
#pragma GCC unroll 16
      for (int g = 0; g < group; ++g) {
        const V factor(s[g]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[g][v] += factor * row[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int g = 0; g < group; ++g)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      if (count > v * V::size) sum[g][v].store(out + g * stride + v * V::size, count - v * V::size);
}

template <Isa isa, typename T, int group = kGroup<isa>>
PINN_INLINE void project_rows(int64_t rows, const T* x, int64_t panel, int64_t r, const T* s, T* out, int64_t stride,
                              int64_t count) {
  if constexpr (group > 1) {
    if (rows < group) return project_rows<isa, T, group - 1>(rows, x, panel, r, s, out, stride, count);
  }
  project<isa, T, group>(x, panel, r, s, out, stride, count);
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const ProjectRows<T>& a) {
  using V = Vec<isa, T>;
  constexpr int R = kRows<isa>;
  if (a.l == 0 || a.n == 0) return;
  const int64_t panels = ceil_div(a.r, R), bytes = static_cast<int64_t>(sizeof(T));
  const int64_t pairs =
      std::clamp<int64_t>(kBlockBytes / (std::max<int64_t>(panels, 1) * kStep<isa, T> * kVectors * bytes), 4,
                          ceil_div(std::max<int64_t>(a.n, 4 * kVectors * V::size), kVectors * V::size));
  const int64_t steps = pairs * kVectors, columns = steps * V::size, panel = steps * kStep<isa, T>;
  const int64_t factors_bytes = ceil_div(a.l * a.r * bytes, 64) * 64, block_bytes = panels * panel * bytes;
  char* const memory =
      static_cast<char*>(workspace(static_cast<std::size_t>(factors_bytes + max_threads() * block_bytes)));

  // R' by groups of its rows, as even as can be: [groups][r][rows of the group].
  T* const factors = reinterpret_cast<T*>(memory);
  const int64_t groups = ceil_div(a.l, kGroup<isa>);
  const auto first_of = [&](int64_t group) { return group * a.l / groups; };
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t first = first_of(g), rows = first_of(g + 1) - first, i = 0; i < a.r; ++i)
      for (int64_t k = 0; k < rows; ++k) factors[first * a.r + i * rows + k] = a.rotation[(first + k) * a.r + i];

  parallel_for(ceil_div(a.n, columns), a.r * a.n >= kMinParallelNumbers, [&](int64_t block) {
    T* const packed = reinterpret_cast<T*>(memory + factors_bytes + thread_index() * block_bytes);
    const int64_t begin = block * columns, count = std::min(columns, a.n - begin);
    gram::pack<isa>(a.a + begin, a.stride, a.r, count, steps, packed, [&](int64_t s, V(&x)[R]) {
      const int64_t left = count - s * V::size;
      if (a.mean == nullptr || left <= 0) return;
      const V m = V::load(a.mean + begin + s * V::size, left);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) x[i] = x[i] - m;
    });
    for (int64_t s = 0; s * V::size < count; s += kVectors)
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = first_of(g), at = s * V::size;
        project_rows<isa, T>(first_of(g + 1) - first, packed + s * kStep<isa, T>, panel, a.r, factors + first * a.r,
                             a.out + first * a.n + begin + at, a.n, count - at);
      }
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const ProjectRows<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const ProjectRows<double>&);

}  // namespace pinn
