// The tiles of a network on the CPU: compiled once for both layouts, whatever the operations around them.
#include <algorithm>

#include "core/flush_denormals.h"
#include "core/parallel.h"
#include "core/workspace.h"
#include "mlp/fused_mlp.h"

namespace pinn {
namespace {

using std::int64_t;

// Multiplications that make a part worth a thread of its own, some 20 microseconds.
constexpr int64_t kMinPartWork = 1 << 20;
// Points in vectors are faster where panels round the multiplications up by more. Measured: docs/performance.md.
constexpr double kPanelWaste = 1.2;

// Where piece i of `count` points begins: whole granules, as even as they go.
template <typename Layout>
int64_t cut(int64_t count, int64_t pieces, int64_t i) {
  const int64_t granules = (count + Layout::kGranule - 1) / Layout::kGranule;
  return std::min(count, i * granules / pieces * Layout::kGranule);
}

template <typename V>
int64_t take(int64_t& end, int64_t count) {
  const int64_t begin = end;
  end += (count + V::size - 1) / V::size * V::size;
  return begin;
}

}  // namespace

template <typename Layout>
FusedMlp<Layout>::FusedMlp(const Mlp<T>& mlp, Wanted wanted, Partition partition)
    : mlp_(mlp), shape_(mlp_.shape), wanted_(wanted) {
  const int64_t work = shape_.n * shape_.streams.count() * shape_.num_parameters();
  parts_ = partition.parts > 0 ? partition.parts : std::min<int64_t>(max_threads(), work / kMinPartWork);
  parts_ = std::max<int64_t>(1, std::min(parts_, shape_.n / Layout::kGranule));
  tile_points_ = std::max<int64_t>(Layout::kGranule, Layout::kRows / shape_.streams.count());
  lay_out();
  pack();
}

template <typename Layout>
template <typename F>
void FusedMlp<Layout>::for_each_tile(const F& f) {
  parallel_for(parts_, parts_ > 1, [&](int64_t part) {
    const FlushDenormals flushed;
    T* memory = tiles_ + thread_index() * tile_size_;
    const int64_t begin = cut<Layout>(shape_.n, parts_, part), points = cut<Layout>(shape_.n, parts_, part + 1) - begin;
    const int64_t count = (points + tile_points_ - 1) / tile_points_;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = cut<Layout>(points, count, i);
      f(part, memory, Layout::tile(begin + first, cut<Layout>(points, count, i + 1) - first, shape_.streams.count()),
        i == 0);
    }
  });
}

template <typename Layout>
void FusedMlp<Layout>::run(const Head<Layout>& head) {
  for (int64_t part = 0; part < parts_; ++part) {
    T* gradient = gradients_ + part * gradient_size_;
    // A part without points has no first tile to store it.
    if (cut<Layout>(shape_.n, parts_, part + 1) == cut<Layout>(shape_.n, parts_, part))
      std::fill_n(gradient, gradient_size_, T(0));
    if (wanted_ == Wanted::gradient_with_B)
      std::fill_n(gradient + v_B_, shape_.d * Layout::v_frequency_size(shape_.m), T(0));
  }
  for_each_tile([&](int64_t part, T* memory, const Tile& tile, bool first) {
    forward(memory, tile);
    head(part, tile, memory + output_, memory + v_);
    if (back()) backward(memory, gradients_ + part * gradient_size_, tile, !first);
  });
}

template <typename Layout>
template <typename Panels>
void FusedMlp<Layout>::run_rows(int64_t columns, T* rows, int64_t stride, const Head<Layout>& head) {
  for_each_tile([&](int64_t, T* memory, const Tile& tile, bool) {
    forward(memory, tile);
    for (int64_t column = 0; column < columns; ++column) {
      head(column, tile, memory + output_, memory + v_);
      backward_rows<Panels>(memory, rows + (tile.first * columns + column) * stride, columns * stride, tile);
    }
  });
}

template <typename Layout>
void FusedMlp<Layout>::write_gradient(T* out) const {
  for (int l = 0; l < shape_.num_linear; ++l) {
    const Linear<T>& linear = layers_[l].linear;
    parallel_for(linear.out, linear.in * linear.out * parts_ >= kMinParallelNumbers, [&](int64_t o) {
      Layout::for_each_piece(linear, o, [&](int64_t at, int64_t count, int64_t column) {
        sum_parts(layers_[l].v_weight + at, count, out + o * linear.in + column);
      });
    });
    out += linear.in * linear.out;
    sum_parts(layers_[l].v_bias, linear.out, out);
    out += linear.out;
  }
  if (wanted_ == Wanted::gradient_with_B)
    for (int64_t j = 0; j < shape_.d; ++j)
      sum_parts(v_B_ + j * Layout::v_frequency_size(shape_.m), shape_.m, out + j * shape_.m);
}

template <typename Layout>
void FusedMlp<Layout>::lay_out() {
  const int64_t rows = Layout::tile(0, std::min(tile_points_, shape_.n), shape_.streams.count()).rows;
  int64_t packed = 0, widest = 0;
  for (int l = 0; l < shape_.num_linear; ++l) {
    Layer& layer = layers_[l];
    layer.linear = {shape_.width[l], shape_.width[l + 1], l == 0 ? shape_.m : 0, mlp_.weight[l], mlp_.bias[l], {}, {}};
    const auto& [in, out, m, weight, bias, forward, backward] = layer.linear;
    widest = std::max({widest, Layout::jet_size(in, rows), Layout::jet_size(out, rows)});
    packed += Layout::packed_size(in, out) + (back_through(l) ? Layout::packed_size(out, in) : 0);
    if (!back()) continue;
    layer.v_weight = take<V>(gradient_size_, Layout::v_weight_size(in, out));
    layer.v_bias = take<V>(gradient_size_, Layout::v_bias_size(out));
    layer.hidden = take<V>(tile_size_, Layout::jet_size(in, rows));
    if (l > 0) layer.kept = take<V>(tile_size_, Layout::jet_size(in, rows));
  }
  if (wanted_ == Wanted::gradient_with_B) v_B_ = take<V>(gradient_size_, shape_.d * Layout::v_frequency_size(shape_.m));
  if (!back()) {  // two blocks in turn: an activation takes place where the product was
    const int64_t blocks[] = {take<V>(tile_size_, widest), take<V>(tile_size_, widest)};
    for (int l = 0; l < shape_.num_linear; ++l) layers_[l].hidden = layers_[l].kept = blocks[l % 2];
  }
  output_ = take<V>(tile_size_, Layout::jet_size(shape_.outputs(), rows));
  v_ = take<V>(tile_size_, back() ? widest : 0);
  v_next_ = take<V>(tile_size_, back() ? widest : 0);

  const int64_t threads = std::min<int64_t>(parts_, max_threads());
  const int64_t numbers = packed + parts_ * gradient_size_ + threads * tile_size_;
  tiles_ = static_cast<T*>(workspace(static_cast<std::size_t>(numbers) * sizeof(T)));
  gradients_ = tiles_ + threads * tile_size_;
  packed_ = gradients_ + parts_ * gradient_size_;
}

template <typename Layout>
void FusedMlp<Layout>::pack() {
  T* next = packed_;
  for (int l = 0; l < shape_.num_linear; ++l) {
    Linear<T>& linear = layers_[l].linear;
    const bool worthwhile = parts_ > 1 && linear.in * linear.out >= kMinParallelNumbers;
    Layout::pack_forward(linear, worthwhile, next);
    linear.forward = next;
    next += Layout::packed_size(linear.in, linear.out);
    if (!back_through(l)) continue;
    Layout::pack_backward(linear, worthwhile, next);
    linear.backward = next;
    next += Layout::packed_size(linear.out, linear.in);
  }
}

template <typename Layout>
void FusedMlp<Layout>::forward(T* memory, const Tile& tile) const {
  Layout::features(mlp_, tile, memory + layers_[0].hidden);
  const int last = shape_.num_linear - 1;
  for (int l = 0; l < last; ++l)
    Layout::hidden(shape_, back(), tile, layers_[l].linear, memory + layers_[l].hidden, memory + layers_[l + 1].kept,
                   memory + layers_[l + 1].hidden);
  Layout::last(tile, layers_[last].linear, memory + layers_[last].hidden, memory + output_);
}

// From the cotangent of the outputs in v_. The gradients of a part's first tile are stored, those of the others
// added.
template <typename Layout>
void FusedMlp<Layout>::backward(T* memory, T* gradient, const Tile& tile, bool add) const {
  T *v = memory + v_, *v_next = memory + v_next_;
  for (int l = shape_.num_linear - 1; l >= 0; --l) {
    const Layer& layer = layers_[l];
    Layout::weight_gradient(tile, layer.linear, v, memory + layer.hidden, gradient + layer.v_weight,
                            gradient + layer.v_bias, add);
    if (!back_through(l)) return;
    const bool activated = l > 0;
    Layout::input_gradient(shape_, tile, layer.linear, v, activated ? memory + layer.kept : nullptr,
                           activated ? memory + layer.hidden : nullptr, v_next);
    std::swap(v, v_next);
  }
  Layout::features_backward(mlp_, tile, v, gradient + v_B_);
}

// From the cotangent of the outputs in v_. The layers' gradients stand behind one another in a row; `next` is from one
// point's row to the next one's.
template <typename Layout>
template <typename Panels>
void FusedMlp<Layout>::backward_rows(T* memory, T* rows, int64_t next, const Tile& tile) const {
  T *v = memory + v_, *v_next = memory + v_next_;
  rows += shape_.num_parameters();
  for (int l = shape_.num_linear - 1; l >= 0; --l) {
    const Layer& layer = layers_[l];
    rows -= layer.linear.out * (layer.linear.in + 1);
    Panels::point_gradients(shape_, tile, layer.linear, v, memory + layer.hidden, rows, next);
    if (l == 0) return;
    Panels::input_gradient(shape_, tile, layer.linear, v, memory + layer.kept, memory + layer.hidden, v_next);
    std::swap(v, v_next);
  }
}

template <typename Layout>
void FusedMlp<Layout>::sum_parts(int64_t at, int64_t count, T* out) const {
  for (int64_t q = 0; q < count; q += V::size) {
    V sum = V::load(gradients_ + at + q, count - q);
    for (int64_t p = 1; p < parts_; ++p) sum += V::load(gradients_ + p * gradient_size_ + at + q, count - q);
    sum.store(out + q, count - q);
  }
}

// Multiplications that panels round up to, over those that are needed.
template <Isa isa, typename T>
bool prefers_points(const MlpShape& shape) {
  constexpr int64_t kSize = Vec<isa, T>::size;
  const auto padded = [](int64_t width) { return (width + kSize - 1) / kSize * kSize; };
  int64_t needed = 0, done = 0;
  for (int l = 0; l < shape.num_linear; ++l) {
    const int64_t in = shape.width[l], out = shape.width[l + 1];
    needed += 3 * in * out;
    done += in * padded(out) + 2 * padded(in) * out;
  }
  return static_cast<double>(done) > kPanelWaste * static_cast<double>(needed);
}

template class FusedMlp<PanelLayout<kIsa, float>>;
template class FusedMlp<PanelLayout<kIsa, double>>;
template class FusedMlp<PointLayout<kIsa, float>>;
template class FusedMlp<PointLayout<kIsa, double>>;
template void FusedMlp<PanelLayout<kIsa, float>>::run_rows<PanelLayout<kIsa, float>>(
    int64_t, float*, int64_t, const Head<PanelLayout<kIsa, float>>&);
template void FusedMlp<PanelLayout<kIsa, double>>::run_rows<PanelLayout<kIsa, double>>(
    int64_t, double*, int64_t, const Head<PanelLayout<kIsa, double>>&);
template bool prefers_points<kIsa, float>(const MlpShape&);
template bool prefers_points<kIsa, double>(const MlpShape&);

}  // namespace pinn
