// The mean square of a residual on the CPU: the head of a tile, points in vectors. Sums over tiles and parts are kept
// in double: a running sum of many points in float would lose digits.
//
// An equation's *_cpu.cpp includes this and instantiates run_on_cpu.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "core/per_point_cpu.h"
#include "mlp/fused_mlp.h"
#include "mlp/mean_square.h"

namespace pinn {

template <typename Layout, typename Residual>
class MeanSquareHead {
 public:
  using V = typename Layout::V;
  using T = typename V::Scalar;
  using int64_t = std::int64_t;
  static constexpr int kColumns = Residual::kColumns, kLearned = Residual::kLearned;

  // What a part sums, on a cache line of its own.
  struct alignas(64) Sums {
    double squares[kColumns];  // of each column of the residual, weighted
    double v_learned[kLearned + 1];
  };

  MeanSquareHead(const MeanSquare<Residual>& op, Sums* sums) : op_(op), sums_(sums) {
    if (op.gradient != nullptr && op.want_learned) v_learned_ = op.gradient + op.before_learned();
  }

  void operator()(int64_t part, const Tile& tile, const T* y, T* v_y) const {
    V squares[kColumns], v_sums[kLearned + 1];
    for (V& s : squares) s = V(T(0));
    for (V& s : v_sums) s = V(T(0));
    const JetStreams& streams = op_.mlp.shape.streams;
    const bool back = op_.gradient != nullptr;
    // What the residual does not read has no cotangent.
    if (back) std::fill_n(v_y, Layout::jet_size(op_.mlp.shape.outputs(), tile.rows), T(0));
    for (int64_t i = 0; i < tile.t; i += V::size) {
      const int64_t left = tile.t - i, point = tile.first + i;
      typename Residual::template Jet<V> q{}, v_q;
      op_.equation.for_each_entry(q, streams, [&](int stream, int column, V& entry) {
        entry = Layout::load_points(tile, y, stream, column, i);
      });
      const auto k = op_.equation.template coefficients<V>(
          [&](const PerPoint<T>& a, int column) { return load_coefficient<V>(a, column, point, left); });
      V residual[kColumns], v[kColumns], v_learned[kLearned + 1];
      op_.equation.point(q, k, residual);
      // Lanes beyond the last point weigh nothing.
      const V weight = V::load(op_.point_weights != nullptr ? op_.point_weights + point : kOnes.data(), left);
      for (int c = 0; c < kColumns; ++c) {
        if (op_.residual != nullptr) residual[c].scatter(op_.residual + point * kColumns + c, kColumns, left);
        const V weighted = weight * residual[c];
        squares[c] += weighted * residual[c];
        v[c] = V(static_cast<T>(2.0 / op_.count) * op_.term_weights[c]) * weighted;
      }
      if (!back) continue;
      op_.equation.backward_point(q, k, v, v_q, v_learned);
      for (int c = 0; c < kLearned; ++c) {
        if (v_learned_ != nullptr && op_.equation.learned().per_point)
          v_learned[c].scatter(v_learned_ + point * kLearned + c, kLearned, left);
        v_sums[c] += v_learned[c];
      }
      op_.equation.for_each_entry(v_q, streams, [&](int stream, int column, V& entry) {
        Layout::store_points(tile, entry, v_y, stream, column, i);
      });
    }
    Sums& sums = sums_[part];
    for (int c = 0; c < kColumns; ++c) sums.squares[c] += static_cast<double>(squares[c].sum());
    for (int c = 0; c < kLearned; ++c) sums.v_learned[c] += static_cast<double>(v_sums[c].sum());
  }

  // Total, terms and the gradient of a coefficient that is the same for all points, from the sums of all parts in
  // order.
  void write(int64_t parts) const {
    for (int64_t part = 1; part < parts; ++part) {
      for (int c = 0; c < kColumns; ++c) sums_[0].squares[c] += sums_[part].squares[c];
      for (int c = 0; c < kLearned; ++c) sums_[0].v_learned[c] += sums_[part].v_learned[c];
    }
    double total = 0;
    for (int c = 0; c < kColumns; ++c) {
      const double term = sums_[0].squares[c] / op_.count;
      op_.terms[c] = static_cast<T>(term);
      total += static_cast<double>(op_.term_weights[c]) * term;
    }
    *op_.total = static_cast<T>(total);
    if (v_learned_ == nullptr || op_.equation.learned().per_point) return;
    for (int c = 0; c < kLearned; ++c) v_learned_[c] = static_cast<T>(sums_[0].v_learned[c]);
  }

 private:
  static constexpr auto kOnes = [] {
    std::array<T, static_cast<std::size_t>(V::size)> ones{};
    for (T& one : ones) one = T(1);
    return ones;
  }();

  const MeanSquare<Residual>& op_;
  Sums* sums_;
  T* v_learned_ = nullptr;  // in the gradient, behind the parameters (and B), or null: not wanted
};

template <Isa isa, typename Residual>
void run_on_cpu(IsaConstant<isa>, const MeanSquare<Residual>& a) {
  const Wanted wanted = a.gradient == nullptr ? Wanted::value : a.want_B ? Wanted::gradient_with_B : Wanted::gradient;
  with_fused_mlp<isa, typename Residual::Scalar>(a.mlp, wanted, a.partition, [&](auto& fused) {
    using Head = MeanSquareHead<typename std::decay_t<decltype(fused)>::Layout, Residual>;
    std::vector<typename Head::Sums> sums(static_cast<std::size_t>(fused.parts()));
    const Head head(a, sums.data());
    fused.run(head);
    head.write(fused.parts());
    if (a.gradient != nullptr) fused.write_gradient(a.gradient);
  });
}

}  // namespace pinn
