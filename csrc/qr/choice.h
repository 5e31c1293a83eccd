// Pivoted QR that stops at k, and what follows where the rank ends sooner: the steps of qr.h, for any instruction set.
#pragma once

#include <cmath>
#include <limits>

#include "qr/basis.h"
#include "qr/greedy.h"
#include "qr/leverage.h"
#include "qr/limits.h"
#include "qr/qr.h"

namespace pinn::pivots {

// What an instruction set does.
template <typename T>
struct Kernels {
  Passes<T, T> passes;
  Passes<T, double> passes_in_double;
  ProjectOut project_out;
};

template <typename T, Isa isa>
Kernels<T> kernels(IsaConstant<isa>) {
  Kernels<T> result{};
  result.passes.refresh = [](const Survey<T, T>& survey, int64_t block, int64_t thread, double best) {
    refresh_block(IsaConstant<isa>{}, survey, block, thread, best);
  };
  result.passes.follow = [](const Survey<T, T>& survey, int64_t block) {
    follow_kept(IsaConstant<isa>{}, survey, block);
  };
  result.passes_in_double.refresh = [](const Survey<T, double>& survey, int64_t block, int64_t thread, double best) {
    refresh_block(IsaConstant<isa>{}, survey, block, thread, best);
  };
  result.passes_in_double.follow = [](const Survey<T, double>& survey, int64_t block) {
    follow_kept(IsaConstant<isa>{}, survey, block);
  };
  result.project_out = [](const double* Q, int64_t s, int64_t r, double* v) {
    return project_out(IsaConstant<isa>{}, Q, s, r, v);
  };
  return result;
}

template <typename T>
class Choice {
 public:
  // stride: of a row of `op.a`
  Choice(const PivotedQr<T>& op, int64_t stride, const Kernels<T>& kernels, bool threads)
      : op_(op),
        columns_{op.a, op.size.r, op.size.n, op.size.c, stride},
        kernels_(kernels),
        threads_(threads),
        limits_(op.size, op.forbidden, op.position, op.region, op.quota),
        basis_(columns_, std::min(op.size.r, op.size.k * op.size.c), kernels.project_out) {}

  void run() {
    op_.report[kStatus] = static_cast<int64_t>(choose());
    op_.report[kChosen] = chosen_;
    op_.report[kRank] = rank_;
    op_.report[kLookedAt] = looked_at_;
  }

 private:
  // Norms in float serve down to residuals that are this many times their slack; then they are followed in double.
  static constexpr double kSharp = 64;
  // Squares of smaller numbers run into the subnormal ones before the rounding level of the residuals.
  static constexpr double kSmallest = std::is_same_v<T, float> ? 0x1p-70 : 0x1p-900;

  static constexpr double relative_slack(double eps, int64_t r) {
    // Rounding errors of r terms are independent (Higham and Mary 2019): sqrt(r) eps / 2; here 8 times that.
    return 4 * eps * std::sqrt(static_cast<double>(r));
  }

  PivotStatus choose() {
    Greedy<T, T> greedy(norms<T>(), kernels_.passes, threads_);
    greedy.measure();
    looked_at_ = greedy.num_looked_at();
    if (!greedy.finite()) return PivotStatus::not_finite;
    if (!(greedy.largest() >= kSmallest)) return PivotStatus::too_small;
    largest_ = std::sqrt(greedy.largest());
    rounding_ = op_.size.tolerance * largest_;
    for (int64_t i = 0; i < op_.size.num_forced; ++i) take(op_.forced[i], basis_.append(op_.forced[i], rounding_));
    const bool sharp =
        pivot(greedy, std::is_same_v<T, double> ? 0 : kSharp * std::sqrt(greedy.survey().relative_slack));
    if constexpr (!std::is_same_v<T, double>) {
      if (!sharp) {
        Greedy<T, double> in_double(norms<double>(), kernels_.passes_in_double, threads_);
        pivot(in_double, 0);
      }
    }
    return chosen_ < op_.size.k ? beyond_rank() : PivotStatus::ok;
  }

  // What all surveys read.
  template <typename S>
  Survey<T, S> survey() const {
    Survey<T, S> survey{};
    survey.columns = columns_;
    survey.weight = op_.weight;
    survey.cost = op_.cost;
    survey.cost_scale = 1;
    survey.blocked = limits_.blocked();
    survey.relative_slack = relative_slack(std::numeric_limits<S>::epsilon(), columns_.r);
    return survey;
  }
  template <typename S>
  Survey<T, S> norms() const {
    Survey<T, S> survey = this->survey<S>();
    if constexpr (std::is_same_v<S, double>) survey.exact = basis_.q();
    return survey;
  }

  // QR until k, until nothing is left (true), or until residuals fall to `blurred` times the largest column (false).
  template <typename S>
  bool pivot(Greedy<T, S>& greedy, double blurred) {
    const int64_t before = greedy.num_looked_at();
    bool sharp = true;
    Survey<T, S>& survey = greedy.survey();
    survey.floor = static_cast<S>(rounding_ * rounding_);
    const auto exact = [&](int64_t j) {
      const double length = std::sqrt(basis_.residual_square(j));
      return length > rounding_ ? score(j, length, 1) : -std::numeric_limits<double>::infinity();
    };
    while (chosen_ < op_.size.k && sharp) {
      if constexpr (std::is_same_v<S, double>)
        survey.direction = basis_.q();
      else
        survey.direction = basis_.rounded();
      survey.num_directions = basis_.size();
      const Best best = greedy.best(exact);
      if (best.candidate < 0) break;
      const double length = basis_.append(best.candidate, rounding_);
      take(best.candidate, length);
      sharp = length >= blurred * largest_;
    }
    looked_at_ += greedy.num_looked_at() - before;
    return sharp;
  }

  PivotStatus beyond_rank() {
    Leverage<T> leverage(columns_, basis_, op_.weight);
    leverage.reserve(op_.size.k * columns_.c);
    for (int64_t s = 0; s < chosen_; ++s)
      for (int64_t e = op_.pivot[s] * columns_.c; e < (op_.pivot[s] + 1) * columns_.c; ++e)
        if (std::find(basis_.sources().begin(), basis_.sources().end(), e) == basis_.sources().end()) leverage.add(e);
    Survey<T, double> survey = this->survey<double>();
    survey.cost_scale = 1 / largest_;
    survey.floor = -1;
    survey.frame = leverage.frame();
    survey.num_frame = leverage.size();
    survey.frame_square = leverage.frame_square();
    Greedy<T, double> greedy(survey, kernels_.passes_in_double, threads_);
    const auto exact = [&](int64_t j) { return score(j, std::sqrt(leverage.of(j)), 1 / largest_); };
    PivotStatus status = PivotStatus::ok;
    while (chosen_ < op_.size.k) {
      greedy.survey().direction = leverage.directions();
      greedy.survey().num_directions = leverage.num_directions();
      const Best best = greedy.best(exact);
      if (best.candidate < 0) {
        status = PivotStatus::exhausted;
        break;
      }
      for (int64_t i = 0; i < columns_.c; ++i) leverage.add(best.candidate * columns_.c + i);
      take(best.candidate, 0);
    }
    looked_at_ += greedy.num_looked_at();
    return status;
  }

  double score(int64_t j, double length, double cost_scale) const {
    if (op_.weight != nullptr) length *= static_cast<double>(op_.weight[j]);
    return op_.cost == nullptr ? length : length - cost_scale * static_cast<double>(op_.cost[j]);
  }

  void take(int64_t j, double length) {
    op_.pivot[chosen_] = j;
    op_.r_diagonal[chosen_] = length;
    ++chosen_;
    if (length > 0) ++rank_;
    limits_.take(j);
  }

  PivotedQr<T> op_;
  Columns<T> columns_;
  Kernels<T> kernels_;
  bool threads_;
  Limits limits_;
  Basis<T> basis_;
  double largest_ = 0, rounding_ = 0;
  int64_t chosen_ = 0, rank_ = 0, looked_at_ = 0;
};

}  // namespace pinn::pivots
