// A tile with its features in vectors: row s * t + i for stream s of point i, the features in panels of two vectors
// (panel_product.h). Weights are packed, forward and transposed, once for all tiles.
//
// The features of the first layer are reordered so that a wave is two stores: the panel of the frequencies
// pV .. pV + w holds their w cosines, then their w sines.
#pragma once

#include <algorithm>

#include "core/parallel.h"
#include "mlp/panel_product.h"

namespace pinn {

template <Isa isa, typename T>
struct PanelLayout {
  using V = Vec<isa, T>;
  using int64_t = std::int64_t;
  static constexpr int64_t P = kPanel<V>;
  static constexpr int64_t kRows = 120;   // of a tile, at most: docs/performance.md
  static constexpr int64_t kGranule = 1;  // points of a tile are a multiple of this where they can be

  static Tile tile(int64_t first, int64_t t, int64_t streams) { return {first, t, t, streams * t}; }

  // Sizes, counted in numbers.
  static int64_t jet_size(int64_t features, int64_t rows) { return num_panels<V>(features) * rows * P; }
  static int64_t packed_size(int64_t in, int64_t out) { return num_panels<V>(out) * in * P; }  // and [out, in] swapped
  static int64_t v_weight_size(int64_t in, int64_t out) { return num_panels<V>(in) * out * P; }
  static int64_t v_bias_size(int64_t out) { return num_panels<V>(out) * P; }
  static int64_t v_frequency_size(int64_t m) { return (m + V::size - 1) / V::size * V::size; }

  // The place of output c of stream s at point i.
  static int64_t output_at(const Tile& tile, int64_t s, int64_t c, int64_t i) {
    return (c / P * tile.rows + s * tile.stride + i) * P + c % P;
  }
  // A vector of points from i on; `left` of them are there, the others read as zero and are not written.
  static V load_points(const Tile& tile, const T* y, int64_t s, int64_t c, int64_t i) {
    return V::gather(y + output_at(tile, s, c, i), P, tile.t - i);
  }
  static void store_points(const Tile& tile, V v, T* y, int64_t s, int64_t c, int64_t i) {
    v.scatter(y + output_at(tile, s, c, i), P, tile.t - i);
  }

  // The numbers in panel p of the first layer that are cosines, as many as sines.
  static int64_t frequencies_of(int64_t m, int64_t p) { return std::min<int64_t>(m - p * V::size, V::size); }

  // Which column of the weight belongs to place k of the layer's input.
  static int64_t column(const Linear<T>& layer, int64_t k) {
    if (layer.m == 0) return k;
    const int64_t p = k / P, place = k % P, count = frequencies_of(layer.m, p);
    return place < count ? p * V::size + place : layer.m + p * V::size + place - count;
  }

  static void pack_forward(const Linear<T>& layer, bool worthwhile, T* packed) {  // [panels of out][in][P]
    parallel_for(num_panels<V>(layer.out), worthwhile, [&](int64_t j) {
      T* to = packed + j * layer.in * P;
      const int64_t width = panel_width<V>(layer.out, j);
      for (int64_t k = 0; k < layer.in; ++k, to += P) {
        const T* from = layer.weight + j * P * layer.in + column(layer, k);
        for (int64_t q = 0; q < P; ++q) to[q] = q < width ? from[q * layer.in] : T(0);
      }
    });
  }

  static void pack_backward(const Linear<T>& layer, bool worthwhile, T* packed) {  // [panels of in][out][P]
    parallel_for(num_panels<V>(layer.in), worthwhile, [&](int64_t j) {
      T* to = packed + j * layer.out * P;
      const int64_t width = panel_width<V>(layer.in, j);
      for (int64_t o = 0; o < layer.out; ++o, to += P)
        for (int64_t q = 0; q < P; ++q)
          to[q] = q < width ? layer.weight[o * layer.in + column(layer, j * P + q)] : T(0);
    });
  }

  // f(place in the gradient, count, column) for the pieces of row o of a weight's gradient.
  template <typename F>
  static void for_each_piece(const Linear<T>& layer, int64_t o, const F& f) {
    for (int64_t j = 0; j < num_panels<V>(layer.in); ++j) {
      const int64_t at = (j * layer.out + o) * P;
      if (layer.m == 0) {
        f(at, panel_width<V>(layer.in, j), j * P);
        continue;
      }
      const int64_t count = frequencies_of(layer.m, j);
      f(at, count, j * V::size);
      f(at + count, count, layer.m + j * V::size);
    }
  }

  static void features(const Mlp<T>& mlp, const Tile& tile, T* h) {  // [panels of 2m][rows][P]
    const auto& [n, d, m, num_linear, width, streams, activation] = mlp.shape;
    for (int64_t p = 0; p * V::size < m; ++p, h += tile.rows * P) {
      const int64_t count = frequencies_of(m, p);
      const auto frequency = [&, mb = p * V::size](int64_t j) { return V::load(mlp.B + j * m + mb, count); };
      const Rates<V, T> rates(streams, frequency);
      V b[kMaxCoordinates];
      for (int64_t j = 0; j < d; ++j) b[j] = frequency(j);
      for (int64_t i = 0; i < tile.t; ++i)
        wave_jet(streams, rates, wave_at(mlp.x + (tile.first + i) * d, b, d), [&](int64_t s, Wave<V> w) {
          T* to = h + (s * tile.stride + i) * P;
          w.cos.store(to);  // what it writes beyond `count` the sines replace, or nothing reads
          w.sin.store(to + count);
        });
    }
  }

  // z = x W^T, kept for the backward pass, and h = f(z + b), one panel after the other; z may be h where nothing is
  // kept.
  static void hidden(const MlpShape& shape, bool keep, const Tile& tile, const Linear<T>& layer, const T* x, T* z,
                     T* h) {
    for (int64_t j = 0; j < num_panels<V>(layer.out); ++j) {
      const int vectors = panel_vectors<V>(layer.out, j);
      const int64_t at = j * tile.rows * P;
      multiply_panel<V>(x, layer.forward + j * layer.in * P, z + at, tile.rows, layer.in, vectors);
      with_activation(shape.activation, [&](auto activation) {
        with_streams<T>(shape.streams, [&](const auto& streams) {
          for (int v = 0; v < vectors; ++v) {
            const int64_t o = j * P + v * V::size;
            const V bias = V::load(layer.bias + o, layer.out - o);
            for (int64_t i = 0; i < tile.t; ++i) {
              const int64_t number = at + i * P + v * V::size;
              activate<activation.value>(streams, keep, bias, tile.stride * P, z + number, h + number);
            }
          }
        });
      });
    }
  }

  static void last(const Tile& tile, const Linear<T>& layer, const T* x, T* y) {
    for (int64_t j = 0; j < num_panels<V>(layer.out); ++j) {
      T* panel = y + j * tile.rows * P;
      multiply_panel<V>(x, layer.forward + j * layer.in * P, panel, tile.rows, layer.in,
                        panel_vectors<V>(layer.out, j));
      for (int64_t i = 0; i < tile.t; ++i)
        for (int64_t q = 0; q < panel_width<V>(layer.out, j); ++q) panel[i * P + q] += layer.bias[j * P + q];
    }
  }

  // Stores, or adds, v^T x and the sums of v's value stream.
  static void weight_gradient(const Tile& tile, const Linear<T>& layer, const T* v, const T* x, T* v_weight, T* v_bias,
                              bool add) {
    add_outer_product<V>(v, x, v_weight, tile.rows, layer.out, layer.in, add);
    for (int64_t j = 0; j < num_panels<V>(layer.out); ++j)
      for (int w = 0; w < panel_vectors<V>(layer.out, j); ++w) {
        const T* from = v + j * tile.rows * P + w * V::size;
        V sum(T(0));
        for (int64_t i = 0; i < tile.t; ++i) sum += V::load(from + i * P);
        T* to = v_bias + j * P + w * V::size;
        (add ? V::load(to) + sum : sum).store(to);
      }
  }

  // The same for each point by itself: weight [out, in], then bias [out], `next` numbers from one point to the next.
  static void point_gradients(const MlpShape& shape, const Tile& tile, const Linear<T>& layer, const T* v, const T* x,
                              T* rows, int64_t next) {
    with_streams<T>(shape.streams, [&](const auto& streams) {
      const int count = streams.num_first + 1 + streams.has_laplacian;
      for (int64_t i = 0; i < tile.t; ++i, rows += next) {
        for (int64_t j = 0; j < num_panels<V>(layer.in); ++j)
          outer_of_point(count, tile, layer, j, v + i * P, x + (j * tile.rows + i) * P, rows);
        for (int64_t o = 0; o < layer.out; ++o) rows[layer.out * layer.in + o] = v[output_at(tile, 0, o, i)];
      }
    });
  }

  // v_x = v W, and through the activation that made x where its jet `h` and what it kept are given.
  static void input_gradient(const MlpShape& shape, const Tile& tile, const Linear<T>& layer, const T* v, const T* kept,
                             const T* h, T* v_x) {
    for (int64_t j = 0; j < num_panels<V>(layer.in); ++j) {
      const int vectors = panel_vectors<V>(layer.in, j);
      const int64_t at = j * tile.rows * P;
      multiply_panel<V>(v, layer.backward + j * layer.out * P, v_x + at, tile.rows, layer.out, vectors);
      if (h == nullptr) continue;
      with_activation(shape.activation, [&](auto activation) {
        with_streams<T>(shape.streams, [&](const auto& streams) {
          for (int w = 0; w < vectors; ++w)
            for (int64_t i = 0; i < tile.t; ++i) {
              const int64_t number = at + i * P + w * V::size;
              activate_backward<activation.value, V>(streams, tile.stride * P, kept + number, h + number, v_x + number);
            }
        });
      });
    }
  }

  // Adds the tile's share to v_B, [d][v_frequency_size(m)].
  static void features_backward(const Mlp<T>& mlp, const Tile& tile, const T* v_h, T* v_B) {
    const auto& [n, d, m, num_linear, width, streams, activation] = mlp.shape;
    for (int64_t p = 0; p * V::size < m; ++p, v_h += tile.rows * P) {
      const int64_t count = frequencies_of(m, p);
      const auto frequency = [&, mb = p * V::size](int64_t j) { return V::load(mlp.B + j * m + mb, count); };
      const Rates<V, T> rates(streams, frequency);
      V b[kMaxCoordinates], v_b[kMaxCoordinates];
      for (int64_t j = 0; j < d; ++j) {
        b[j] = frequency(j);
        v_b[j] = V(T(0));
      }
      for (int64_t i = 0; i < tile.t; ++i) {
        const T* x = mlp.x + (tile.first + i) * d;
        const V v_phase = wave_jet_backward<V, T>(
            streams, rates, wave_at(x, b, d),
            [&](int64_t s) -> Wave<V> {
              const T* from = v_h + (s * tile.stride + i) * P;
              return {V::load(from, count), V::load(from + count, count)};
            },
            [&](int j, V v) { v_b[streams.first[j]] += v; });
        for (int64_t j = 0; j < d; ++j) v_b[j] += V(x[j]) * v_phase;
      }
      for (int64_t j = 0; j < d; ++j) {
        T* to = v_B + j * v_frequency_size(m) + p * V::size;
        (V::load(to) + V(T(kTwoPi)) * v_b[j]).store(to);
      }
    }
  }

 private:
  // Panel j of d[o] = sum_s v[s][o] x[s], o over all outputs; v and x are those of one point.
  PINN_INLINE static void outer_of_point(int streams, const Tile& tile, const Linear<T>& layer, int64_t j, const T* v,
                                         const T* x, T* d) {
    // Where the two vectors begin in the panel, how many numbers of each there are, and their columns of the weight.
    const int64_t waves = layer.m > 0 ? frequencies_of(layer.m, j) : 0, width = panel_width<V>(layer.in, j);
    const int64_t begin = layer.m > 0 ? waves : V::size;
    const int64_t num[] = {std::min(begin, width), width - std::min(begin, width)};
    T* to[] = {d + column(layer, j * P), num[1] > 0 ? d + column(layer, j * P + begin) : nullptr};
    const int64_t step = tile.stride * P;
    V inputs[kMaxStreams][2];
    for (int s = 0; s < streams; ++s) {
      inputs[s][0] = V::load(x + s * step);
      inputs[s][1] = V::load(x + s * step + begin);
    }
    for (int64_t o = 0; o < layer.out; ++o) {
      const T* from = v + o / P * tile.rows * P + o % P;
      V sum[2] = {V(T(0)), V(T(0))};
      for (int s = 0; s < streams; ++s)
        for (int w = 0; w < 2; ++w) sum[w] += V(from[s * step]) * inputs[s][w];
      for (int w = 0; w < 2; ++w)
        if (num[w] > 0) sum[w].store(to[w] + o * layer.in, num[w]);
    }
  }

  PINN_INLINE static Wave<V> wave_at(const T* x, const V* b, int64_t d) {
    V turns(T(0));
    for (int64_t j = 0; j < d; ++j) turns += V(x[j]) * b[j];
    return cossin_of_turns(turns);
  }
};

}  // namespace pinn
