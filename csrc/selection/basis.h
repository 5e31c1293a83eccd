// The span of what has been chosen: an orthonormal basis in double, and the columns that it came from.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "selection/norm_bounds.h"

namespace pinn::pivots {

template <Isa isa, typename T>
class Basis {
 public:
  Basis(const Columns<T>& columns, int64_t capacity) : columns_(columns), vectors_(at(columns.c * columns.r)) {
    q_.reserve(at(capacity * columns.r));
    if constexpr (!std::is_same_v<T, double>) rounded_.reserve(at(capacity * columns.r));
  }

  int64_t size() const { return static_cast<int64_t>(sources_.size()); }
  const double* q() const { return q_.data(); }
  const double* q(int64_t t) const { return q_.data() + t * columns_.r; }
  // The same in the type of A.
  const T* rounded() const {
    if constexpr (std::is_same_v<T, double>)
      return q_.data();
    else
      return rounded_.data();
  }
  // The column of A that each direction came from.
  const std::vector<int64_t>& sources() const { return sources_; }

  // |residual|^2 of candidate j.
  double residual_square(int64_t j) {
    double sum = 0;
    for (int64_t i = 0; i < columns_.c; ++i) {
      load(j * columns_.c + i, vectors_.data());
      sum += project_out(vectors_.data());
    }
    return sum;
  }

  // Adds the directions of candidate j whose length is above `rounding`, the longest first. Returns its residual norm,
  // or 0 where that is no more than `rounding`.
  double append(int64_t j, double rounding) {
    const int64_t c = columns_.c, r = columns_.r;
    std::vector<double> square(at(c));
    double sum = 0;
    for (int64_t i = 0; i < c; ++i) {
      load(j * c + i, vector(i));
      sum += square[at(i)] = orthogonal(vector(i));
    }
    if (!(std::sqrt(sum) > rounding)) return 0;
    for (;;) {
      const int64_t longest = std::max_element(square.begin(), square.end()) - square.begin();
      const double length = std::sqrt(square[at(longest)]);
      if (!(length > rounding) || size() == r) break;
      for (int64_t row = 0; row < r; ++row) {
        const double number = vector(longest)[row] / length;
        q_.push_back(number);
        if constexpr (!std::is_same_v<T, double>) rounded_.push_back(static_cast<T>(number));
      }
      sources_.push_back(j * c + longest);
      for (int64_t i = 0; i < c; ++i) square[at(i)] = i == longest || square[at(i)] < 0 ? -1 : orthogonal(vector(i));
    }
    return std::sqrt(sum);
  }

  void load(int64_t column, double* out) const {
    const T* const in = columns_.a + column;
    for (int64_t i = 0; i < columns_.r; ++i) out[i] = static_cast<double>(in[i * columns_.stride]);
  }

 private:
  static std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }
  double* vector(int64_t i) { return vectors_.data() + i * columns_.r; }
  // Takes the span out of a vector; the squared length of what is left.
  double project_out(double* v) const { return pivots::project_out(IsaConstant<isa>{}, q(), size(), columns_.r, v); }
  double orthogonal(double* v) {  // twice is enough
    project_out(v);
    return project_out(v);
  }

  Columns<T> columns_;
  std::vector<double> q_, vectors_;
  std::vector<T> rounded_;
  std::vector<int64_t> sources_;
};

}  // namespace pinn::pivots
