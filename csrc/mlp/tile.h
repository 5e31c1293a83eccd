// What the layouts of a tile share. A tile is t points with all their streams; a layout says where its numbers lie and
// has the kernels of one layer:
//
//   panel_layout.h   features in vectors, for widths that fill them
//   point_layout.h   points in vectors, for widths that do not
#pragma once

#include "core/simd_math.h"
#include "jets/activation_point.h"
#include "jets/fourier_point.h"
#include "mlp/mlp.h"

namespace pinn {

struct Tile {
  std::int64_t first, t;  // points first .. first + t
  std::int64_t stride;    // from one stream to the next, in rows
  std::int64_t rows;      // all streams
};

// A linear layer as a layout sees it.
template <typename T>
struct Linear {
  std::int64_t in, out;
  std::int64_t m;               // frequencies before the first layer; 0: any other layer
  const T *weight, *bias;       // [out, in], [out]
  const T *forward, *backward;  // what the layout has packed
};

// Rows of sums, two vectors each, that fit into the registers beside two vectors and one broadcast: 2 * 12 + 3 of 32,
// or 2 * 6 + 3 of 16.
template <typename V>
inline constexpr int kBlockRows = sizeof(typename V::Raw) == 64 ? 12 : 6;

// f(begin, length) over 0 .. count in pieces of nearly equal length, at most `most`.
template <typename F>
PINN_HD void in_blocks(std::int64_t count, std::int64_t most, F&& f) {
  const std::int64_t blocks = (count + most - 1) / most;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = b * count / blocks;
    f(begin, (b + 1) * count / blocks - begin);
  }
}

// The streams as compile-time numbers, so that the loops over them unroll; weights in the dtype of the jet.
template <int number, bool laplacian_too, typename T>
struct FixedStreams {
  static constexpr int num_first = number;
  static constexpr bool has_laplacian = laplacian_too;
  T weight[number > 0 ? number : 1];
  PINN_HD static constexpr int laplacian() { return 1 + number; }
};

// f(streams), with the streams of the usual equations fixed.
template <typename T, typename F>
PINN_HD void with_streams(const JetStreams& streams, F&& f) {
  const auto fixed = [&](auto number, auto laplacian) {
    FixedStreams<number.value, laplacian.value, T> s{};
    for (int j = 0; j < number.value; ++j) s.weight[j] = static_cast<T>(streams.weight[j]);
    f(s);
  };
  using std::bool_constant;
  using std::integral_constant;
  if (streams.has_laplacian && streams.num_first == 2) return fixed(integral_constant<int, 2>{}, bool_constant<true>{});
  if (streams.has_laplacian && streams.num_first == 3) return fixed(integral_constant<int, 3>{}, bool_constant<true>{});
  if (streams.has_laplacian && streams.num_first == 4) return fixed(integral_constant<int, 4>{}, bool_constant<true>{});
  if (!streams.has_laplacian && streams.num_first == 0)
    return fixed(integral_constant<int, 0>{}, bool_constant<false>{});
  f(streams);
}

// One vector through an activation: z without its bias at `from` -> its jet at `to`, streams `stride` numbers apart.
// What the pass back needs takes the place of the value where `keep`; else `to` may be `from`.
template <Activation activation, typename V, typename T, typename Streams>
PINN_INLINE void activate(const Streams& streams, bool keep, V bias, std::int64_t stride, T* from, T* to) {
  const V value = V::load(from) + bias;
  const Derivatives<V> d = derivatives_of<activation, V, T>(value);
  if (keep) kept_of<activation>(value, d).store(from);
  activation_jet_from<V, T>(
      d, streams, [&](int s) { return V::load(from + s * stride); },
      [&](int s, V number) { number.store(to + s * stride); });
}

// Its adjoint, in place: v is the cotangent of the jet h and becomes that of z.
template <Activation activation, typename V, typename T, typename Streams>
PINN_INLINE void activate_backward(const Streams& streams, std::int64_t stride, const T* kept, const T* h, T* v) {
  activation_jet_backward_from<V, T>(
      derivatives_from<activation, V, T>(V::load(h), V::load(kept)), streams,
      [&](int s) { return V::load(kept + s * stride); }, [&](int s) { return V::load(v + s * stride); },
      [&](int s, V number) { number.store(v + s * stride); });
}

}  // namespace pinn
