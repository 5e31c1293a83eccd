// The breakage residual on the CPU: a thread takes whole times; pieces are vectors of nodes, the scan itself is scalar.
//
// A piece costs some 60 operations and one step of the scan one product and one sum, so that the scan across nodes may
// stay serial. Blocks of nodes keep coefficients of the scan in the first cache, whatever the number of nodes.
#include <cmath>

#include "core/flush_denormals.h"
#include "core/parallel.h"
#include "core/simd_math.h"
#include "equations/breakage_piece.h"
#include "equations/breakage_residual.h"

namespace pinn {
namespace {

using std::int64_t;

constexpr int64_t kBlock = 256;

template <Isa isa, typename T>
struct BreakageRow {
  using V = Vec<isa, T>;
  const BreakageGrid<T>& grid;
  int64_t time;
  const T* g = grid.g + time * grid.nodes;

  int64_t pieces() const { return grid.nodes - 1; }

  // f(first node, one past the last, pieces' own parts, growths) for blocks of pieces, the largest volumes first.
  template <typename F>
  PINN_INLINE void for_each_block_down(const F& f) const {
    alignas(64) T own[kBlock], growth[kBlock];
    for (int64_t end = pieces(); end > 0; end -= kBlock) {
      const int64_t begin = end > kBlock ? end - kBlock : 0;
      for (int64_t i = begin; i < end; i += V::size) {
        const int64_t left = end - i;
        const auto p =
            breakage_step<V, T>(V::load(g + i, left), V::load(g + i + 1, left), V::load(grid.weight + i, left),
                                V::load(grid.weight + i + 1, left), V::load(grid.step + i, left));
        p.own.store(own + i - begin, left);
        p.growth.store(growth + i - begin, left);
      }
      f(begin, end, own, growth);
    }
  }

  T last_tail() const {
    return grid.log_tail == nullptr ? T(0) : static_cast<T>(std::exp(grid.log_tail[time] - g[grid.nodes - 1]));
  }

  // tail[i] of all nodes.
  PINN_INLINE void tails(T* tail) const {
    T sum = tail[pieces()] = last_tail();
    for_each_block_down([&](int64_t begin, int64_t end, const T* own, const T* growth) {
      for (int64_t i = end - 1; i >= begin; --i) tail[i] = sum = own[i - begin] + growth[i - begin] * sum;
    });
  }
};

template <Isa isa, typename T>
PINN_INLINE void residual_of_row(const BreakageResidual<T>& a, int64_t time) {
  using V = Vec<isa, T>;
  const int64_t nodes = a.grid.nodes;
  T* out = a.out + time * nodes;
  BreakageRow<isa, T>{a.grid, time}.tails(out);
  for (int64_t i = 0; i < nodes; i += V::size) {
    const int64_t left = nodes - i;
    const V birth = V::load(a.grid.scale + i, left) * V::load(out + i, left);
    (V::load(a.g_t + time * nodes + i, left) + V::load(a.rate + i, left) - birth).store(out + i, left);
  }
}

// lambda_i, the cotangent of tail_i, comes from the smallest volume up: lambda_i = -scale_i v_i + growth_{i-1}
// lambda_{i-1}. v_g holds the tails until the block has read them.
template <Isa isa, typename T>
PINN_INLINE void backward_of_row(const BreakageResidualBackward<T>& a, int64_t time) {
  using V = Vec<isa, T>;
  const BreakageRow<isa, T> row{a.grid, time};
  const int64_t nodes = a.grid.nodes, at = time * nodes, pieces = row.pieces();
  const T *g = row.g, *weight = a.grid.weight, *scale = a.grid.scale, *v_out = a.v_out + at;
  T* v_g = a.v_g + at;
  T* v_weight = a.v_weight == nullptr ? nullptr : a.v_weight + at;
  row.tails(v_g);
  if (v_weight != nullptr)
    for (int64_t i = 0; i < nodes; ++i) a.v_scale[at + i] = -v_out[i] * v_g[i];
  alignas(64) T growth[kBlock], rise[kBlock], w0[kBlock], w1[kBlock];
  T lambda = -scale[0] * v_out[0], before = T(0), weight_before = T(0);
  for (int64_t begin = 0; begin < pieces; begin += kBlock) {
    const int64_t end = begin + kBlock < pieces ? begin + kBlock : pieces;
    for (int64_t i = begin; i < end; i += V::size) {
      const int64_t left = end - i, k = i - begin;
      const auto p = breakage_slopes<V, T>(V::load(g + i, left), V::load(g + i + 1, left), V::load(weight + i, left),
                                           V::load(weight + i + 1, left), V::load(a.grid.step + i, left),
                                           V::load(v_g + i + 1, left));
      p.growth.store(growth + k, left);
      p.rise.store(rise + k, left);
      if (v_weight == nullptr) continue;
      p.w0.store(w0 + k, left);
      p.w1.store(w1 + k, left);
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t k = i - begin;
      const T v_rise = lambda * rise[k];
      v_g[i] = before - v_rise;
      before = v_rise;
      if (v_weight != nullptr) {
        v_weight[i] = weight_before + lambda * w0[k];
        weight_before = lambda * w1[k];
      }
      lambda = growth[k] * lambda - scale[i + 1] * v_out[i + 1];
    }
  }
  const T v_log_tail = lambda * row.last_tail();
  v_g[pieces] = before - v_log_tail;
  if (a.v_log_tail != nullptr) a.v_log_tail[time] = v_log_tail;
  if (v_weight != nullptr) v_weight[pieces] = weight_before;
}

template <typename T>
bool worth_threads(const BreakageGrid<T>& grid) {
  return grid.times * grid.nodes >= kMinParallelNumbers;
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const BreakageResidual<T>& a) {
  parallel_for(a.grid.times, worth_threads(a.grid), [&](int64_t time) { residual_of_row<isa>(a, time); });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const BreakageResidualBackward<T>& a) {
  parallel_for(a.grid.times, worth_threads(a.grid), [&](int64_t time) {
    const FlushDenormals flushed;
    backward_of_row<isa>(a, time);
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const BreakageResidual<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const BreakageResidual<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const BreakageResidualBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const BreakageResidualBackward<double>&);

}  // namespace pinn
