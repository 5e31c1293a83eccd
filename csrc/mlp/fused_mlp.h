// The points of a network in tiles through all layers and back: what MlpJet, its backward pass and the losses share.
//
// The points are cut into parts, a part into tiles. A tile goes forward through all layers, a head turns its outputs
// into cotangents, and it goes back; each part sums the gradients of its own tiles, and write_gradient() adds up the
// parts in order. Memory: the packed weights twice, one gradient for each part, one tile for each thread.
#pragma once

#include <algorithm>

#include "core/parallel.h"
#include "core/workspace.h"
#include "mlp/tile_layers.h"

namespace pinn {

// Rows (points times streams) of a tile: few enough for the cache, enough to use a weight many times. See
// docs/performance.md for the measurement.
inline constexpr std::int64_t kTileRows = 120;
// Multiplications that make a part worth a thread of its own, some 20 microseconds.
inline constexpr std::int64_t kMinPartWork = 1 << 20;

template <Isa isa, typename T>
class FusedMlp {
 public:
  using V = Vec<isa, T>;
  static constexpr std::int64_t P = kPanel<V>;

  enum class Wanted { value, gradient, gradient_with_B };

  FusedMlp(const Mlp<T>& mlp, Wanted wanted, Sharing sharing) : mlp_(mlp), shape_(mlp_.shape), wanted_(wanted) {
    const std::int64_t work = shape_.n * shape_.streams.count() * shape_.num_parameters();
    parts_ = sharing.parts > 0 ? sharing.parts : std::min<std::int64_t>(max_threads(), work / kMinPartWork);
    parts_ = std::max<std::int64_t>(1, std::min(parts_, shape_.n));
    tile_points_ =
        std::min(std::max<std::int64_t>(1, kTileRows / shape_.streams.count()), (shape_.n + parts_ - 1) / parts_);
    lay_out();
    pack();
  }

  std::int64_t parts() const { return parts_; }

  // head(part, first point, points t, y, v_y) for each tile: y and v_y are [panels of c][streams * t][P], and the head
  // fills v_y where a gradient is wanted.
  template <typename Head>
  void run(const Head& head) {
    parallel_for(parts_, parts_ > 1, [&](std::int64_t part) {
      T* tile = tiles_ + thread_index() * tile_size_;
      const std::int64_t begin = part * shape_.n / parts_, points = (part + 1) * shape_.n / parts_ - begin;
      const std::int64_t count = (points + tile_points_ - 1) / tile_points_;
      if (wanted_ == Wanted::gradient_with_B) std::fill_n(gradients_ + part * gradient_size_ + v_B_, v_B_size_, T(0));
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t first = begin + i * points / count, t = begin + (i + 1) * points / count - first;
        forward(tile, first, t);
        head(part, first, t, tile + output_, tile + v_);
        if (wanted_ != Wanted::value) backward(tile, gradients_ + part * gradient_size_, first, t, i > 0);
      }
    });
  }

  // The sum over the parts, in the order of mlp.h; returns where it ends.
  T* write_gradient(T* out) const {
    for (int l = 0; l < shape_.num_linear; ++l) {
      const Layer& layer = layers_[l];
      parallel_for(layer.out, layer.in * layer.out * parts_ >= kMinParallelNumbers,
                   [&](std::int64_t o) { write_row(layer, l == 0, o, out + o * layer.in); });
      out += layer.in * layer.out;
      sum_parts(layer.v_bias, layer.out, out);
      out += layer.out;
    }
    if (wanted_ == Wanted::gradient_with_B)
      for (std::int64_t j = 0; j < shape_.d; ++j, out += shape_.m)
        sum_parts(v_B_ + j * (v_B_size_ / shape_.d), shape_.m, out);
    return out;
  }

 private:
  // Places of one layer, counted in numbers.
  struct Layer {
    std::int64_t in, out;
    std::int64_t forward, backward;  // of the packed weights: [panels of out][in][P], [panels of in][out][P]
    std::int64_t v_weight, v_bias;   // of a part's gradient: [panels of in][out][P], [panels of out * P]
    std::int64_t hidden, kept;       // of a tile: the layer's input, and what its activation kept
  };

  bool back() const { return wanted_ != Wanted::value; }
  bool back_through(int l) const { return l > 0 || wanted_ == Wanted::gradient_with_B; }

  void lay_out() {
    const std::int64_t rows = tile_points_ * shape_.streams.count();
    const auto take = [](std::int64_t& end, std::int64_t count) {
      const std::int64_t begin = end;
      end += (count + P - 1) / P * P;
      return begin;
    };
    std::int64_t packed = 0, widest = 0;
    for (int l = 0; l < shape_.num_linear; ++l) {
      Layer& layer = layers_[l];
      layer.in = shape_.width[l];
      layer.out = shape_.width[l + 1];
      const std::int64_t in_panels = num_panels<V>(layer.in), out_panels = num_panels<V>(layer.out);
      widest = std::max({widest, in_panels, out_panels});
      layer.forward = take(packed, out_panels * layer.in * P);
      if (!back()) continue;
      if (back_through(l)) layer.backward = take(packed, in_panels * layer.out * P);
      layer.v_weight = take(gradient_size_, in_panels * layer.out * P);
      layer.v_bias = take(gradient_size_, out_panels * P);
      layer.hidden = take(tile_size_, in_panels * rows * P);
      if (l > 0) layer.kept = take(tile_size_, in_panels * rows * P);
    }
    if (!back())  // two blocks in turn: an activation takes place where the product was
      for (std::int64_t block : {take(tile_size_, widest * rows * P), take(tile_size_, widest * rows * P)})
        for (int l = block == 0 ? 0 : 1; l < shape_.num_linear; l += 2) layers_[l].hidden = layers_[l].kept = block;
    if (wanted_ == Wanted::gradient_with_B) {
      v_B_size_ = shape_.d * ((shape_.m + V::size - 1) / V::size * V::size);
      v_B_ = take(gradient_size_, v_B_size_);
    }
    output_ = take(tile_size_, num_panels<V>(shape_.outputs()) * rows * P);
    v_ = take(tile_size_, back() ? widest * rows * P : 0);
    v_next_ = take(tile_size_, back() ? widest * rows * P : 0);

    const std::int64_t threads = std::min<std::int64_t>(parts_, max_threads());
    const std::int64_t numbers = packed + parts_ * gradient_size_ + threads * tile_size_;
    packed_ = static_cast<T*>(workspace(static_cast<std::size_t>(numbers) * sizeof(T)));
    gradients_ = packed_ + packed;
    tiles_ = gradients_ + parts_ * gradient_size_;
  }

  std::int64_t source(int l, std::int64_t k) const { return l == 0 ? feature_at<V>(k, shape_.m) : k; }

  void pack() {
    for (int l = 0; l < shape_.num_linear; ++l) {
      const Layer& layer = layers_[l];
      const bool worthwhile = parts_ > 1 && layer.in * layer.out >= kMinParallelNumbers;
      const T* weight = mlp_.weight[l];
      parallel_for(num_panels<V>(layer.out), worthwhile, [&](std::int64_t j) {
        T* to = packed_ + layer.forward + j * layer.in * P;
        const std::int64_t width = panel_width<V>(layer.out, j);
        for (std::int64_t k = 0; k < layer.in; ++k, to += P) {
          const T* from = weight + j * P * layer.in + source(l, k);
          for (std::int64_t q = 0; q < P; ++q) to[q] = q < width ? from[q * layer.in] : T(0);
        }
      });
      if (!back() || !back_through(l)) continue;
      parallel_for(num_panels<V>(layer.in), worthwhile, [&](std::int64_t j) {
        T* to = packed_ + layer.backward + j * layer.out * P;
        const std::int64_t width = panel_width<V>(layer.in, j);
        for (std::int64_t o = 0; o < layer.out; ++o, to += P)
          for (std::int64_t q = 0; q < P; ++q) to[q] = q < width ? weight[o * layer.in + source(l, j * P + q)] : T(0);
      });
    }
  }

  void forward(T* tile, std::int64_t first, std::int64_t t) const {
    const std::int64_t rows = shape_.streams.count() * t;
    features_forward<V>(mlp_, first, t, tile + layers_[0].hidden);
    for (int l = 0; l < shape_.num_linear; ++l) {
      const Layer& layer = layers_[l];
      const bool last = l + 1 == shape_.num_linear;
      T* to = tile + (last ? output_ : layers_[l + 1].kept);
      for (std::int64_t j = 0; j < num_panels<V>(layer.out); ++j) {
        const int vectors = panel_vectors<V>(layer.out, j);
        T* z = to + j * rows * P;
        multiply_panel<V>(tile + layer.hidden, packed_ + layer.forward + j * layer.in * P, z, rows, layer.in, vectors);
        if (last)
          add_bias(mlp_.bias[l] + j * P, panel_width<V>(layer.out, j), t, z);
        else
          activation_forward<V>(shape_, back(), t, vectors, mlp_.bias[l] + j * P, layer.out - j * P, z,
                                tile + layers_[l + 1].hidden + j * rows * P);
      }
    }
  }

  static void add_bias(const T* bias, std::int64_t width, std::int64_t t, T* z) {
    for (std::int64_t i = 0; i < t; ++i)
      for (std::int64_t q = 0; q < width; ++q) z[i * P + q] += bias[q];
  }

  // From the cotangent of the outputs in v_. The gradients of a part's first tile are stored, those of the others
  // added.
  void backward(T* tile, T* gradient, std::int64_t first, std::int64_t t, bool add) const {
    const std::int64_t rows = shape_.streams.count() * t;
    T *v = tile + v_, *v_next = tile + v_next_;
    for (int l = shape_.num_linear - 1; l >= 0; --l) {
      const Layer& layer = layers_[l];
      add_rows(v, rows, layer.out, t, gradient + layer.v_bias, add);
      add_outer_product<V>(v, tile + layer.hidden, gradient + layer.v_weight, rows, layer.out, layer.in, add);
      if (!back_through(l)) return;
      for (std::int64_t j = 0; j < num_panels<V>(layer.in); ++j) {
        const int vectors = panel_vectors<V>(layer.in, j);
        const std::int64_t at = j * rows * P;
        multiply_panel<V>(v, packed_ + layer.backward + j * layer.out * P, v_next + at, rows, layer.out, vectors);
        if (l > 0)
          activation_backward<V>(shape_, t, vectors, tile + layer.kept + at, tile + layer.hidden + at, v_next + at);
      }
      std::swap(v, v_next);
    }
    features_backward<V>(mlp_, first, t, v, gradient + v_B_);
  }

  // The bias enters the value alone: the sum of the t rows of stream 0.
  static void add_rows(const T* v, std::int64_t rows, std::int64_t out, std::int64_t t, T* v_bias, bool add) {
    for (std::int64_t j = 0; j < num_panels<V>(out); ++j)
      for (int w = 0; w < panel_vectors<V>(out, j); ++w) {
        const T* from = v + j * rows * P + w * V::size;
        V sum(T(0));
        for (std::int64_t i = 0; i < t; ++i) sum += V::load(from + i * P);
        T* to = v_bias + j * P + w * V::size;
        (add ? V::load(to) + sum : sum).store(to);
      }
  }

  V part_sum(std::int64_t at) const {
    V sum = V::load(gradients_ + at);
    for (std::int64_t p = 1; p < parts_; ++p) sum += V::load(gradients_ + p * gradient_size_ + at);
    return sum;
  }

  void sum_parts(std::int64_t at, std::int64_t count, T* out) const {
    for (std::int64_t q = 0; q < count; q += V::size) part_sum(at + q).store(out + q, count - q);
  }

  void write_row(const Layer& layer, bool reordered, std::int64_t o, T* out) const {
    for (std::int64_t j = 0; j < num_panels<V>(layer.in); ++j) {
      const std::int64_t at = layer.v_weight + (j * layer.out + o) * P, width = panel_width<V>(layer.in, j);
      if (!reordered) {
        sum_parts(at, width, out + j * P);
        continue;
      }
      const std::int64_t count = panel_frequencies<V>(shape_.m, j);
      sum_parts(at, count, out + j * V::size);
      sum_parts(at + count, count, out + shape_.m + j * V::size);
    }
  }

  Mlp<T> mlp_;
  const MlpShape& shape_;
  Wanted wanted_;
  std::int64_t parts_, tile_points_;
  Layer layers_[kMaxLinearLayers]{};
  std::int64_t gradient_size_ = 0, v_B_ = 0, v_B_size_ = 0;       // of a part
  std::int64_t tile_size_ = 0, output_ = 0, v_ = 0, v_next_ = 0;  // of a thread
  T *packed_, *gradients_, *tiles_;
};

}  // namespace pinn
