// The jet of a whole network on the CPU, and its backward pass, which computes each tile forward again.
#include "mlp/fused_mlp.h"

namespace pinn {

using std::int64_t;

namespace {

// f(number in [streams, n, c], number in the tile's panels) over a tile's outputs.
template <typename V, typename F>
PINN_INLINE void for_each_output(const MlpShape& shape, int64_t first, int64_t t, const F& f) {
  const int64_t c = shape.outputs(), rows = shape.streams.count() * t;
  for (int64_t s = 0; s < shape.streams.count(); ++s)
    for (int64_t i = 0; i < t; ++i)
      for (int64_t q = 0; q < c; ++q)
        f((s * shape.n + first + i) * c + q, (q / kPanel<V> * rows + s * t + i) * kPanel<V> + q % kPanel<V>);
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJet<T>& a) {
  using Fused = FusedMlp<isa, T>;
  Fused(a.mlp, Fused::Wanted::value, a.sharing).run([&](int64_t, int64_t first, int64_t t, const T* y, T*) {
    for_each_output<typename Fused::V>(a.mlp.shape, first, t, [&](int64_t out, int64_t at) { a.out[out] = y[at]; });
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJetBackward<T>& a) {
  using Fused = FusedMlp<isa, T>;
  Fused fused(a.mlp, a.want_B ? Fused::Wanted::gradient_with_B : Fused::Wanted::gradient, a.sharing);
  fused.run([&](int64_t, int64_t first, int64_t t, const T*, T* v_y) {
    for_each_output<typename Fused::V>(a.mlp.shape, first, t, [&](int64_t out, int64_t at) { v_y[at] = a.v_out[out]; });
  });
  fused.write_gradient(a.gradient);
}

template void run_on_cpu(IsaConstant<kIsa>, const MlpJet<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJet<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJetBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const MlpJetBackward<double>&);

}  // namespace pinn
