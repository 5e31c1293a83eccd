// Norms of columns on the CPU: columns in vectors, a block packed into tiles, all new directions at once.
#include <algorithm>
#include <cmath>
#include <limits>

#include "qr/packed_columns.h"

namespace pinn::pivots {
namespace {

// Explicit residuals are looked at where slack is more than this part of the value.
constexpr double kBlurred = 0.25;

// Upper bound of a candidate's score; minus infinity where it cannot be chosen.
template <Isa isa, typename In, typename S>
PINN_INLINE S score_bound(const Survey<In, S>& survey, int64_t j, const S* value, const S* slack) {
  constexpr S eps = std::numeric_limits<S>::epsilon();
  S sum = 0;
  for (int64_t i = 0; i < survey.columns.c; ++i) sum += std::max(value[i], S(0)) + slack[i];
  if (!(sum > survey.floor) || survey.blocked[j]) return -std::numeric_limits<S>::infinity();
  S key = std::sqrt(sum);
  if (survey.weight != nullptr) key *= static_cast<S>(survey.weight[j]) * (1 + 2 * eps);
  if (survey.cost != nullptr) {
    const S cost = static_cast<S>(survey.cost_scale * static_cast<double>(survey.cost[j]));
    key = key - cost + 4 * eps * (std::fabs(cost) + key);
  }
  return key;
}

// Measures, or applies what has come since, to the columns of one tile.
template <Isa isa, typename In, typename S>
void update_tile(const Survey<In, S>& survey, const S* tile, int64_t applied, S* value, S* slack) {
  const int64_t r = survey.columns.r;
  const S relative = static_cast<S>(survey.relative_slack);
  if (applied < 0) {
    squares<isa, S>(tile, r, value);
    if (survey.frame != nullptr) {
      // Each product rounds relative to the lengths of its factors, which may be long and at right angles.
      const S square = static_cast<S>(survey.frame_square);
      for (int64_t j = 0; j < kTile<S>; ++j) slack[j] = square * value[j], value[j] = S(0);
      add_squares<isa, S>(tile, survey.frame, survey.num_frame, r, S(1), value);
      for (int64_t j = 0; j < kTile<S>; ++j) slack[j] = relative * (value[j] + std::sqrt(value[j] * slack[j]));
    } else {
      for (int64_t j = 0; j < kTile<S>; ++j) slack[j] = relative * value[j];
    }
    applied = 0;
  }
  add_squares<isa, S>(tile, survey.direction + applied * r, survey.num_directions - applied, r, S(-1), value);
}

template <Isa isa, typename In, typename S>
void copy_column(const Survey<In, S>& survey, int64_t column, S* out, int64_t step) {
  const In* in = survey.columns.a + column;
  for (int64_t i = 0; i < survey.columns.r; ++i) out[i * step] = static_cast<S>(in[i * survey.columns.stride]);
}

// Where cancellation has eaten the value of a candidate that might be the best, its residual is taken in full.
template <Isa isa, typename In, typename S>
void sharpen(const Survey<In, S>& survey, int64_t j, double* column) {
  const int64_t c = survey.columns.c, r = survey.columns.r;
  for (int64_t e = j * c; e < (j + 1) * c; ++e) {
    if (!(static_cast<double>(survey.slack[e]) > kBlurred * static_cast<double>(survey.value[e]))) continue;
    const In* in = survey.columns.a + e;
    double length = 0;
    for (int64_t i = 0; i < r; ++i) {
      column[i] = static_cast<double>(in[i * survey.columns.stride]);
      length += column[i] * column[i];
    }
    const double rest = project_out(IsaConstant<isa>{}, survey.exact, survey.num_directions, r, column);
    // Later products with the whole column round relative to its length.
    const S value = static_cast<S>(rest);
    const S slack = static_cast<S>(survey.relative_slack * (rest + std::sqrt(rest * length)));
    if (value + slack < survey.value[e] + survey.slack[e]) survey.value[e] = value, survey.slack[e] = slack;
  }
}

// The largest `keep` keys, ties to the lowest place: their places, ascending; how many. Keys that were taken become
// minus infinity.
template <Isa isa, typename S>
int64_t take_largest(S* key, int64_t count, int64_t keep, int64_t* place) {
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
void refresh_block(IsaConstant<isa>, const Survey<In, S>& survey, int64_t block, int64_t thread, double best) {
  const int64_t r = survey.columns.r, c = survey.columns.c, tile = kTile<S>;
  const int64_t begin = block * survey.width, end = std::min(begin + survey.width, survey.columns.n),
                count = end - begin;
  const int64_t slab_tiles = survey.slab_tiles();
  const int64_t tiles = survey.tiles_of(count), applied = survey.applied[block];
  S* const slab = survey.slab + thread * slab_tiles * r * tile;
  S* const key = survey.keys + thread * survey.width;
  const bool one_slab = tiles <= slab_tiles, read = applied < survey.num_directions;
  for (int64_t first = 0; read && first < tiles; first += slab_tiles) {
    const int64_t some = std::min(slab_tiles, tiles - first);
    pack<isa>(survey.columns, begin * c + first * tile, end * c, some, slab);
    for (int64_t t = 0; t < some; ++t) {
      const int64_t column = begin * c + (first + t) * tile, left = std::min(tile, end * c - column);
      alignas(64) S value[kTile<S>] = {}, slack[kTile<S>] = {};
      if (applied >= 0) copy(survey.value + column, left, value);
      update_tile<isa>(survey, slab + t * r * tile, applied, value, slack);
      copy(value, left, survey.value + column);
      if (applied < 0) copy(slack, left, survey.slack + column);
    }
  }
  if (applied < 0) {
    bool finite = true;
    S largest = 0;
    for (int64_t j = begin; j < end; ++j) {
      S sum = 0;
      for (int64_t e = j * c; e < (j + 1) * c; ++e) sum += survey.value[e];
      finite = finite && sum - sum == S(0);
      if (!survey.blocked[j]) largest = std::max(largest, sum);
    }
    survey.finite[block] = finite;
    survey.largest[block] = largest;
  }
  for (int64_t j = begin; j < end; ++j)
    key[j - begin] = score_bound<isa>(survey, j, survey.value + j * c, survey.slack + j * c);
  if (survey.exact != nullptr) {
    double* const column = survey.column + thread * r;
    for (int64_t j = begin; j < end; ++j) {
      if (!(static_cast<double>(key[j - begin]) >= best)) continue;
      sharpen<isa>(survey, j, column);
      key[j - begin] = score_bound<isa>(survey, j, survey.value + j * c, survey.slack + j * c);
    }
  }
  // The kept ones, in the order of their places; what is known exactly of those that stay, stays.
  int64_t place[kMostKept];
  double exact[kMostKept];
  S kept_key[kMostKept];
  int64_t* const kept = survey.kept + block * survey.keep;
  double* const kept_exact = survey.kept_exact + block * survey.keep;
  const int64_t had = survey.kept_count[block];
  const int64_t number = take_largest<isa>(key, count, survey.keep, place);
  survey.outside[block] = largest_of(key, count);
  for (int64_t p = 0, old = 0; p < number; ++p) {
    const int64_t j = begin + place[p];
    while (old < had && kept[old] < j) ++old;
    exact[p] = old < had && kept[old] == j ? kept_exact[old] : std::numeric_limits<double>::infinity();
    kept_key[p] = score_bound<isa>(survey, j, survey.value + j * c, survey.slack + j * c);
  }
  S* const columns = survey.kept_columns + block * survey.tiles_of(survey.keep) * r * tile;
  for (int64_t p = 0; p < number; ++p) {
    const int64_t j = begin + place[p];
    kept[p] = j;
    kept_exact[p] = exact[p];
    survey.kept_key[block * survey.keep + p] = kept_key[p];
    for (int64_t i = 0; i < c; ++i) {
      const int64_t to = p * c + i, from = place[p] * c + i;
      survey.kept_value[block * survey.keep * c + to] = survey.value[j * c + i];
      survey.kept_slack[block * survey.keep * c + to] = survey.slack[j * c + i];
      S* const out = columns + (to / tile) * r * tile + to % tile;
      if (one_slab && read) {
        const S* in = slab + (from / tile) * r * tile + from % tile;
        for (int64_t row = 0; row < r; ++row) out[row * tile] = in[row * tile];
      } else {
        copy_column<isa>(survey, j * c + i, out, tile);
      }
    }
  }
  survey.kept_count[block] = number;
  survey.inside[block] = largest_of(kept_key, number);
  survey.applied[block] = survey.kept_applied[block] = survey.num_directions;
}

template <Isa isa, typename In, typename S>
void follow_kept(IsaConstant<isa>, const Survey<In, S>& survey, int64_t block) {
  const int64_t r = survey.columns.r, c = survey.columns.c, tile = kTile<S>, number = survey.kept_count[block];
  const S* const columns = survey.kept_columns + block * survey.tiles_of(survey.keep) * r * tile;
  S* const value = survey.kept_value + block * survey.keep * c;
  const S* const slack = survey.kept_slack + block * survey.keep * c;
  for (int64_t first = 0; first < number * c; first += tile) {
    const int64_t left = std::min(tile, number * c - first);
    alignas(64) S part[kTile<S>] = {}, unused[kTile<S>] = {};
    copy(value + first, left, part);
    update_tile<isa>(survey, columns + first * r, survey.kept_applied[block], part, unused);
    copy(part, left, value + first);
  }
  S* const key = survey.kept_key + block * survey.keep;
  for (int64_t p = 0; p < number; ++p)
    key[p] = score_bound<isa>(survey, survey.kept[block * survey.keep + p], value + p * c, slack + p * c);
  survey.inside[block] = largest_of(key, number);
  survey.kept_applied[block] = survey.num_directions;
}

#define PINN_SURVEY(In, S)                                                                        \
  template void refresh_block(IsaConstant<kIsa>, const Survey<In, S>&, int64_t, int64_t, double); \
  template void follow_kept(IsaConstant<kIsa>, const Survey<In, S>&, int64_t);
PINN_SURVEY(float, float)
PINN_SURVEY(float, double)
PINN_SURVEY(double, double)
template double project_out(IsaConstant<kIsa>, const double*, int64_t, int64_t, double*);

}  // namespace pinn::pivots
