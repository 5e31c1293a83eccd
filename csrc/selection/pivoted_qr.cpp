// Pivoted QR that stops at k on the CPU, and what follows where the rank ends sooner: the steps of pivoted_qr.h.

#include "selection/pivoted_qr.h"

#include <cmath>
#include <limits>

#include "selection/basis.h"
#include "selection/constraints.h"
#include "selection/greedy.h"
#include "selection/leverage.h"

namespace pinn::pivots {

template <Isa isa, typename T>
class Choice {
 public:
  explicit Choice(const PivotedQr<T>& op)
      : op_(op),
        columns_{op.a, op.size.r, op.size.n, op.size.c, op.size.n * op.size.c},
        constraints_(op),
        basis_(columns_, std::min(op.size.r, op.size.k * op.size.c)) {}

  void run() {
    op_.report[kStatus] = static_cast<int64_t>(choose());
    op_.report[kChosen] = chosen_;
    op_.report[kRank] = rank_;
  }

 private:
  // Norms in float are used down to residuals that are this many times their slack; then those in double are.
  static constexpr double kSharp = 64;
  // Squares of smaller numbers run into the subnormal ones before the rounding level of the residuals.
  static constexpr double kSmallest = std::is_same_v<T, float> ? 0x1p-70 : 0x1p-900;

  static constexpr double relative_slack(double eps, int64_t r) {
    // Rounding errors of r terms are independent (Higham and Mary 2019): sqrt(r) eps / 2; here 8 times that.
    return 4 * eps * std::sqrt(static_cast<double>(r));
  }

  PivotStatus choose() {
    Greedy<isa, T, T> greedy(norms<T>());
    greedy.measure();
    if (!greedy.finite()) return PivotStatus::not_finite;
    if (!(greedy.largest() >= kSmallest)) return PivotStatus::too_small;
    largest_ = std::sqrt(greedy.largest());
    rounding_ = op_.size.tolerance * largest_;
    for (int64_t i = 0; i < op_.size.num_forced; ++i)
      accept_pivot(op_.forced[i], basis_.append(op_.forced[i], rounding_));
    const bool sharp =
        pivot(greedy, std::is_same_v<T, double> ? 0 : kSharp * std::sqrt(greedy.bounds().relative_slack));
    if constexpr (!std::is_same_v<T, double>) {
      if (!sharp) {
        Greedy<isa, T, double> in_double(norms<double>());
        pivot(in_double, 0);
      }
    }
    return chosen_ < op_.size.k ? beyond_rank() : PivotStatus::ok;
  }

  // What all bounds read.
  template <typename S>
  NormBounds<T, S> bounds() const {
    NormBounds<T, S> bounds{};
    bounds.columns = columns_;
    bounds.weight = op_.weight;
    bounds.cost = op_.cost;
    bounds.cost_scale = 1;
    bounds.blocked = constraints_.blocked();
    bounds.relative_slack = relative_slack(std::numeric_limits<S>::epsilon(), columns_.r);
    return bounds;
  }
  template <typename S>
  NormBounds<T, S> norms() const {
    NormBounds<T, S> bounds = this->bounds<S>();
    if constexpr (std::is_same_v<S, double>) bounds.exact = basis_.q();
    return bounds;
  }

  // QR until k, until nothing is left (true), or until residuals fall to `blurred` times the largest column (false).
  template <typename S>
  bool pivot(Greedy<isa, T, S>& greedy, double blurred) {
    bool sharp = true;
    NormBounds<T, S>& bounds = greedy.bounds();
    bounds.floor = static_cast<S>(rounding_ * rounding_);
    const auto exact = [&](int64_t j) {
      const double length = std::sqrt(basis_.residual_square(j));
      return length > rounding_ ? score(j, length, 1) : -std::numeric_limits<double>::infinity();
    };
    while (chosen_ < op_.size.k && sharp) {
      if constexpr (std::is_same_v<S, double>)
        bounds.direction = basis_.q();
      else
        bounds.direction = basis_.rounded();
      bounds.num_directions = basis_.size();
      const Best best = greedy.best(exact);
      if (best.candidate < 0) break;
      const double length = basis_.append(best.candidate, rounding_);
      accept_pivot(best.candidate, length);
      sharp = length >= blurred * largest_;
    }
    return sharp;
  }

  PivotStatus beyond_rank() {
    Leverage<isa, T> leverage(columns_, basis_, op_.weight);
    leverage.reserve(op_.size.k * columns_.c);
    for (int64_t s = 0; s < chosen_; ++s)
      for (int64_t e = op_.pivot[s] * columns_.c; e < (op_.pivot[s] + 1) * columns_.c; ++e)
        if (std::find(basis_.sources().begin(), basis_.sources().end(), e) == basis_.sources().end()) leverage.add(e);
    NormBounds<T, double> bounds = this->bounds<double>();
    bounds.cost_scale = 1 / largest_;
    bounds.floor = -1;
    bounds.frame = leverage.frame();
    bounds.num_frame = leverage.size();
    bounds.frame_square = leverage.frame_square();
    Greedy<isa, T, double> greedy(bounds);
    const auto exact = [&](int64_t j) { return score(j, std::sqrt(leverage.of(j)), 1 / largest_); };
    PivotStatus status = PivotStatus::ok;
    while (chosen_ < op_.size.k) {
      greedy.bounds().direction = leverage.directions();
      greedy.bounds().num_directions = leverage.num_directions();
      const Best best = greedy.best(exact);
      if (best.candidate < 0) {
        status = PivotStatus::exhausted;
        break;
      }
      for (int64_t i = 0; i < columns_.c; ++i) leverage.add(best.candidate * columns_.c + i);
      accept_pivot(best.candidate, 0);
    }
    return status;
  }

  double score(int64_t j, double length, double cost_scale) const {
    if (op_.weight != nullptr) length *= static_cast<double>(op_.weight[j]);
    return op_.cost == nullptr ? length : length - cost_scale * static_cast<double>(op_.cost[j]);
  }

  void accept_pivot(int64_t j, double length) {
    op_.pivot[chosen_] = j;
    op_.r_diagonal[chosen_] = length;
    ++chosen_;
    if (length > 0) ++rank_;
    constraints_.accept_pivot(j);
  }

  PivotedQr<T> op_;
  Columns<T> columns_;
  Constraints constraints_;
  Basis<isa, T> basis_;
  double largest_ = 0, rounding_ = 0;
  int64_t chosen_ = 0, rank_ = 0;
};

}  // namespace pinn::pivots

namespace pinn {

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const PivotedQr<T>& op) {
  pivots::Choice<isa, T>(op).run();
}

#define PINN_PIVOTED_QR(isa)                                                \
  template void run_on_cpu(IsaConstant<Isa::isa>, const PivotedQr<float>&); \
  template void run_on_cpu(IsaConstant<Isa::isa>, const PivotedQr<double>&);
PINN_PIVOTED_QR(generic)
#ifdef PINN_X86_PATHS
PINN_PIVOTED_QR(avx2)
PINN_PIVOTED_QR(avx512)
#endif

}  // namespace pinn
