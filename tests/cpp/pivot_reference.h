// Pivoted QR by its definition, in double precision: every step subtracts from the whole matrix and takes all norms
// anew.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "selection/pivoted_qr.h"

namespace pinn::reference {

using Numbers = std::vector<double>;

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Choice {
  std::vector<std::int64_t> pivot;
  Numbers r_diagonal;
  std::int64_t rank = 0;
  bool exhausted = false;
};

// x of M x = b, M [size, size] symmetric and positive, by elimination.
inline Numbers solve(Numbers M, Numbers b, std::int64_t size) {
  for (std::int64_t t = 0; t < size; ++t)
    for (std::int64_t s = t + 1; s < size; ++s) {
      const double factor = M[at(s * size + t)] / M[at(t * size + t)];
      for (std::int64_t u = t; u < size; ++u) M[at(s * size + u)] -= factor * M[at(t * size + u)];
      b[at(s)] -= factor * b[at(t)];
    }
  for (std::int64_t t = size - 1; t >= 0; --t) {
    for (std::int64_t u = t + 1; u < size; ++u) b[at(t)] -= M[at(t * size + u)] * b[at(u)];
    b[at(t)] /= M[at(t * size + t)];
  }
  return b;
}

template <typename T>
class Pivoting {
 public:
  explicit Pivoting(const PivotedQr<T>& op) : op_(op), size_(op.size), columns_(size_.n * size_.c) {
    for (std::int64_t i = 0; i < size_.r * columns_; ++i) residual_.push_back(static_cast<double>(op.a[i]));
    for (std::int64_t j = 0; j < size_.n; ++j)
      if (allowed(j)) largest_ = std::max(largest_, norm(j));
    rounding_ = size_.tolerance * largest_;
  }

  Choice run() {
    for (std::int64_t i = 0; i < size_.num_forced; ++i) take(op_.forced[i]);
    while (static_cast<std::int64_t>(result_.pivot.size()) < size_.k) {
      const std::int64_t j = best([&](std::int64_t i) { return norm(i); }, 1, rounding_);
      if (j < 0) break;
      take(j);
    }
    while (static_cast<std::int64_t>(result_.pivot.size()) < size_.k) {
      const std::int64_t j = best(leverages(), 1 / largest_, -1);
      if (j < 0) {
        result_.exhausted = true;
        break;
      }
      result_.pivot.push_back(j);
      result_.r_diagonal.push_back(0);
    }
    return result_;
  }

 private:
  double& entry(std::int64_t row, std::int64_t column) { return residual_[at(row * columns_ + column)]; }
  double original(std::int64_t row, std::int64_t column) const {
    return static_cast<double>(op_.a[row * columns_ + column]);
  }
  double weight(std::int64_t j) const { return op_.weight == nullptr ? 1 : static_cast<double>(op_.weight[j]); }

  double square(std::int64_t column) {
    double sum = 0;
    for (std::int64_t i = 0; i < size_.r; ++i) sum += entry(i, column) * entry(i, column);
    return sum;
  }
  double norm(std::int64_t j) {
    double sum = 0;
    for (std::int64_t e = j * size_.c; e < (j + 1) * size_.c; ++e) sum += square(e);
    return std::sqrt(sum);
  }

  bool allowed(std::int64_t j) const {
    if (op_.forbidden != nullptr && op_.forbidden[j] != 0) return false;
    std::int64_t in_region = 0;
    for (std::int64_t s : result_.pivot) {
      if (s == j) return false;
      if (op_.region != nullptr && op_.region[s] == op_.region[j]) ++in_region;
      if (op_.position == nullptr) continue;
      double distance = 0;
      for (std::int64_t i = 0; i < size_.d; ++i)
        distance += std::pow(op_.position[j * size_.d + i] - op_.position[s * size_.d + i], 2);
      if (distance < size_.min_distance * size_.min_distance) return false;
    }
    return op_.region == nullptr || in_region < op_.quota[op_.region[j]];
  }

  template <typename Length>
  std::int64_t best(const Length& length, double cost_scale, double floor) {
    std::int64_t best = -1;
    double highest = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < size_.n; ++j) {
      if (!allowed(j)) continue;
      const double here = length(j);
      const double score = weight(j) * here - (op_.cost == nullptr ? 0 : cost_scale * static_cast<double>(op_.cost[j]));
      if (here > floor && score > highest) best = j, highest = score;
    }
    return best;
  }

  void take(std::int64_t j) {
    const double length = norm(j);
    const bool adds = length > rounding_;
    result_.pivot.push_back(j);
    result_.r_diagonal.push_back(adds ? length : 0);
    if (adds) ++result_.rank;
    while (adds) {
      std::int64_t longest = j * size_.c;
      for (std::int64_t e = longest; e < (j + 1) * size_.c; ++e)
        if (square(e) > square(longest)) longest = e;
      const double norm = std::sqrt(square(longest));
      if (!(norm > rounding_)) break;
      Numbers q;
      for (std::int64_t i = 0; i < size_.r; ++i) q.push_back(entry(i, longest) / norm);
      for (int twice = 0; twice < 2; ++twice)
        for (std::int64_t e = 0; e < columns_; ++e) {
          double product = 0;
          for (std::int64_t i = 0; i < size_.r; ++i) product += q[at(i)] * entry(i, e);
          for (std::int64_t i = 0; i < size_.r; ++i) entry(i, e) -= q[at(i)] * product;
        }
      basis_.push_back(q);
    }
  }

  // Q' a of a column.
  Numbers inside(std::int64_t column) const {
    Numbers x;
    for (const Numbers& q : basis_) {
      x.push_back(0);
      for (std::int64_t i = 0; i < size_.r; ++i) x.back() += q[at(i)] * original(i, column);
    }
    return x;
  }

  // j -> sqrt(sum of a' M^-1 a over its columns)
  auto leverages() const {
    const std::int64_t size = static_cast<std::int64_t>(basis_.size());
    Numbers M(at(size * size));
    for (std::int64_t j : result_.pivot)
      for (std::int64_t e = j * size_.c; e < (j + 1) * size_.c; ++e) {
        const Numbers x = inside(e);
        for (std::int64_t t = 0; t < size; ++t)
          for (std::int64_t s = 0; s < size; ++s) M[at(t * size + s)] += weight(j) * weight(j) * x[at(t)] * x[at(s)];
      }
    return [this, M, size](std::int64_t j) {
      double sum = 0;
      for (std::int64_t e = j * size_.c; e < (j + 1) * size_.c; ++e) {
        const Numbers x = inside(e), y = solve(M, x, size);
        for (std::int64_t t = 0; t < size; ++t) sum += x[at(t)] * y[at(t)];
      }
      return std::sqrt(sum > 0 ? sum : 0);
    };
  }

  PivotedQr<T> op_;
  PivotSize size_;
  std::int64_t columns_;
  Numbers residual_;
  std::vector<Numbers> basis_;
  double largest_ = 0, rounding_ = 0;
  Choice result_;
};

}  // namespace pinn::reference
