// The tournament by its definition, in double precision: every heat a choice by the definition (pivot_reference.h) of
// its own, and an exact choice of those that are sent on. Limits on distances and regions without forced candidates.
#pragma once

#include <set>

#include "pivot_reference.h"

namespace pinn::reference {

template <typename T>
class Tournament {
 public:
  // width: candidates of a heat; lots: of each the longest goes on
  Tournament(const PivotedQr<T>& op, std::int64_t width, std::int64_t lots, int rounds)
      : op_(op), width_(width), lots_(lots), rounds_(rounds) {}

  Choice run() {
    std::vector<std::int64_t> field(at(op_.size.n));
    for (std::int64_t j = 0; j < op_.size.n; ++j) field[at(j)] = j;
    for (int round = 0; round < rounds_; ++round) {
      // Heats are of slots, some of which are empty: -1.
      std::vector<std::int64_t> next;
      for (std::int64_t begin = 0; begin < static_cast<std::int64_t>(field.size()); begin += width_) {
        const std::int64_t end = std::min(begin + width_, static_cast<std::int64_t>(field.size()));
        const std::set<std::int64_t> winners = play({field.begin() + begin, field.begin() + end});
        next.insert(next.end(), winners.begin(), winners.end());
        next.resize(next.size() + at(op_.size.k + lots_) - winners.size(), -1);
      }
      field = next;
    }
    if (rounds_ == 0) return Pivoting<T>(op_).run();
    std::vector<std::int64_t> last(op_.forced, op_.forced + op_.size.num_forced);
    for (std::int64_t j : field)
      if (j >= 0) last.push_back(j);
    Part part(op_, last, op_.size.k);
    Choice choice = Pivoting<T>(part.op).run();
    for (std::int64_t& j : choice.pivot) j = last[at(j)];
    return choice;
  }

 private:
  // Some candidates, the forced ones first, with their arguments.
  struct Part {
    PivotedQr<T> op;
    std::vector<T> a, weight, cost;
    std::vector<std::uint8_t> forbidden;
    std::vector<std::int64_t> forced, region;
    std::vector<double> position;

    Part(const PivotedQr<T>& whole, const std::vector<std::int64_t>& which, std::int64_t k) : op(whole) {
      const PivotSize& size = whole.size;
      op.size.n = static_cast<std::int64_t>(which.size());
      op.size.k = std::min(k, op.size.n);
      for (std::int64_t i = 0; i < size.r; ++i)
        for (std::int64_t j : which)
          a.insert(a.end(), whole.a + (i * size.n + j) * size.c, whole.a + (i * size.n + j + 1) * size.c);
      op.a = a.data();
      op.weight = gather(whole.weight, 1, which, weight);
      op.cost = gather(whole.cost, 1, which, cost);
      op.forbidden = gather(whole.forbidden, 1, which, forbidden);
      op.position = gather(whole.position, size.d, which, position);
      op.region = gather(whole.region, 1, which, region);
      for (std::int64_t i = 0; i < size.num_forced; ++i) forced.push_back(i);
      op.forced = forced.data();
    }

    template <typename Number>
    static const Number* gather(const Number* from, std::int64_t each, const std::vector<std::int64_t>& which,
                                std::vector<Number>& to) {
      if (from == nullptr) return nullptr;
      for (std::int64_t j : which) to.insert(to.end(), from + j * each, from + (j + 1) * each);
      return to.data();
    }
  };

  bool is_forced(std::int64_t j) const {
    return std::find(op_.forced, op_.forced + op_.size.num_forced, j) != op_.forced + op_.size.num_forced;
  }
  bool is_open(std::int64_t j) const {
    return j >= 0 && !is_forced(j) && (op_.forbidden == nullptr || op_.forbidden[j] == 0) &&
           (op_.region == nullptr || op_.quota[op_.region[j]] > 0);
  }

  std::set<std::int64_t> play(const std::vector<std::int64_t>& slots) const {
    const std::int64_t forced = op_.size.num_forced;
    std::vector<std::int64_t> open;
    for (std::int64_t j : slots)
      if (is_open(j)) open.push_back(j);
    std::set<std::int64_t> winners;
    if (open.empty()) return winners;
    std::vector<std::int64_t> which(op_.forced, op_.forced + forced);
    which.insert(which.end(), open.begin(), open.end());
    const Part part(op_, which, forced + op_.size.k);
    const Choice choice = Pivoting<T>(part.op).run();
    for (std::size_t s = at(forced); s < choice.pivot.size(); ++s)
      if (choice.r_diagonal[s] > 0) winners.insert(which[at(choice.pivot[s])]);
    // Beyond the rank by number. (Cases with limits on distance or regions end before it.)
    for (std::int64_t j : open)
      if (static_cast<std::int64_t>(winners.size()) <
          std::min(op_.size.k, static_cast<std::int64_t>(choice.pivot.size()) - forced))
        winners.insert(j);
    const std::int64_t count = static_cast<std::int64_t>(slots.size()), lot = (count + lots_ - 1) / lots_;
    for (std::int64_t first = 0; first < count; first += lot) {
      std::int64_t longest = -1;
      for (std::int64_t s = first; s < std::min(first + lot, count); ++s)
        if (is_open(slots[at(s)]) && norm(slots[at(s)]) > 0 && (longest < 0 || score(slots[at(s)]) > score(longest)))
          longest = slots[at(s)];
      if (longest >= 0) winners.insert(longest);
    }
    return winners;
  }

  double norm(std::int64_t j) const {
    double sum = 0;
    for (std::int64_t i = 0; i < op_.size.r; ++i)
      for (std::int64_t e = j * op_.size.c; e < (j + 1) * op_.size.c; ++e) {
        const double x = static_cast<double>(op_.a[i * op_.size.n * op_.size.c + e]);
        sum += x * x;
      }
    return std::sqrt(sum);
  }
  double score(std::int64_t j) const {
    return norm(j) * (op_.weight == nullptr ? 1 : static_cast<double>(op_.weight[j])) -
           (op_.cost == nullptr ? 0 : static_cast<double>(op_.cost[j]));
  }

  PivotedQr<T> op_;
  std::int64_t width_, lots_;
  int rounds_;
};

}  // namespace pinn::reference
