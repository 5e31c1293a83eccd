// The jet of a whole network on the CPU, its backward pass, which computes each tile forward again, and its Jacobian.
#include <algorithm>

#include "mlp/fused_mlp.h"

namespace pinn {

using std::int64_t;

namespace {

// f(place in [streams, n, c], place in the tile's outputs).
template <typename Layout, typename F>
PINN_INLINE void for_each_output(const MlpShape& shape, const Tile& tile, const F& f) {
  const int64_t c = shape.outputs();
  for (int64_t s = 0; s < shape.streams.count(); ++s)
    for (int64_t i = 0; i < tile.t; ++i)
      for (int64_t q = 0; q < c; ++q) f((s * shape.n + tile.first + i) * c + q, Layout::output_at(tile, s, q, i));
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJet<T>& a) {
  with_fused_mlp<isa, T>(a.mlp, Wanted::value, a.partition, [&](auto& fused) {
    using Layout = typename std::decay_t<decltype(fused)>::Layout;
    fused.run([&](int64_t, const Tile& tile, const T* y, T*) {
      for_each_output<Layout>(a.mlp.shape, tile, [&](int64_t out, int64_t at) { a.out[out] = y[at]; });
    });
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJetBackward<T>& a) {
  const Wanted wanted = a.want_B ? Wanted::gradient_with_B : Wanted::gradient;
  with_fused_mlp<isa, T>(a.mlp, wanted, a.partition, [&](auto& fused) {
    using Layout = typename std::decay_t<decltype(fused)>::Layout;
    fused.run([&](int64_t, const Tile& tile, const T*, T* v_y) {
      std::fill_n(v_y, Layout::jet_size(a.mlp.shape.outputs(), tile.rows), T(0));
      for_each_output<Layout>(a.mlp.shape, tile, [&](int64_t out, int64_t at) { v_y[at] = a.v_out[out]; });
    });
    fused.write_gradient(a.gradient);
  });
}

// Features in vectors whatever the widths: with points in vectors each number would go to another point's row.
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJacobian<T>& a) {
  using Layout = PanelLayout<isa, T>;
  const MlpShape& shape = a.mlp.shape;
  FusedMlp<Layout> fused(a.mlp, Wanted::gradient, a.partition);
  fused.run_rows(a.columns, a.rows, a.stride, [&](int64_t column, const Tile& tile, const T*, T* v_y) {
    const T* from = a.v_out + column * shape.streams.count() * shape.n * shape.outputs();
    std::fill_n(v_y, Layout::jet_size(shape.outputs(), tile.rows), T(0));
    for_each_output<Layout>(shape, tile, [&](int64_t out, int64_t at) { v_y[at] = from[out]; });
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const MlpJet<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJetBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJet<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJetBackward<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJacobian<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJacobian<double>&);

}  // namespace pinn
