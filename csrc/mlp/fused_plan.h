// How the fused CUDA kernels cut up a network: the places of everything in workspace and shared memory.
//
// A block takes tiles of 16 points through all layers. The rows of a tile are stream-major, row 16 s + p for stream s
// of point p, so that one stream is one row block of the tensor cores. Every width is padded to kPad columns. Their
// weights are zeros and their gradients are dropped, so f(0) need only be finite.
//
//   shared memory   double sums [16][kSums] | outputs [streams * 16][8] | buffers [streams * 16][stride], up to 2
//   workspace       double sums [blocks][kSums] | packed weights | for each block: saved jets, the buffers that did
//                   not fit into shared memory, a partial gradient
#pragma once

#include <algorithm>
#include <cstdint>

#include "mlp/mlp.h"

namespace pinn::fused_cuda {

using std::int64_t;

inline constexpr int kWarp = 32;
inline constexpr int kTilePoints = 16;
inline constexpr int kPad = 32;    // the side of the square of a weight gradient that a warp sums at a time
inline constexpr int kStrip = 16;  // columns of a layer that a warp computes
inline constexpr int kSums = 8;    // sums over points that a head may keep
inline constexpr int kMaxWidth = 256, kMaxOutputs = 8, kMaxStreams = 6;
inline constexpr int kMaxThreads = kMaxWidth / kStrip * kWarp;
inline constexpr int kMaxWarpsPerMultiprocessor = 16;  // with the 128 registers that kMaxThreads leave a thread
inline constexpr int kReservedShared = 1024;           // bytes of a block that the driver keeps to itself

struct Device {
  int multiprocessors;
  int64_t shared_per_block, shared_per_multiprocessor;  // bytes
};

struct LayerPlan {
  int in, out, in_padded, out_padded;
  int forward, backward;  // in the packed weights
  int v_weight, v_bias;   // in a partial gradient
  int saved;              // in the saved jets: the layer's result, [streams + 1][16][out_padded]
  int parameter;          // the first number of the layer in the gradient
};

struct Plan {
  LayerPlan layer[kMaxLinearLayers];
  int num_linear, num_parameters, d, m;
  int stride;  // of a row of a buffer: 8 mod 16, which keeps all loads of fragments free of bank conflicts
  int warps, blocks, shared_bytes;
  int spilled;  // buffers that are not in shared memory: 0, 1 (v), 2 (h and v)
  int outputs_size, buffer_size, packed_size, saved_size, partial_size, v_B;  // counted in numbers
  int64_t tiles, bytes;
  bool gradient, want_B;
  double* sums;
  float *packed, *saved, *buffers, *partials;

  PINN_HD int64_t spilled_size() const { return int64_t{spilled} * buffer_size; }
};

inline int padded(int64_t width) { return static_cast<int>((width + kPad - 1) / kPad * kPad); }
inline int steps_of(int width) { return (width + 15) / 16; }  // steps of 16 along the summed index

inline bool supports(const MlpShape& shape) {
  if (shape.num_linear < 1 || shape.num_linear > kMaxLinearLayers) return false;
  for (int l = 0; l < shape.num_linear; ++l)
    if (shape.width[l] < 1 || shape.width[l] > kMaxWidth) return false;
  return shape.outputs() >= 1 && shape.outputs() <= kMaxOutputs && shape.streams.count() <= kMaxStreams &&
         shape.d <= kMaxCoordinates;
}

inline void plan_layers(const MlpShape& shape, Plan& plan) {
  const int streams = shape.streams.count();
  const auto take = [](int& end, int count) { return (end += count) - count; };
  int parameters = 0, widest = 0;
  for (int l = 0; l < shape.num_linear; ++l) {
    LayerPlan& layer = plan.layer[l];
    layer.in = static_cast<int>(shape.width[l]);
    layer.out = static_cast<int>(shape.width[l + 1]);
    layer.in_padded = padded(layer.in);
    layer.out_padded = padded(layer.out);
    widest = std::max({widest, layer.in_padded, layer.out_padded});
    layer.parameter = take(parameters, layer.out * (layer.in + 1));
    layer.forward = take(plan.packed_size, layer.out_padded * steps_of(layer.in) * 16);
    if (!plan.gradient) continue;
    layer.backward = take(plan.packed_size, layer.in_padded * steps_of(layer.out) * 16);
    layer.v_weight = take(plan.partial_size, layer.in_padded * layer.out_padded);
    layer.v_bias = take(plan.partial_size, layer.out_padded);
    if (l + 1 < shape.num_linear) layer.saved = take(plan.saved_size, (streams + 1) * kTilePoints * layer.out_padded);
  }
  if (plan.want_B) plan.v_B = take(plan.partial_size, padded(shape.d * shape.m));
  plan.num_parameters = parameters;
  plan.stride = widest + 8;
  plan.warps = widest / kStrip;
  plan.outputs_size = streams * kTilePoints * kMaxOutputs;
  plan.buffer_size = streams * kTilePoints * plan.stride;
}

// As many buffers in shared memory as fit, first the one of a pass forward alone, and as many blocks as then fit the
// device, or `parts` if that is less.
inline void plan_blocks(const Device& device, int64_t parts, Plan& plan) {
  const int64_t fixed = kTilePoints * kSums * 8 + plan.outputs_size * 4, buffer = int64_t{plan.buffer_size} * 4;
  const int64_t wanted = plan.gradient ? 2 : 1, fitting = (device.shared_per_block - fixed) / buffer;
  plan.spilled = fitting >= wanted ? 0 : fitting == 1 ? 1 : 2;
  plan.shared_bytes = static_cast<int>(fixed + (plan.spilled == 0 ? wanted : 2 - plan.spilled) * buffer);
  const int64_t fit = std::min<int64_t>(kMaxWarpsPerMultiprocessor / plan.warps,
                                        device.shared_per_multiprocessor / (plan.shared_bytes + kReservedShared));
  int64_t blocks = std::min(plan.tiles, device.multiprocessors * std::max<int64_t>(1, fit));
  if (parts > 0) blocks = std::min(blocks, parts);
  plan.blocks = static_cast<int>(blocks);
}

// The workspace may be null where its size alone is wanted.
inline Plan make_plan(const MlpShape& shape, bool gradient, bool want_B, const Device& device, int64_t parts,
                      void* workspace) {
  Plan plan{};
  plan.num_linear = shape.num_linear;
  plan.d = static_cast<int>(shape.d);
  plan.m = static_cast<int>(shape.m);
  plan.gradient = gradient;
  plan.want_B = want_B;
  plan.tiles = (shape.n + kTilePoints - 1) / kTilePoints;
  plan_layers(shape, plan);
  plan_blocks(device, parts, plan);
  const int64_t sums = int64_t{plan.blocks} * kSums;
  plan.bytes =
      sums * 8 + (plan.packed_size + plan.blocks * (plan.saved_size + plan.spilled_size() + plan.partial_size)) * 4;
  if (workspace == nullptr) return plan;
  plan.sums = static_cast<double*>(workspace);
  plan.packed = reinterpret_cast<float*>(plan.sums + sums);
  plan.saved = plan.packed + plan.packed_size;
  plan.buffers = plan.saved + plan.blocks * int64_t{plan.saved_size};
  plan.partials = plan.buffers + plan.blocks * plan.spilled_size();
  return plan;
}

}  // namespace pinn::fused_cuda
