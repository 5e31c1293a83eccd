// Beyond the rank: g_j = a_j' M^-1 a_j within the span, M = sum over the chosen columns of (w a)(w a)'.
//
// With the triangular R of the chosen basis columns, w a_t = Q R e_t, the frame Y = R^-1 Q' takes them to unit vectors
// and M to I: it is never squared up. Choosing one more candidate z = w Y a takes from every g_j
//
//   (u' Y a_j)^2 / (1 + z' u),   u = M^-1 z      (Sherman and Morrison)
//
// the square of a product with a direction, like the norms of pivoted QR.
#pragma once

#include <cmath>
#include <vector>

#include "selection/basis.h"

namespace pinn::pivots {

template <Isa isa, typename T>
class Leverage {
 public:
  // weight: null, or that of each candidate
  Leverage(const Columns<T>& columns, const Basis<isa, T>& basis, const T* weight)
      : columns_(columns), basis_(basis), weight_(weight), size_(basis.size()), column_(at(columns.r)) {
    const int64_t r = columns.r;
    frame_.assign(basis.q(), basis.q() + size_ * r);
    std::vector<double> R(at(size_ * size_));
    for (int64_t t = 0; t < size_; ++t) {
      basis.load(basis.sources()[at(t)], column_.data());
      for (int64_t u = 0; u <= t; ++u)
        R[at(u * size_ + t)] = weight_of(basis.sources()[at(t)]) * product(basis.q(u), column_.data(), r);
    }
    for (int64_t t = size_ - 1; t >= 0; --t) {
      double* const row = frame_.data() + t * r;
      for (int64_t u = t + 1; u < size_; ++u)
        for (int64_t i = 0; i < r; ++i) row[i] -= R[at(t * size_ + u)] * frame_[at(u * r + i)];
      for (int64_t i = 0; i < r; ++i) row[i] /= R[at(t * size_ + t)];
    }
    inverse_.assign(at(size_ * size_), 0);
    for (int64_t t = 0; t < size_; ++t) inverse_[at(t * size_ + t)] = 1;
    z_.resize(at(size_));
    u_.resize(at(size_));
  }

  const double* frame() const { return frame_.data(); }  // [size, r]
  int64_t size() const { return size_; }
  double frame_square() const { return product(frame_.data(), frame_.data(), size_ * columns_.r); }
  const double* directions() const { return directions_.data(); }
  int64_t num_directions() const { return static_cast<int64_t>(directions_.size()) / columns_.r; }
  // So many columns will be added; keeps directions() where it is.
  void reserve(int64_t columns) { directions_.reserve(at(columns * columns_.r)); }

  // g of a candidate.
  double of(int64_t j) {
    double sum = 0;
    for (int64_t i = 0; i < columns_.c; ++i) sum += project(j * columns_.c + i, 1);
    return sum > 0 ? sum : 0;
  }

  // Adds a column of A to M.
  void add(int64_t column) {
    const double root = std::sqrt(1 + project(column, weight_of(column)));
    for (double& number : u_) number /= root;
    for (int64_t t = 0; t < size_; ++t)
      for (int64_t s = 0; s < size_; ++s) inverse_[at(t * size_ + s)] -= u_[at(t)] * u_[at(s)];
    for (int64_t i = 0; i < columns_.r; ++i) {
      double sum = 0;
      for (int64_t t = 0; t < size_; ++t) sum += u_[at(t)] * frame_[at(t * columns_.r + i)];
      directions_.push_back(sum);
    }
  }

 private:
  static std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }
  static double product(const double* a, const double* b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
    return sum;
  }
  double weight_of(int64_t column) const {
    return weight_ == nullptr ? 1 : static_cast<double>(weight_[column / columns_.c]);
  }
  // z = weight Y a and u = M^-1 z of a column; z' u.
  double project(int64_t column, double weight) {
    basis_.load(column, column_.data());
    for (int64_t t = 0; t < size_; ++t)
      z_[at(t)] = weight * product(frame_.data() + t * columns_.r, column_.data(), columns_.r);
    for (int64_t t = 0; t < size_; ++t) u_[at(t)] = product(inverse_.data() + t * size_, z_.data(), size_);
    return product(z_.data(), u_.data(), size_);
  }

  Columns<T> columns_;
  const Basis<isa, T>& basis_;
  const T* weight_;
  int64_t size_;
  std::vector<double> frame_, inverse_, directions_, column_, z_, u_;
};

}  // namespace pinn::pivots
