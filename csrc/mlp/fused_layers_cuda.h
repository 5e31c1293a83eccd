// One tile through Fourier features, activations and their adjoints: the passes between the products.
//
// A warp takes every plan.warps-th point, a lane every 32nd column; all streams of a number are in one thread. Buffers
// are [streams * 16][stride], row 16 s + p; a saved jet is [streams + 1][16][width]: f, the other streams before the
// activation, and what kept_of keeps.
#pragma once

#include <type_traits>

#include "jets/activation_point.h"
#include "jets/fourier_point.h"
#include "mlp/fused_plan.h"

namespace pinn::fused_cuda {

// The streams as compile-time numbers, so that their loops unroll and their arrays are registers.
template <int number, bool laplacian_too>
struct TileStreams {
  static constexpr int num_first = number;
  static constexpr bool has_laplacian = laplacian_too;
  static constexpr int count = 1 + number + (laplacian_too ? 1 : 0);
  static constexpr int rows = count * kTilePoints;
  PINN_HD static constexpr int laplacian() { return 1 + number; }

  int first[number > 0 ? number : 1];
  float weight[number > 0 ? number : 1];

  PINN_HD explicit TileStreams(const JetStreams& streams) {
    for (int j = 0; j < number; ++j) {
      first[j] = streams.first[j];
      weight[j] = static_cast<float>(streams.weight[j]);
    }
  }
};

// A tile as one thread sees it.
struct Tile {
  int64_t first;  // point
  int count;      // of points, 1 to 16; the others repeat the last one, with cotangents of zero
  bool add;       // the partial gradient of the block holds that of other tiles
  int warp, lane;

  PINN_HD int64_t point(int p) const { return first + (p < count ? p : count - 1); }
};

inline constexpr int kUnrolled = 4;

// f(point, column) for the numbers of this thread. Unrolled, several loads overlap.
template <int unrolled = 1, typename F>
__device__ __forceinline__ void for_each_number(const Tile& tile, int warps, int width, const F& f) {
  for (int p = tile.warp; p < kTilePoints; p += warps)
#pragma unroll unrolled
    for (int c = tile.lane; c < width; c += kWarp) f(p, c);
}

template <typename Streams>
__device__ __forceinline__ void features_forward(const Tile& tile, const Streams& streams, const Mlp<float>& mlp,
                                                 const Plan& plan, float* h) {
  const int m = plan.m, next = kTilePoints * plan.stride;  // next: from a stream to the next one
  for_each_number(tile, plan.warps, m, [&](int p, int k) {
    const float* x = mlp.x + tile.point(p) * plan.d;
    float turns = 0, *to = h + p * plan.stride + k;
    for (int i = 0; i < plan.d; ++i) turns += x[i] * mlp.B[i * m + k];
    wave_jet(streams, Rates<float, float>(streams, [&](int i) { return mlp.B[i * m + k]; }), cossin_of_turns(turns),
             [&](int s, Wave<float> w) { to[s * next] = w.cos, to[s * next + m] = w.sin; });
  });
  for_each_number(tile, plan.warps, plan.layer[0].in_padded - 2 * m, [&](int p, int k) {
    for (int s = 0; s < Streams::count; ++s) h[s * next + p * plan.stride + 2 * m + k] = 0;
  });
}

// From the cotangent v of the features h, what this tile adds to that of B, [d, m]; one thread for each frequency.
template <typename Streams>
__device__ __forceinline__ void features_backward(const Tile& tile, const Streams& streams, const Mlp<float>& mlp,
                                                  const Plan& plan, const float* v, const float* h, float* v_B) {
  const int m = plan.m, next = kTilePoints * plan.stride, threads = plan.warps * kWarp;
  for (int k = tile.warp * kWarp + tile.lane; k < m; k += threads) {
    float own[kMaxCoordinates] = {}, sum[kMaxCoordinates] = {};
    const Rates<float, float> rates(streams, [&](int i) { return mlp.B[i * m + k]; });
    for (int p = 0; p < kTilePoints; ++p) {
      const int at = p * plan.stride + k;
      const float v_phase = wave_jet_backward<float, float>(
          streams, rates, {h[at], h[at + m]},
          [&](int s) { return Wave<float>{v[s * next + at], v[s * next + at + m]}; },
          [&](int j, float v_k) { own[j] += v_k; });
      const float* x = mlp.x + tile.point(p) * plan.d;
#pragma unroll
      for (int i = 0; i < kMaxCoordinates; ++i)
        if (i < plan.d) sum[i] += v_phase * x[i];
    }
#pragma unroll
    for (int i = 0; i < kMaxCoordinates; ++i)
      if (i < plan.d) {
        float total = sum[i];
        for (int j = 0; j < Streams::num_first; ++j) total += streams.first[j] == i ? own[j] : 0.0f;
        total *= static_cast<float>(kTwoPi);
        v_B[i * m + k] = tile.add ? v_B[i * m + k] + total : total;
      }
  }
}

// In place; `saved` is null where nothing has to be kept.
template <typename Streams>
__device__ __forceinline__ void activation_forward(const Tile& tile, const Streams& streams, Activation activation,
                                                   const Plan& plan, int width, float* h, float* saved) {
  const int next = kTilePoints * plan.stride, saved_next = kTilePoints * width;
  with_activation(activation, [&](auto a) {
    for_each_number(tile, plan.warps, width, [&](int p, int c) {
      float *number = h + p * plan.stride + c, z[Streams::count];
      for (int s = 0; s < Streams::count; ++s) z[s] = number[s * next];
      const Derivatives<float> d = derivatives_of<decltype(a)::value, float, float>(z[0]);
      activation_jet_from<float, float>(
          d, streams, [&](int s) { return z[s]; }, [&](int s, float value) { number[s * next] = value; });
      if (saved == nullptr) return;
      float* keep = saved + p * width + c;
      keep[0] = d.f;
      for (int s = 1; s < Streams::count; ++s) keep[s * saved_next] = z[s];
      keep[Streams::count * saved_next] = kept_of<decltype(a)::value>(z[0], d);
    });
  });
}

template <Activation activation, typename Streams>
__device__ __forceinline__ Derivatives<float> load_saved(const float* number, int next, float (&z)[Streams::count]) {
  for (int s = 0; s < Streams::count; ++s) z[s] = number[s * next];
  return derivatives_from<activation, float, float>(z[0], number[Streams::count * next]);
}

// The jet after the activation, again.
template <typename Streams>
__device__ __forceinline__ void activation_again(const Tile& tile, const Streams& streams, Activation activation,
                                                 const Plan& plan, int width, const float* __restrict__ saved,
                                                 float* h) {
  const int next = kTilePoints * plan.stride, saved_next = kTilePoints * width;
  with_activation(activation, [&](auto a) {
    for_each_number<kUnrolled>(tile, plan.warps, width, [&](int p, int c) {
      float *number = h + p * plan.stride + c, z[Streams::count];
      const Derivatives<float> d = load_saved<decltype(a)::value, Streams>(saved + p * width + c, saved_next, z);
      activation_jet_from<float, float>(
          d, streams, [&](int s) { return z[s]; }, [&](int s, float value) { number[s * next] = value; });
    });
  });
}

// In place: from the cotangent after the activation that before it.
template <typename Streams>
__device__ __forceinline__ void activation_backward(const Tile& tile, const Streams& streams, Activation activation,
                                                    const Plan& plan, int width, const float* __restrict__ saved,
                                                    float* v) {
  const int next = kTilePoints * plan.stride, saved_next = kTilePoints * width;
  with_activation(activation, [&](auto a) {
    for_each_number<kUnrolled>(tile, plan.warps, width, [&](int p, int c) {
      float *number = v + p * plan.stride + c, z[Streams::count], v_f[Streams::count];
      const Derivatives<float> d = load_saved<decltype(a)::value, Streams>(saved + p * width + c, saved_next, z);
      for (int s = 0; s < Streams::count; ++s) v_f[s] = number[s * next];
      activation_jet_backward_from<float, float>(
          d, streams, [&](int s) { return z[s]; }, [&](int s) { return v_f[s]; },
          [&](int s, float value) { number[s * next] = value; });
    });
  });
}

}  // namespace pinn::fused_cuda
