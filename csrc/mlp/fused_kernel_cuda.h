// A whole network on jets in one kernel: tiles of 16 points go forward through all layers, a head turns their outputs
// into cotangents, and they go back.
//
// The blocks stay for the whole call: block b takes the tiles b, b + blocks, ... and sums their gradients, in that
// order, in a partial gradient of its own (fused_plan.h). Forward, one buffer holds the jet of a layer and is
// overwritten by the next one. Back, one holds the input of a layer and the other the cotangent of its result.
//
// Head: wants_outputs(); apply(tile, streams, y, sums) reads and overwrites y [streams * 16][8], by all threads. It
// may add to row p of sums [16][kSums] in the thread p. A head that wants no outputs finds y undefined.
#pragma once

#include "mlp/fused_layers_cuda.h"
#include "mlp/fused_product_cuda.h"

namespace pinn::fused_cuda {

template <int N>
__device__ __forceinline__ void add_bias(const float* bias, int column, int width, int lane, float (&acc)[N][4]) {
#pragma unroll
  for (int j = 0; j < N; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int c = column + 8 * j + lane % 4 * 2 + e % 2;
      if (c < width) acc[j][e] += bias[c];
    }
}

// all_shared: plan.spilled is 0. At compile time, so that loads and stores are those of shared memory.
template <typename Streams, bool all_shared>
class Block {
 public:
  static constexpr int S = Streams::count;
  static constexpr int kBlocksOfStrip = kStrip / 8;

  __device__ __forceinline__ Block(const Mlp<float>& mlp, const Plan& plan)
      : mlp_(mlp), plan_(plan), streams_(mlp.shape.streams) {
    sums_ = static_cast<double*>(dynamic_shared());
    y_ = reinterpret_cast<float*>(sums_ + kTilePoints * kSums);
    const int64_t block = blockIdx.x;
    h_ = y_ + plan.outputs_size;
    v_ = h_ + plan.buffer_size;
    if (!all_shared) {
      v_ = plan.buffers + block * plan.spilled_size();
      if (plan.spilled == 2) h_ = v_ + plan.buffer_size;
    }
    saved_ = plan.saved + block * plan.saved_size;
    partial_ = plan.partials + block * plan.partial_size;
    tile_.warp = static_cast<int>(threadIdx.x) / kWarp;
    tile_.lane = static_cast<int>(threadIdx.x) % kWarp;
    for (int i = static_cast<int>(threadIdx.x); i < kTilePoints * kSums; i += plan.warps * kWarp) sums_[i] = 0;
  }

  template <typename Head>
  __device__ __forceinline__ void run(const Head& head) {
    for (int64_t i = blockIdx.x; i < plan_.tiles; i += gridDim.x) {
      const int64_t left = mlp_.shape.n - i * kTilePoints;
      tile_.first = i * kTilePoints;
      tile_.count = static_cast<int>(left < kTilePoints ? left : kTilePoints);
      tile_.add = i != blockIdx.x;
      forward();
      if (head.wants_outputs()) outputs();
      __syncthreads();
      head.apply(tile_, streams_, y_, sums_);
      __syncthreads();
      if (plan_.gradient) backward();
    }
    write_sums();
  }

 private:
  __device__ __forceinline__ void forward() {
    features_forward(tile_, streams_, mlp_, plan_, h_);
    __syncthreads();
    for (int l = 0; l + 1 < plan_.num_linear; ++l) {
      const LayerPlan& layer = plan_.layer[l];
      const int column = tile_.warp * kStrip;
      float acc[S][kBlocksOfStrip][4] = {};
      if (column < layer.out_padded) {
        add_bias(mlp_.bias[l], column, layer.out, tile_.lane, acc[0]);
        multiply_rows(h_, plan_.stride, strip(layer.forward, layer.in), (layer.in + 15) / 16, tile_.lane, acc);
      }
      __syncthreads();
      if (column < layer.out_padded) store_rows(acc, h_ + column, plan_.stride, tile_.lane);
      __syncthreads();
      activation_forward(tile_, streams_, mlp_.shape.activation, plan_, layer.out_padded, h_,
                         plan_.gradient ? saved_ + layer.saved : nullptr);
      __syncthreads();
    }
  }

  // The packed weights of this warp's strip.
  __device__ __forceinline__ const float* strip(int place, int width) const {
    return plan_.packed + place + tile_.warp * kStrip * ((width + 15) / 16 * 16);
  }

  // One warp for each stream.
  __device__ __forceinline__ void outputs() {
    const int l = plan_.num_linear - 1;
    const LayerPlan& layer = plan_.layer[l];
    for (int s = tile_.warp; s < S; s += plan_.warps) {
      float acc[1][1][4] = {};
      if (s == 0) add_bias(mlp_.bias[l], 0, layer.out, tile_.lane, acc[0]);
      multiply_rows(h_ + s * kTilePoints * plan_.stride, plan_.stride, plan_.packed + layer.forward,
                    (layer.in + 15) / 16, tile_.lane, acc);
      store_rows(acc, y_ + s * kTilePoints * kMaxOutputs, kMaxOutputs, tile_.lane);
    }
  }

  __device__ __forceinline__ void backward() {
    float *h = h_, *v = v_;
    const int column = tile_.warp * kStrip;
    for (int row = tile_.warp; row < Streams::rows; row += plan_.warps)  // the last layer's padded width is kWarp
      v[row * plan_.stride + tile_.lane] = tile_.lane < kMaxOutputs ? y_[row * kMaxOutputs + tile_.lane] : 0.0f;
    for (int l = plan_.num_linear - 1;; --l) {
      const LayerPlan& layer = plan_.layer[l];
      __syncthreads();
      add_parameters(layer, v, h);
      if (l == 0 && !plan_.want_B) break;
      float acc[S][kBlocksOfStrip][4] = {};
      if (column < layer.in_padded)
        multiply_rows(v, plan_.stride, strip(layer.backward, layer.out), (layer.out + 15) / 16, tile_.lane, acc);
      __syncthreads();
      if (column < layer.in_padded) store_rows(acc, v + column, plan_.stride, tile_.lane);
      __syncthreads();
      if (l == 0) {
        features_backward(tile_, streams_, mlp_, plan_, v, h, partial_ + plan_.v_B);
        break;
      }
      activation_backward(tile_, streams_, mlp_.shape.activation, plan_, layer.in_padded,
                          saved_ + plan_.layer[l - 1].saved, v);
      input_again(l - 1, h);
    }
    __syncthreads();
  }

  // The input of layer l.
  __device__ __forceinline__ void input_again(int l, float* h) {
    if (l == 0)
      features_forward(tile_, streams_, mlp_, plan_, h);
    else
      activation_again(tile_, streams_, mlp_.shape.activation, plan_, plan_.layer[l].in_padded,
                       saved_ + plan_.layer[l - 1].saved, h);
  }

  // The gradient of weight and bias; the bias enters the value alone, the rows of stream 0.
  __device__ __forceinline__ void add_parameters(const LayerPlan& layer, const float* v, const float* h) {
    const int across = layer.in_padded / kPad, squares = layer.out_padded / kPad * across;
    for (int i = tile_.warp; i < squares; i += plan_.warps)
      add_square(v + i / across * kPad, h + i % across * kPad, plan_.stride, Streams::rows, tile_.lane, tile_.add,
                 partial_ + layer.v_weight + i * kPad * kPad);
    for (int o = static_cast<int>(threadIdx.x); o < layer.out_padded; o += plan_.warps * kWarp) {
      float sum = 0, *to = partial_ + layer.v_bias + o;
      for (int p = 0; p < kTilePoints; ++p) sum += v[p * plan_.stride + o];
      *to = tile_.add ? *to + sum : sum;
    }
  }

  __device__ __forceinline__ void write_sums() {
    const int i = static_cast<int>(threadIdx.x);
    if (i >= kSums) return;
    double sum = 0;
    for (int p = 0; p < kTilePoints; ++p) sum += sums_[p * kSums + i];
    plan_.sums[static_cast<int64_t>(blockIdx.x) * kSums + i] = sum;
  }

  const Mlp<float>& mlp_;
  const Plan& plan_;
  Streams streams_;
  Tile tile_;
  double* sums_;
  float *y_, *h_, *v_, *saved_, *partial_;
};

template <typename Streams, bool all_shared, typename Head>
__global__ void __launch_bounds__(kMaxThreads)
    fused_mlp_kernel(const __grid_constant__ Mlp<float> mlp, const __grid_constant__ Plan plan, const Head head) {
  static_assert(sizeof(mlp) + sizeof(plan) + sizeof(head) <= 4096, "all drivers take 4 KB of arguments");
  Block<Streams, all_shared>(mlp, plan).run(head);
}

}  // namespace pinn::fused_cuda
