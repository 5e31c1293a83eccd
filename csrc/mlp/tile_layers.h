// The first and the inner layers of a tile, forward and back: Fourier features, and activations of jets.
//
// A tile is t points; its rows are the streams, row s * t + i for stream s of point i, its features lie in panels
// (tile_product.h). The features of the first layer are reordered so that a wave is two stores: the panel of the
// frequencies pV .. pV + w holds their w cosines, then their w sines.
#pragma once

#include "core/simd_math.h"
#include "fourier/fourier_point.h"
#include "jet/activation_point.h"
#include "mlp/mlp.h"
#include "mlp/tile_product.h"

namespace pinn {

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
PINN_INLINE void with_streams(const JetStreams& streams, F&& f) {
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

// Frequencies in panel p of the first layer.
template <typename V>
PINN_INLINE std::int64_t panel_frequencies(std::int64_t m, std::int64_t p) {
  return m - p * V::size < V::size ? m - p * V::size : V::size;
}

// Which feature of [cos, sin] lies at place k of the first layer.
template <typename V>
PINN_INLINE std::int64_t feature_at(std::int64_t k, std::int64_t m) {
  const std::int64_t p = k / kPanel<V>, place = k % kPanel<V>, count = panel_frequencies<V>(m, p);
  return place < count ? p * V::size + place : m + p * V::size + place - count;
}

// A block of adjacent frequencies: 2 pi b_j for each first derivative and kappa = sum_j weight_j (2 pi b_j)^2.
template <typename V>
struct Rates {
  V first[kMaxCoordinates], kappa;

  template <typename T>
  PINN_INLINE Rates(const T* B, std::int64_t m, std::int64_t begin, std::int64_t count, const JetStreams& streams) {
    kappa = V(T(0));
    for (int j = 0; j < streams.num_first; ++j) {
      first[j] = V(T(kTwoPi)) * V::load(B + streams.first[j] * m + begin, count);
      kappa += V(static_cast<T>(streams.weight[j])) * first[j] * first[j];
    }
  }
};

template <typename V, typename T>
PINN_INLINE Wave<V> wave_at(const T* x, const V* frequencies, std::int64_t d) {
  V turns(T(0));
  for (std::int64_t j = 0; j < d; ++j) turns += V(x[j]) * frequencies[j];
  return cossin_of_turns(turns);
}

template <typename V, typename T>
void features_forward(const Mlp<T>& mlp, std::int64_t first_point, std::int64_t t,
                      T* h) {  // [panels of 2m][streams * t][P]
  const auto& [n, d, m, num_linear, width, streams, activation] = mlp.shape;
  const std::int64_t rows = streams.count() * t;
  for (std::int64_t p = 0; p * V::size < m; ++p, h += rows * kPanel<V>) {
    const std::int64_t count = panel_frequencies<V>(m, p);
    const Rates<V> rates(mlp.B, m, p * V::size, count, streams);
    V frequencies[kMaxCoordinates];
    for (std::int64_t j = 0; j < d; ++j) frequencies[j] = V::load(mlp.B + j * m + p * V::size, count);
    for (std::int64_t i = 0; i < t; ++i) {
      const auto store = [&](std::int64_t s, Wave<V> w) {
        T* to = h + (s * t + i) * kPanel<V>;
        w.cos.store(to);  // beyond `count` lie numbers that the sines replace, or that nobody reads
        w.sin.store(to + count);
      };
      const Wave<V> w = wave_at(mlp.x + (first_point + i) * d, frequencies, d);
      store(0, w);
      for (int j = 0; j < streams.num_first; ++j) store(1 + j, first_derivative(w, rates.first[j]));
      if (streams.has_laplacian) store(streams.laplacian(), laplacian(w, rates.kappa));
    }
  }
}

// Adds the tile's share to v_B, [d][m rounded up to whole vectors].
template <typename V, typename T>
void features_backward(const Mlp<T>& mlp, std::int64_t first_point, std::int64_t t,
                       const T* v_h,  // [panels of 2m][streams * t][P]
                       T* v_B) {
  const auto& [n, d, m, num_linear, width, streams, activation] = mlp.shape;
  const std::int64_t rows = streams.count() * t, stride = (m + V::size - 1) / V::size * V::size;
  for (std::int64_t p = 0; p * V::size < m; ++p, v_h += rows * kPanel<V>) {
    const std::int64_t count = panel_frequencies<V>(m, p);
    const Rates<V> rates(mlp.B, m, p * V::size, count, streams);
    V frequencies[kMaxCoordinates], v_frequencies[kMaxCoordinates];
    for (std::int64_t j = 0; j < d; ++j) {
      frequencies[j] = V::load(mlp.B + j * m + p * V::size, count);
      v_frequencies[j] = V(T(0));
    }
    for (std::int64_t i = 0; i < t; ++i) {
      const T* x = mlp.x + (first_point + i) * d;
      const auto load = [&](std::int64_t s) -> Wave<V> {
        const T* from = v_h + (s * t + i) * kPanel<V>;
        return {V::load(from, count), V::load(from + count, count)};
      };
      const Wave<V> w = wave_at(x, frequencies, d);
      V v_phase = v_phase_of_value(w, load(0)), v_kappa(T(0));
      if (streams.has_laplacian) laplacian_backward(w, rates.kappa, load(streams.laplacian()), v_phase, v_kappa);
      for (int j = 0; j < streams.num_first; ++j) {
        V v_k = V(T(2)) * V(static_cast<T>(streams.weight[j])) * rates.first[j] * v_kappa;
        first_derivative_backward(w, rates.first[j], load(1 + j), v_phase, v_k);
        v_frequencies[streams.first[j]] += v_k;
      }
      for (std::int64_t j = 0; j < d; ++j) v_frequencies[j] += V(x[j]) * v_phase;
    }
    for (std::int64_t j = 0; j < d; ++j) {
      T* to = v_B + j * stride + p * V::size;
      (V::load(to) + V(T(kTwoPi)) * v_frequencies[j]).store(to);
    }
  }
}

// One panel through an activation: z without its bias -> h. What the pass back needs takes the place of z where `keep`;
// else h may be z.
template <typename V, typename T>
void activation_forward(const MlpShape& shape, bool keep, std::int64_t t, int vectors, const T* bias,
                        std::int64_t bias_left, T* z, T* h) {
  with_activation(shape.activation, [&](auto activation) {
    with_streams<T>(shape.streams, [&](const auto& streams) {
      for (int v = 0; v < vectors; ++v) {
        const V b = V::load(bias + v * V::size, bias_left - v * V::size);
        T *from = z + v * V::size, *to = h + v * V::size;
        for (std::int64_t i = 0; i < t; ++i, from += kPanel<V>, to += kPanel<V>) {
          const V value = V::load(from) + b;
          const Derivatives<V> d = derivatives_of<activation.value, V, T>(value);
          if (keep) kept_of<activation.value>(value, d).store(from);
          activation_jet_from<V, T>(
              d, streams, [&](int s) { return V::load(from + s * t * kPanel<V>); },
              [&](int s, V number) { number.store(to + s * t * kPanel<V>); });
        }
      }
    });
  });
}

// Its adjoint, in place: v is the cotangent of h and becomes that of z.
template <typename V, typename T>
void activation_backward(const MlpShape& shape, std::int64_t t, int vectors, const T* kept, const T* h, T* v_h) {
  with_activation(shape.activation, [&](auto activation) {
    with_streams<T>(shape.streams, [&](const auto& streams) {
      for (int v = 0; v < vectors; ++v)
        for (std::int64_t i = 0; i < t; ++i) {
          const std::int64_t at = i * kPanel<V> + v * V::size, stride = t * kPanel<V>;
          activation_jet_backward_from<V, T>(
              derivatives_from<activation.value, V, T>(V::load(h + at), V::load(kept + at)), streams,
              [&](int s) { return V::load(kept + at + s * stride); },
              [&](int s) { return V::load(v_h + at + s * stride); },
              [&](int s, V number) { number.store(v_h + at + s * stride); });
        }
    });
  });
}

}  // namespace pinn
