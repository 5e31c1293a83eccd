// Heats of the tournament on the CPU: pack once, then follow norms lot by lot.
#include <algorithm>
#include <cmath>
#include <limits>

#include "qr/packed_columns.h"

namespace pinn::pivots {

template <Isa isa, typename T>
T pack_heat(IsaConstant<isa>, const Heat<T>& heat) {
  const int64_t r = heat.from.r, c = heat.from.c, tile = kTile<T>, columns = heat.count * c;
  const int64_t tiles = (columns + tile - 1) / tile;
  for (int64_t e = 0; e < tiles * tile; ++e) heat.value[e] = T(0);
  const int64_t begin = heat.begin * c;
  const int64_t whole = pack<isa>(heat.from, begin, begin + columns, tiles, heat.columns, heat.value);
  for (int64_t t = whole; t < tiles; ++t) squares<isa, T>(heat.columns + t * r * tile, r, heat.value + t * tile);
  T largest = 0;
  bool finite = true;
  for (int64_t j = 0; j < heat.count; ++j) {
    T sum = 0;
    for (int64_t e = j * c; e < (j + 1) * c; ++e) sum += heat.value[e];
    finite = finite && sum - sum == T(0);
    if (!heat.blocked[j]) largest = std::max(largest, sum);
  }
  return finite ? largest : std::numeric_limits<T>::infinity();
}

template <Isa isa, typename T>
void update_lot(IsaConstant<isa>, const Heat<T>& heat, int64_t lot) {
  const int64_t r = heat.from.r, c = heat.from.c, tile = kTile<T>, since = heat.applied[lot];
  const int64_t begin = lot * tile, end = std::min(begin + tile, heat.count);
  const int64_t tiles = ((end - begin) * c + tile - 1) / tile;
  for (int64_t t = lot * c; t < lot * c + tiles; ++t)
    add_squares<isa, T>(heat.columns + t * r * tile, heat.direction + since * r, heat.num_directions - since, r, T(-1),
                        heat.value + t * tile);
  // Squares of scores do where there are no costs.
  T* const key = heat.key + begin;
  const std::uint8_t* const blocked = heat.blocked + begin;
  const T* const value = heat.value + begin * c;
  const int64_t count = end - begin;
  if (c == 1) {
    for (int64_t j = 0; j < count; ++j) key[j] = value[j] > T(0) ? value[j] : T(0);
  } else {
    for (int64_t j = 0; j < count; ++j) {
      key[j] = 0;
      for (int64_t e = j * c; e < (j + 1) * c; ++e) key[j] += value[e] > T(0) ? value[e] : T(0);
    }
  }
  const T floor = heat.floor;
  for (int64_t j = 0; j < count; ++j)
    key[j] = key[j] > floor && blocked[j] == 0 ? key[j] : -std::numeric_limits<T>::infinity();
  if (heat.weight != nullptr)
    for (int64_t j = 0; j < count; ++j)
      key[j] *= heat.weight[heat.begin + begin + j] * heat.weight[heat.begin + begin + j];
  if (heat.cost != nullptr)
    for (int64_t j = 0; j < count; ++j)
      key[j] = key[j] > T(0) ? std::sqrt(key[j]) - heat.cost[heat.begin + begin + j] : key[j];
  // Lane by lane: a maximum of all would be taken one after the other.
  constexpr int64_t kLanes = 16;
  T lanes[kLanes], bound = -std::numeric_limits<T>::infinity();
  for (T& lane : lanes) lane = bound;
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes)
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] = key[j + i] > lanes[i] ? key[j + i] : lanes[i];
  for (; j < count; ++j) bound = key[j] > bound ? key[j] : bound;
  for (T lane : lanes) bound = lane > bound ? lane : bound;
  heat.bound[lot] = bound;
  heat.applied[lot] = heat.num_directions;
}

#define PINN_HEAT(T)                                       \
  template T pack_heat(IsaConstant<kIsa>, const Heat<T>&); \
  template void update_lot(IsaConstant<kIsa>, const Heat<T>&, int64_t);
PINN_HEAT(float)
PINN_HEAT(double)

}  // namespace pinn::pivots
