// The launches of a fused operation, in order: pack the weights, all tiles, sum the gradients.
//
// launch(name, kernel, blocks, threads, shared bytes, arguments ...) is CUDA's (fused_launch_cuda.h) or, in tests/cpp,
// an emulation on the host.
#pragma once

#include <string>

#include "core/error.h"
#include "mlp/fused_kernel_cuda.h"
#include "mlp/fused_pack_cuda.h"

namespace pinn::fused_cuda {

// The head of MlpJet and of its backward pass.
struct JetHead {
  float* out;          // [streams, n, c], or null: not wanted
  const float* v_out;  // [streams, n, c], or null: no backward pass
  int64_t n;
  int outputs;

  template <typename Streams>
  static constexpr bool supports = true;

  PINN_HD bool wants_outputs() const { return out != nullptr; }

  template <typename Streams>
  __device__ __forceinline__ void apply(const Tile& tile, const Streams&, float* y, double*) const {
    constexpr int numbers = Streams::rows * kMaxOutputs;
    for (int i = static_cast<int>(threadIdx.x); i < numbers; i += static_cast<int>(blockDim.x)) {
      const int s = i / (kTilePoints * kMaxOutputs), p = i / kMaxOutputs % kTilePoints, c = i % kMaxOutputs;
      const bool there = p < tile.count && c < outputs;
      const int64_t at = (s * n + tile.first + p) * outputs + c;
      if (out != nullptr && there) out[at] = y[i];
      if (v_out != nullptr) y[i] = there ? v_out[at] : 0.0f;
    }
  }
};

// The contract has more than the kernels take; Python asks cuda_fused_supports() before it calls.
[[noreturn]] inline void throw_not_supported(const char* name) {
  throw Error(std::string(name) + ": expected a network that cuda_fused_supports(), got another one");
}

// f(TileStreams), of up to kMaxStreams streams that the head supports.
template <typename Head, int number = 0, bool laplacian = false, typename F>
void with_tile_streams(const char* name, const JetStreams& streams, const F& f) {
  using Streams = TileStreams<number, laplacian>;
  if constexpr (Head::template supports<Streams>)
    if (streams.num_first == number && streams.has_laplacian == laplacian) return f(Streams(streams));
  if constexpr (Streams::count < kMaxStreams)
    with_tile_streams<Head, number + 1, laplacian>(name, streams, f);
  else if constexpr (!laplacian)
    with_tile_streams<Head, 0, true>(name, streams, f);
  else
    throw_not_supported(name);
}

inline int plain_blocks(int64_t numbers) { return static_cast<int>((numbers + kPlainThreads - 1) / kPlainThreads); }

// gradient: [num_parameters (+ d m)], or null where the plan has none.
template <typename Head, typename Launch>
void run_fused(const char* name, const Mlp<float>& mlp, const Plan& plan, const Head& head, float* gradient,
               const Launch& launch) {
  if (plan.blocks > 0) {
    launch(name, &pack_weights_kernel, plain_blocks(plan.packed_size), kPlainThreads, 0, mlp, plan);
    with_tile_streams<Head>(name, mlp.shape.streams, [&](auto streams) {
      using Streams = decltype(streams);
      const auto kernel =
          plan.spilled == 0 ? &fused_mlp_kernel<Streams, true, Head> : &fused_mlp_kernel<Streams, false, Head>;
      launch(name, kernel, plan.blocks, plan.warps * kWarp, plan.shared_bytes, mlp, plan, head);
    });
  }
  if (plan.gradient)
    launch(name, &sum_partials_kernel, (plan.partial_size + kWarp - 1) / kWarp, kPlainThreads,
           kPlainThreads * static_cast<int>(sizeof(double)), plan, gradient);
}

inline void check_supported(const char* name, const MlpShape& shape) {
  if (!supports(shape)) throw_not_supported(name);
}

template <typename Launch>
void run_fused(const MlpJet<float>& a, const Device& device, const Launch& launch) {
  const MlpShape& shape = a.mlp.shape;
  check_supported("mlp_jet", shape);
  const JetHead head{a.out, nullptr, shape.n, static_cast<int>(shape.outputs())};
  run_fused("mlp_jet", a.mlp, make_plan(shape, false, false, device, a.partition.parts, a.workspace), head, nullptr,
            launch);
}

template <typename Launch>
void run_fused(const MlpJetBackward<float>& a, const Device& device, const Launch& launch) {
  const MlpShape& shape = a.mlp.shape;
  check_supported("mlp_jet_backward", shape);
  const JetHead head{nullptr, a.v_out, shape.n, static_cast<int>(shape.outputs())};
  run_fused("mlp_jet_backward", a.mlp, make_plan(shape, true, a.want_B, device, a.partition.parts, a.workspace), head,
            a.gradient, launch);
}

}  // namespace pinn::fused_cuda
