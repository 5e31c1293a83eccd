// A tile with its points in vectors: a row of numbers for each feature, in it the streams one after the other, each
// rounded up to whole vectors (the last point stands in for those beyond it; their cotangents are zero).
//
// Nothing is rounded up to vectors but the points, so a width of 37 costs what 37 costs; and weights are read where
// they are. The price is the weight gradient, whose sums end across the lanes of a vector.
#pragma once

#include <algorithm>
#include <utility>

#include "mlp/tile.h"

namespace pinn {

// y[i] = sum_k w[i * out_stride + k * in_stride] x[k] for `rows` rows i, `vectors` vectors of points.
template <typename V, int rows, int vectors, typename T>
void point_product_block(const T* w, std::int64_t out_stride, std::int64_t in_stride, std::int64_t num_k, const T* x,
                         std::int64_t row, T* y) {
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sum[i][v] = V(T(0));
  for (std::int64_t k = 0; k < num_k; ++k, x += row, w += in_stride) {
    V column[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) column[v] = V::load(x + v * V::size);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const V a(w[i * out_stride]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[i][v] += a * column[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sum[i][v].store(y + i * row + v * V::size);
}

// d[o][k] (+)= sum_r v[o][r] x[k][r] for num_o x num_k numbers.
template <typename V, int num_o, int num_k, typename T>
void point_outer_block(const T* v, const T* x, std::int64_t row, std::int64_t num_r, T* d, std::int64_t d_row,
                       bool add) {
  V sum[num_o][num_k];
#pragma GCC unroll 8
  for (int o = 0; o < num_o; ++o)
#pragma GCC unroll 8
    for (int k = 0; k < num_k; ++k) sum[o][k] = V(T(0));
  for (std::int64_t r = 0; r < num_r; r += V::size) {
    V column[num_k];
#pragma GCC unroll 8
    for (int k = 0; k < num_k; ++k) column[k] = V::load(x + k * row + r);
#pragma GCC unroll 8
    for (int o = 0; o < num_o; ++o) {
      const V a = V::load(v + o * row + r);
#pragma GCC unroll 8
      for (int k = 0; k < num_k; ++k) sum[o][k] += a * column[k];
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < num_o; ++o)
#pragma GCC unroll 8
    for (int k = 0; k < num_k; ++k) {
      T* to = d + o * d_row + k;
      *to = add ? *to + sum[o][k].sum() : sum[o][k].sum();
    }
}

template <Isa isa, typename T>
struct PointLayout {
  using V = Vec<isa, T>;
  using int64_t = std::int64_t;
  static constexpr int64_t kRows = 320;  // long sums: their ends across the lanes cost less
  static constexpr int64_t kGranule = V::size;
  static constexpr int kOuter = sizeof(typename V::Raw) == 64 ? 5 : 3;  // 25 + 6 of 32 registers, 9 + 4 of 16

  static int64_t whole_vectors(int64_t count) { return (count + V::size - 1) / V::size * V::size; }

  static Tile tile(int64_t first, int64_t t, int64_t streams) {
    return {first, t, whole_vectors(t), streams * whole_vectors(t)};
  }

  // Numbers from one feature to the next: an odd number of vectors, since rows a power of two apart share cache sets.
  static int64_t row(int64_t rows) { return rows / V::size % 2 == 0 ? rows + V::size : rows; }

  static int64_t jet_size(int64_t features, int64_t rows) { return features * row(rows); }
  static int64_t packed_size(int64_t, int64_t) { return 0; }
  static int64_t v_weight_size(int64_t in, int64_t out) { return in * out; }
  static int64_t v_bias_size(int64_t out) { return out; }
  static int64_t v_frequency_size(int64_t m) { return m; }

  static int64_t output_at(const Tile& tile, int64_t s, int64_t c, int64_t i) {
    return c * row(tile.rows) + s * tile.stride + i;
  }
  static V load_points(const Tile& tile, const T* y, int64_t s, int64_t c, int64_t i) {
    return V::load(y + output_at(tile, s, c, i));
  }
  static void store_points(const Tile& tile, V v, T* y, int64_t s, int64_t c, int64_t i) {
    v.store(y + output_at(tile, s, c, i));
  }

  static void pack_forward(const Linear<T>&, bool, T*) {}
  static void pack_backward(const Linear<T>&, bool, T*) {}

  template <typename F>
  static void for_each_piece(const Linear<T>& layer, int64_t o, const F& f) {
    f(o * layer.in, layer.in, 0);
  }

  static void features(const Mlp<T>& mlp, const Tile& tile, T* h) {  // [2m][row]
    const auto& [n, d, m, num_linear, width, streams, activation] = mlp.shape;
    for (int64_t i = 0; i < tile.stride; i += V::size) {
      V x[kMaxCoordinates];
      load_coordinates(mlp, tile, i, x);
      for (int64_t f = 0; f < m; ++f) {
        const auto frequency = [&, f_ = f](int64_t j) { return V(mlp.B[j * m + f_]); };
        wave_jet(streams, Rates<V, T>(streams, frequency), wave_at(x, frequency, d), [&](int64_t s, Wave<V> w) {
          w.cos.store(h + output_at(tile, s, f, i));
          w.sin.store(h + output_at(tile, s, m + f, i));
        });
      }
    }
  }

  static void hidden(const MlpShape& shape, bool keep, const Tile& tile, const Linear<T>& layer, const T* x, T* z,
                     T* h) {
    multiply(tile, layer.weight, layer.in, 1, layer.in, layer.out, x, z);
    with_activation(shape.activation, [&](auto activation) {
      with_streams<T>(shape.streams, [&](const auto& streams) {
        for (int64_t o = 0; o < layer.out; ++o) {
          const V bias(layer.bias[o]);
          for (int64_t i = 0; i < tile.stride; i += V::size) {
            const int64_t number = output_at(tile, 0, o, i);
            activate<activation.value>(streams, keep, bias, tile.stride, z + number, h + number);
          }
        }
      });
    });
  }

  static void last(const Tile& tile, const Linear<T>& layer, const T* x, T* y) {
    multiply(tile, layer.weight, layer.in, 1, layer.in, layer.out, x, y);
    for (int64_t o = 0; o < layer.out; ++o)
      for (int64_t i = 0; i < tile.stride; i += V::size) {
        T* at = y + output_at(tile, 0, o, i);
        (V::load(at) + V(layer.bias[o])).store(at);
      }
  }

  static void weight_gradient(const Tile& tile, const Linear<T>& layer, const T* v, const T* x, T* v_weight, T* v_bias,
                              bool add) {
    const int64_t step = row(tile.rows);
    in_blocks(layer.out, kOuter, [&](int64_t o, int64_t num_o) {
      in_blocks(layer.in, kOuter, [&](int64_t k, int64_t num_k) {
        outer(num_o, num_k)(v + o * step, x + k * step, step, tile.rows, v_weight + o * layer.in + k, layer.in, add);
      });
    });
    for (int64_t o = 0; o < layer.out; ++o) {
      V sum(T(0));
      for (int64_t i = 0; i < tile.stride; i += V::size) sum += V::load(v + o * step + i);
      v_bias[o] = add ? v_bias[o] + sum.sum() : sum.sum();
    }
  }

  static void input_gradient(const MlpShape& shape, const Tile& tile, const Linear<T>& layer, const T* v, const T* kept,
                             const T* h, T* v_x) {
    multiply(tile, layer.weight, 1, layer.in, layer.out, layer.in, v, v_x);
    if (h == nullptr) return;
    with_activation(shape.activation, [&](auto activation) {
      with_streams<T>(shape.streams, [&](const auto& streams) {
        for (int64_t k = 0; k < layer.in; ++k)
          for (int64_t i = 0; i < tile.stride; i += V::size) {
            const int64_t number = output_at(tile, 0, k, i);
            activate_backward<activation.value, V>(streams, tile.stride, kept + number, h + number, v_x + number);
          }
      });
    });
  }

  static void features_backward(const Mlp<T>& mlp, const Tile& tile, const T* v_h, T* v_B) {
    const auto& [n, d, m, num_linear, width, streams, activation] = mlp.shape;
    for (int64_t f = 0; f < m; ++f) {
      const auto frequency = [&, f_ = f](int64_t j) { return V(mlp.B[j * m + f_]); };
      const Rates<V, T> rates(streams, frequency);
      V v_b[kMaxCoordinates];
      for (V& v : v_b) v = V(T(0));
      for (int64_t i = 0; i < tile.stride; i += V::size) {
        V x[kMaxCoordinates];
        load_coordinates(mlp, tile, i, x);
        const V v_phase = wave_jet_backward<V, T>(
            streams, rates, wave_at(x, frequency, d),
            [&](int64_t s) -> Wave<V> {
              return {V::load(v_h + output_at(tile, s, f, i)), V::load(v_h + output_at(tile, s, m + f, i))};
            },
            [&](int j, V v) { v_b[streams.first[j]] += v; });
        for (int64_t j = 0; j < d; ++j) v_b[j] += x[j] * v_phase;
      }
      for (int64_t j = 0; j < d; ++j) v_B[j * m + f] += T(kTwoPi) * v_b[j].sum();
    }
  }

 private:
  static void load_coordinates(const Mlp<T>& mlp, const Tile& tile, int64_t i, V* x) {
    const int64_t d = mlp.shape.d;
    for (int64_t j = 0; j < d; ++j)
      for (int lane = 0; lane < V::size; ++lane)
        x[j].raw[lane] = mlp.x[(tile.first + std::min<int64_t>(i + lane, tile.t - 1)) * d + j];
  }

  template <typename Frequency>
  PINN_INLINE static Wave<V> wave_at(const V* x, const Frequency& frequency, int64_t d) {
    V turns(T(0));
    for (int64_t j = 0; j < d; ++j) turns += x[j] * frequency(j);
    return cossin_of_turns(turns);
  }

  // y[o] = sum_k w[o * out_stride + k * in_stride] x[k].
  static void multiply(const Tile& tile, const T* w, int64_t out_stride, int64_t in_stride, int64_t in, int64_t out,
                       const T* x, T* y) {
    const int64_t step = row(tile.rows);
    for (int64_t r = 0; r < tile.rows; r += 2 * V::size)
      in_blocks(out, kBlockRows<V>, [&](int64_t o, int64_t rows) {
        product(rows, tile.rows - r > V::size)(w + o * out_stride, out_stride, in_stride, in, x + r, step,
                                               y + o * step + r);
      });
  }

  using Product = void (*)(const T*, int64_t, int64_t, int64_t, const T*, int64_t, T*);
  using Outer = void (*)(const T*, const T*, int64_t, int64_t, T*, int64_t, bool);

  static Product product(int64_t rows, bool two) {
    return with_indices<kBlockRows<V>>([&](auto... i) {
      static constexpr Product blocks[][2] = {{&point_product_block<V, static_cast<int>(i.value) + 1, 1, T>,
                                               &point_product_block<V, static_cast<int>(i.value) + 1, 2, T>}...};
      return blocks[rows - 1][two];
    });
  }

  static Outer outer(int64_t num_o, int64_t num_k) {
    return with_indices<kOuter * kOuter>([&](auto... i) {
      static constexpr Outer blocks[] = {
          &point_outer_block<V, static_cast<int>(i.value) / kOuter + 1, static_cast<int>(i.value) % kOuter + 1, T>...};
      return blocks[(num_o - 1) * kOuter + num_k - 1];
    });
  }

  // f(0, 1, .., count - 1) as integral constants.
  template <int count, typename F>
  static auto with_indices(const F& f) {
    return with_sequence(f, std::make_integer_sequence<int, count>{});
  }
  template <typename F, int... i>
  static auto with_sequence(const F& f, std::integer_sequence<int, i...>) {
    return f(std::integral_constant<int, i>{}...);
  }
};

}  // namespace pinn
