// Which candidates may still be chosen: forbidden ones, those already chosen, distances, regions.
#pragma once

#include <cstdint>
#include <vector>

#include "selection/pivoted_qr.h"

namespace pinn::pivots {

using std::int64_t;

class Constraints {
 public:
  template <typename T>
  explicit Constraints(const PivotedQr<T>& op)
      : size_(op.size), position_(op.position), region_(op.region), blocked_(static_cast<std::size_t>(op.size.n)) {
    if (op.forbidden != nullptr)
      for (int64_t j = 0; j < size_.n; ++j) blocked(j) = op.forbidden[j] != 0;
    if (region_ == nullptr) return;
    left_.assign(op.quota, op.quota + size_.num_regions);
    for (int64_t label = 0; label < size_.num_regions; ++label)
      if (op.quota[label] == 0) exclude_region(label);
  }

  const std::uint8_t* blocked() const { return blocked_.data(); }

  // After j was chosen: it, what is near, and its region where that is full.
  void accept_pivot(int64_t j) {
    blocked(j) = 1;
    if (position_ != nullptr) exclude_near(j);
    if (region_ != nullptr && --left_[static_cast<std::size_t>(region_[j])] == 0) exclude_region(region_[j]);
  }

 private:
  std::uint8_t& blocked(int64_t j) { return blocked_[static_cast<std::size_t>(j)]; }

  void exclude_near(int64_t chosen) {
    for (int64_t j = 0; j < size_.n; ++j)
      if (too_near(size_, position_, j, chosen)) blocked(j) = 1;
  }

  void exclude_region(int64_t label) {
    for (int64_t j = 0; j < size_.n; ++j)
      if (region_[j] == label) blocked(j) = 1;
  }

  const PivotSize size_;
  const double* position_;
  const int64_t* region_;
  std::vector<std::uint8_t> blocked_;
  std::vector<int64_t> left_;
};

}  // namespace pinn::pivots
