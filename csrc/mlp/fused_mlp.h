// The points of a network in tiles through all layers and back: what MlpJet, its backward pass and the losses share.
//
// The points are cut into parts, a part into tiles. A tile goes forward through all layers, a head turns its outputs
// into cotangents, and it goes back; each part sums the gradients of its own tiles, and write_gradient() adds up the
// parts in order. Memory: the packed weights twice, one gradient for each part, one tile for each thread.
#pragma once

#include "mlp/panel_layout.h"
#include "mlp/point_layout.h"

namespace pinn {

enum class Wanted { value, gradient, gradient_with_B };

// What an operation does with the outputs of a tile: head(part, tile, y, v_y), where y and v_y are jets in the layout,
// and v_y is to be filled where a gradient is wanted. A reference: the callable outlives the call.
template <typename Layout>
class Head {
 public:
  using T = typename Layout::V::Scalar;

  template <typename F>
  Head(const F& f)
      : object_(&f), call_([](const void* object, std::int64_t part, const Tile& tile, const T* y, T* v_y) {
          (*static_cast<const F*>(object))(part, tile, y, v_y);
        }) {}

  void operator()(std::int64_t part, const Tile& tile, const T* y, T* v_y) const { call_(object_, part, tile, y, v_y); }

 private:
  const void* object_;
  void (*call_)(const void*, std::int64_t, const Tile&, const T*, T*);
};

template <typename Layout_>
class FusedMlp {
 public:
  using Layout = Layout_;
  using V = typename Layout::V;
  using T = typename V::Scalar;
  using int64_t = std::int64_t;

  FusedMlp(const Mlp<T>& mlp, Wanted wanted, Partition partition);
  FusedMlp(const FusedMlp&) = delete;
  FusedMlp& operator=(const FusedMlp&) = delete;

  int64_t parts() const { return parts_; }

  void run(const Head<Layout>& head);

  // The gradient of each point by itself, [n, columns] rows of num_parameters() numbers that lie `stride` apart;
  // head(column, ...) is called for each column. A template, as PanelLayout alone has what it takes.
  template <typename Panels = Layout>
  void run_rows(int64_t columns, T* rows, int64_t stride, const Head<Layout>& head);

  // The sum over the parts, in the order of mlp.h.
  void write_gradient(T* out) const;

 private:
  // A layer, and its places, counted in numbers.
  struct Layer {
    Linear<T> linear;
    int64_t v_weight, v_bias;  // in a part's gradient
    int64_t hidden, kept;      // in a tile: the layer's input, and what the activation before it has kept
  };

  bool back() const { return wanted_ != Wanted::value; }
  bool back_through(int l) const { return l > 0 ? back() : wanted_ == Wanted::gradient_with_B; }

  // f(part, its memory, tile, whether it is the part's first), on all threads.
  template <typename F>
  void for_each_tile(const F& f);
  void lay_out();
  void pack();
  void forward(T* memory, const Tile& tile) const;
  void backward(T* memory, T* gradient, const Tile& tile, bool add) const;
  template <typename Panels>
  void backward_rows(T* memory, T* rows, int64_t stride, const Tile& tile) const;
  void sum_parts(int64_t at, int64_t count, T* out) const;

  Mlp<T> mlp_;
  const MlpShape& shape_;
  Wanted wanted_;
  int64_t parts_, tile_points_;
  Layer layers_[kMaxLinearLayers]{};
  int64_t gradient_size_ = 0, v_B_ = 0;                      // of a part
  int64_t tile_size_ = 0, output_ = 0, v_ = 0, v_next_ = 0;  // of a thread
  T *tiles_, *gradients_, *packed_;
};

// Whether the widths fill the vectors so badly that points in vectors are faster.
template <Isa isa, typename T>
bool prefers_points(const MlpShape& shape);

// f(fused) with the layout that suits the widths.
template <Isa isa, typename T, typename F>
void with_fused_mlp(const Mlp<T>& mlp, Wanted wanted, Partition partition, const F& f) {
  if (prefers_points<isa, T>(mlp.shape)) {
    FusedMlp<PointLayout<isa, T>> fused(mlp, wanted, partition);
    return f(fused);
  }
  FusedMlp<PanelLayout<isa, T>> fused(mlp, wanted, partition);
  f(fused);
}

}  // namespace pinn
