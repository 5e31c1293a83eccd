// Norms of columns on the CPU: columns in vectors, a block packed into tiles, all new directions at once.
#include <algorithm>
#include <cmath>
#include <limits>

#include "selection/packed_columns.h"

namespace pinn::pivots {
namespace {

// Explicit residuals are looked at where slack is more than this part of the value.
constexpr double kBlurred = 0.25;

// Upper bound of a candidate's score; minus infinity where it cannot be chosen.
template <Isa isa, typename In, typename S>
PINN_INLINE S score_bound(const NormBounds<In, S>& bounds, int64_t j, const S* value, const S* slack) {
  constexpr S eps = std::numeric_limits<S>::epsilon();
  S sum = 0;
  for (int64_t i = 0; i < bounds.columns.c; ++i) sum += std::max(value[i], S(0)) + slack[i];
  if (!(sum > bounds.floor) || bounds.blocked[j]) return -std::numeric_limits<S>::infinity();
  S key = std::sqrt(sum);
  if (bounds.weight != nullptr) key *= static_cast<S>(bounds.weight[j]) * (1 + 2 * eps);
  if (bounds.cost != nullptr) {
    const S cost = static_cast<S>(bounds.cost_scale * static_cast<double>(bounds.cost[j]));
    key = key - cost + 4 * eps * (std::fabs(cost) + key);
  }
  return key;
}

// Measures, or applies what has come since, to the columns of one tile.
template <Isa isa, typename In, typename S>
void update_tile(const NormBounds<In, S>& bounds, const S* tile, int64_t applied, S* value, S* slack) {
  const int64_t r = bounds.columns.r;
  const S relative = static_cast<S>(bounds.relative_slack);
  if (applied < 0) {
    squares<isa, S>(tile, r, value);
    if (bounds.frame != nullptr) {
      // Each product rounds relative to the lengths of its factors, which may be long and at right angles.
      const S square = static_cast<S>(bounds.frame_square);
      for (int64_t j = 0; j < kTile<S>; ++j) slack[j] = square * value[j], value[j] = S(0);
      add_squares<isa, S>(tile, bounds.frame, bounds.num_frame, r, S(1), value);
      for (int64_t j = 0; j < kTile<S>; ++j) slack[j] = relative * (value[j] + std::sqrt(value[j] * slack[j]));
    } else {
      for (int64_t j = 0; j < kTile<S>; ++j) slack[j] = relative * value[j];
    }
    applied = 0;
  }
  add_squares<isa, S>(tile, bounds.direction + applied * r, bounds.num_directions - applied, r, S(-1), value);
}

template <Isa isa, typename In, typename S>
void copy_column(const NormBounds<In, S>& bounds, int64_t column, S* out, int64_t step) {
  const In* in = bounds.columns.a + column;
  for (int64_t i = 0; i < bounds.columns.r; ++i) out[i * step] = static_cast<S>(in[i * bounds.columns.stride]);
}

// Where cancellation has eaten the value of a candidate that might be the best, its residual is taken in full.
template <Isa isa, typename In, typename S>
void sharpen(const NormBounds<In, S>& bounds, int64_t j, double* column) {
  const int64_t c = bounds.columns.c, r = bounds.columns.r;
  for (int64_t e = j * c; e < (j + 1) * c; ++e) {
    if (!(static_cast<double>(bounds.slack[e]) > kBlurred * static_cast<double>(bounds.value[e]))) continue;
    const In* in = bounds.columns.a + e;
    double length = 0;
    for (int64_t i = 0; i < r; ++i) {
      column[i] = static_cast<double>(in[i * bounds.columns.stride]);
      length += column[i] * column[i];
    }
    const double rest = project_out(IsaConstant<isa>{}, bounds.exact, bounds.num_directions, r, column);
    // Later products with the whole column round relative to its length.
    const S value = static_cast<S>(rest);
    const S slack = static_cast<S>(bounds.relative_slack * (rest + std::sqrt(rest * length)));
    if (value + slack < bounds.value[e] + bounds.slack[e]) bounds.value[e] = value, bounds.slack[e] = slack;
  }
}

// The largest `keep` keys, ties to the lowest place: their places, ascending; how many. Keys that were taken become
// minus infinity.
template <Isa isa, typename S>
int64_t extract_largest(S* key, int64_t count, int64_t keep, int64_t* place) {
  constexpr S none = -std::numeric_limits<S>::infinity();
  const auto number_from = [&](S limit) {
    std::int32_t number = 0;
    for (int64_t j = 0; j < count; ++j) number += key[j] >= limit ? 1 : 0;
    return static_cast<int64_t>(number);
  };
  S low = std::numeric_limits<S>::infinity(), high = none;
  for (int64_t j = 0; j < count; ++j) {
    low = key[j] > none ? std::min(low, key[j]) : low;
    high = std::max(high, key[j]);
  }
  if (!(high > none)) return 0;
  // From `low` on there are at least `keep`, or all; above `high` fewer.
  int64_t above = number_from(high);
  if (above <= keep && number_from(low) > keep) {
    for (;;) {
      const S middle = low + (high - low) / 2;
      if (!(middle > low && middle < high)) break;
      const int64_t number = number_from(middle);
      if (number > keep) {
        low = middle;
      } else {
        high = middle, above = number;
        if (4 * number >= 3 * keep) break;
      }
    }
  } else if (above <= keep) {
    high = low, above = number_from(low);
  } else {
    low = high, high = std::numeric_limits<S>::infinity(), above = 0;
  }
  int64_t equal = above == 0 ? keep : 0, taken = 0;  // all that is left is equal to `low`, or there is enough
  for (int64_t j = 0; j < count && taken < keep; ++j) {
    if (!(key[j] >= high) && !(equal > 0 && key[j] >= low)) continue;
    if (!(key[j] >= high)) --equal;
    place[taken++] = j;
  }
  for (int64_t i = 0; i < taken; ++i) key[place[i]] = none;
  return taken;
}

// (std::copy_n may leave a symbol that does not carry the instruction set.)
template <typename S>
PINN_INLINE void copy(const S* from, int64_t count, S* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(S));
}

template <typename S>
S largest_of(const S* key, int64_t count) {
  S result = -std::numeric_limits<S>::infinity();
  for (int64_t j = 0; j < count; ++j) result = std::max(result, key[j]);
  return result;
}

}  // namespace

template <Isa isa>
double project_out(IsaConstant<isa>, const double* Q, int64_t s, int64_t r, double* v) {
  using V = Vec<isa, double>;
  const auto product = [&](const double* a, const double* b) {
    V sum[4] = {V(0.0), V(0.0), V(0.0), V(0.0)};
    int64_t i = 0;
    for (; i + 4 * V::size <= r; i += 4 * V::size)
      for (int u = 0; u < 4; ++u) sum[u] += V::load(a + i + u * V::size) * V::load(b + i + u * V::size);
    for (; i < r; i += V::size) sum[0] += V::load(a + i, r - i) * V::load(b + i, r - i);
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])).sum();
  };
  for (int64_t t = 0; t < s; ++t) {
    const double* q = Q + t * r;
    const V factor(-product(q, v));
    for (int64_t i = 0; i < r; i += V::size) {
      V x = V::load(v + i, r - i);
      x += factor * V::load(q + i, r - i);
      x.store(v + i, r - i);
    }
  }
  return product(v, v);
}

template <Isa isa, typename In, typename S>
void recompute_block(IsaConstant<isa>, const NormBounds<In, S>& bounds, int64_t block, int64_t thread, double best) {
  const int64_t r = bounds.columns.r, c = bounds.columns.c, tile = kTile<S>;
  const int64_t begin = block * bounds.width, end = std::min(begin + bounds.width, bounds.columns.n),
                count = end - begin;
  const int64_t slab_tiles = bounds.slab_tiles();
  const int64_t tiles = bounds.tiles_of(count), applied = bounds.applied[block];
  S* const slab = bounds.slab + thread * slab_tiles * r * tile;
  S* const key = bounds.keys + thread * bounds.width;
  const bool one_slab = tiles <= slab_tiles, read = applied < bounds.num_directions;
  for (int64_t first = 0; read && first < tiles; first += slab_tiles) {
    const int64_t some = std::min(slab_tiles, tiles - first);
    pack<isa>(bounds.columns, begin * c + first * tile, end * c, some, slab);
    for (int64_t t = 0; t < some; ++t) {
      const int64_t column = begin * c + (first + t) * tile, left = std::min(tile, end * c - column);
      alignas(64) S value[kTile<S>] = {}, slack[kTile<S>] = {};
      if (applied >= 0) copy(bounds.value + column, left, value);
      update_tile<isa>(bounds, slab + t * r * tile, applied, value, slack);
      copy(value, left, bounds.value + column);
      if (applied < 0) copy(slack, left, bounds.slack + column);
    }
  }
  if (applied < 0) {
    bool finite = true;
    S largest = 0;
    for (int64_t j = begin; j < end; ++j) {
      S sum = 0;
      for (int64_t e = j * c; e < (j + 1) * c; ++e) sum += bounds.value[e];
      finite = finite && sum - sum == S(0);
      if (!bounds.blocked[j]) largest = std::max(largest, sum);
    }
    bounds.finite[block] = finite;
    bounds.largest[block] = largest;
  }
  for (int64_t j = begin; j < end; ++j)
    key[j - begin] = score_bound<isa>(bounds, j, bounds.value + j * c, bounds.slack + j * c);
  if (bounds.exact != nullptr) {
    double* const column = bounds.column + thread * r;
    for (int64_t j = begin; j < end; ++j) {
      if (!(static_cast<double>(key[j - begin]) >= best)) continue;
      sharpen<isa>(bounds, j, column);
      key[j - begin] = score_bound<isa>(bounds, j, bounds.value + j * c, bounds.slack + j * c);
    }
  }
  // The kept ones, in the order of their places; what is known exactly of those that stay, stays.
  int64_t place[kMaxKept];
  double exact[kMaxKept];
  S kept_key[kMaxKept];
  int64_t* const kept = bounds.kept + block * bounds.keep;
  double* const kept_exact = bounds.kept_exact + block * bounds.keep;
  const int64_t had = bounds.kept_count[block];
  const int64_t number = extract_largest<isa>(key, count, bounds.keep, place);
  bounds.outside[block] = largest_of(key, count);
  for (int64_t p = 0, old = 0; p < number; ++p) {
    const int64_t j = begin + place[p];
    while (old < had && kept[old] < j) ++old;
    exact[p] = old < had && kept[old] == j ? kept_exact[old] : std::numeric_limits<double>::infinity();
    kept_key[p] = score_bound<isa>(bounds, j, bounds.value + j * c, bounds.slack + j * c);
  }
  S* const columns = bounds.kept_columns + block * bounds.tiles_of(bounds.keep) * r * tile;
  for (int64_t p = 0; p < number; ++p) {
    const int64_t j = begin + place[p];
    kept[p] = j;
    kept_exact[p] = exact[p];
    bounds.kept_key[block * bounds.keep + p] = kept_key[p];
    for (int64_t i = 0; i < c; ++i) {
      const int64_t to = p * c + i, from = place[p] * c + i;
      bounds.kept_value[block * bounds.keep * c + to] = bounds.value[j * c + i];
      bounds.kept_slack[block * bounds.keep * c + to] = bounds.slack[j * c + i];
      S* const out = columns + (to / tile) * r * tile + to % tile;
      if (one_slab && read) {
        const S* in = slab + (from / tile) * r * tile + from % tile;
        for (int64_t row = 0; row < r; ++row) out[row * tile] = in[row * tile];
      } else {
        copy_column<isa>(bounds, j * c + i, out, tile);
      }
    }
  }
  bounds.kept_count[block] = number;
  bounds.inside[block] = largest_of(kept_key, number);
  bounds.applied[block] = bounds.kept_applied[block] = bounds.num_directions;
}

template <Isa isa, typename In, typename S>
void update_candidates(IsaConstant<isa>, const NormBounds<In, S>& bounds, int64_t block) {
  const int64_t r = bounds.columns.r, c = bounds.columns.c, tile = kTile<S>, number = bounds.kept_count[block];
  const S* const columns = bounds.kept_columns + block * bounds.tiles_of(bounds.keep) * r * tile;
  S* const value = bounds.kept_value + block * bounds.keep * c;
  const S* const slack = bounds.kept_slack + block * bounds.keep * c;
  for (int64_t first = 0; first < number * c; first += tile) {
    const int64_t left = std::min(tile, number * c - first);
    alignas(64) S part[kTile<S>] = {}, unused[kTile<S>] = {};
    copy(value + first, left, part);
    update_tile<isa>(bounds, columns + first * r, bounds.kept_applied[block], part, unused);
    copy(part, left, value + first);
  }
  S* const key = bounds.kept_key + block * bounds.keep;
  for (int64_t p = 0; p < number; ++p)
    key[p] = score_bound<isa>(bounds, bounds.kept[block * bounds.keep + p], value + p * c, slack + p * c);
  bounds.inside[block] = largest_of(key, number);
  bounds.kept_applied[block] = bounds.num_directions;
}

#define PINN_NORM_BOUNDS(In, S)                                                                         \
  template void recompute_block(IsaConstant<kIsa>, const NormBounds<In, S>&, int64_t, int64_t, double); \
  template void update_candidates(IsaConstant<kIsa>, const NormBounds<In, S>&, int64_t);
PINN_NORM_BOUNDS(float, float)
PINN_NORM_BOUNDS(float, double)
PINN_NORM_BOUNDS(double, double)
template double project_out(IsaConstant<kIsa>, const double*, int64_t, int64_t, double*);

}  // namespace pinn::pivots
