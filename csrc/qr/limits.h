// Which candidates may still be chosen: forbidden ones, those already chosen, distances, regions.
#pragma once

#include <cstdint>
#include <vector>

#include "qr/qr.h"

namespace pinn::pivots {

using std::int64_t;

class Limits {
 public:
  // position [n, d] or null; region [n] and quota or null
  Limits(const PivotSize& size, const std::uint8_t* forbidden, const double* position, const int64_t* region,
         const int64_t* quota)
      : size_(size), position_(position), region_(region), blocked_(static_cast<std::size_t>(size.n)) {
    if (forbidden != nullptr)
      for (int64_t j = 0; j < size.n; ++j) blocked(j) = forbidden[j] != 0;
    if (region == nullptr) return;
    left_.assign(quota, quota + size.num_regions);
    for (int64_t label = 0; label < size.num_regions; ++label)
      if (quota[label] == 0) close_region(label);
  }

  const std::uint8_t* blocked() const { return blocked_.data(); }

  // After j was chosen: it, what is near, and its region where that is full.
  void take(int64_t j) {
    blocked(j) = 1;
    if (position_ != nullptr) close_surroundings(position_ + j * size_.d);
    if (region_ != nullptr && --left_[static_cast<std::size_t>(region_[j])] == 0) close_region(region_[j]);
  }

 private:
  std::uint8_t& blocked(int64_t j) { return blocked_[static_cast<std::size_t>(j)]; }

  void close_surroundings(const double* center) {
    const double limit = size_.min_distance * size_.min_distance;
    for (int64_t j = 0; j < size_.n; ++j) {
      double square = 0;
      for (int64_t i = 0; i < size_.d; ++i) {
        const double step = position_[j * size_.d + i] - center[i];
        square += step * step;
      }
      if (square < limit) blocked(j) = 1;
    }
  }

  void close_region(int64_t label) {
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
