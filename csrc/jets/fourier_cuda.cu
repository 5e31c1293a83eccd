// Fourier features on the GPU.
//
// Forward: one thread per (point, frequency). Backward: two kernels, each with its own fixed order of summation, so
// that two runs give the same bits without atomics. Over points: a block owns 32 frequencies and one chunk of points,
// its rows of threads sum every eighth point, then the rows are added in order. Over frequencies: a warp owns a point.
// Phases are recomputed in both; a sine costs less than the traffic of storing it.
#include "core/cuda_launch.h"
#include "core/parallel.h"
#include "jets/fourier.h"
#include "jets/fourier_point.h"

namespace pinn {
namespace {

using std::int64_t;

constexpr int kWarp = 32;
constexpr int kRows = 8;

template <typename T>
__device__ T turns_of(const T* x, const T* B, int64_t k, FourierSize size) {
  T turns = T(0);
  for (int64_t i = 0; i < size.d; ++i) turns += x[i] * B[i * size.m + k];
  return turns;
}

template <typename T>
__device__ Wave<T> load_wave(const T* row, int64_t k, int64_t m) {
  return {row[k], row[m + k]};
}

template <typename T>
__device__ void store_wave(Wave<T> w, T* row, int64_t k, int64_t m) {
  row[k] = w.cos;
  row[m + k] = w.sin;
}

// The rates of one frequency, read again for each: an array that is indexed at run time would not be in registers.
template <typename T>
struct RatesAt {
  const T* B;
  const JetStreams& streams;
  int64_t k, m;
  T kappa;

  __device__ RatesAt(const T* frequencies, const JetStreams& jet, int64_t frequency, int64_t num)
      : B(frequencies), streams(jet), k(frequency), m(num), kappa(T(0)) {
    for (int j = 0; j < streams.num_first; ++j) kappa += static_cast<T>(streams.weight[j]) * rate(j) * rate(j);
  }
  __device__ T rate(int j) const { return T(kTwoPi) * B[streams.first[j] * m + k]; }
};

// The three backward operations, one point and one frequency each: the cotangent of the phase as two terms
//   v_x += first * B + second * B2,   v_B += x * first + x2 * second + own
// where B2 = g_B and x2 = g_x exist in the second order alone and `own` in the jet alone.
template <typename T>
struct Terms {
  T first, second;
  T own[kMaxCoordinates];  // direct cotangents of the rates k_j, by coordinate
};

template <typename T>
__device__ Terms<T> terms_of(const FourierFeaturesBackward<T>& a, int64_t i, int64_t k) {
  const Wave<T> w = cossin_of_turns(turns_of(a.x + i * a.size.d, a.B, k, a.size));
  return {T(kTwoPi) * v_phase_of_value(w, load_wave(a.v_out + i * 2 * a.size.m, k, a.size.m)), T(0), {}};
}

template <typename T>
__device__ Terms<T> terms_of(const FourierFeaturesSecondOrder<T>& a, int64_t i, int64_t k) {
  const T *x = a.x + i * a.size.d, *g_x = a.g_x + i * a.size.d;
  const Wave<T> w = cossin_of_turns(turns_of(x, a.B, k, a.size));
  const Wave<T> v = load_wave(a.v_out + i * 2 * a.size.m, k, a.size.m);
  const T p = T(kTwoPi) * (turns_of(g_x, a.B, k, a.size) + turns_of(x, a.g_B, k, a.size));
  return {T(kTwoPi) * p * v_phase_rate(w, v), T(kTwoPi) * v_phase_of_value(w, v), {}};
}

template <typename T>
__device__ Terms<T> terms_of(const FourierJetBackward<T>& a, int64_t i, int64_t k) {
  const int64_t m = a.size.m, stride = a.size.n * 2 * m;
  const T* v_out = a.v_out + i * 2 * m;
  const Wave<T> w = cossin_of_turns(turns_of(a.x + i * a.size.d, a.B, k, a.size));
  Terms<T> t = {};
  t.first = T(kTwoPi) * wave_jet_backward<T, T>(
                            a.streams, RatesAt<T>(a.B, a.streams, k, m), w,
                            [&](int s) { return load_wave(v_out + s * stride, k, m); },
                            [&](int j, T v_k) {
                              for (int c = 0; c < kMaxCoordinates; ++c)  // a fixed index keeps `own` in registers
                                if (c == a.streams.first[j]) t.own[c] = T(kTwoPi) * v_k;
                            });
  return t;
}

// The second pair of factors, where there is one.
template <typename Op, typename T>
struct Second {
  __device__ static T x(const Op&, int64_t, int64_t) { return T(0); }
  __device__ static T B(const Op&, int64_t, int64_t) { return T(0); }
};
template <typename T>
struct Second<FourierFeaturesSecondOrder<T>, T> {
  using Op = FourierFeaturesSecondOrder<T>;
  __device__ static T x(const Op& a, int64_t i, int64_t c) { return a.g_x[i * a.size.d + c]; }
  __device__ static T B(const Op& a, int64_t c, int64_t k) { return a.g_B[c * a.size.m + k]; }
};

template <typename T, typename Op>
__global__ void __launch_bounds__(kWarp* kRows) sum_over_points_kernel(Op a, Chunks chunks) {
  const auto [n, d, m] = a.size;
  const int64_t k = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x, chunk = blockIdx.y;
  T sum[kMaxCoordinates] = {};
  if (k < m)
    for (int64_t i = chunks.begin(chunk) + threadIdx.y; i < chunks.end(chunk); i += kRows) {
      const Terms<T> t = terms_of(a, i, k);
#pragma unroll
      for (int c = 0; c < kMaxCoordinates; ++c)
        if (c < d) sum[c] += t.first * a.x[i * d + c] + t.second * Second<Op, T>::x(a, i, c) + t.own[c];
    }
  __shared__ T rows[kRows][kWarp];
#pragma unroll
  for (int c = 0; c < kMaxCoordinates; ++c)
    if (c < d) {
      rows[threadIdx.y][threadIdx.x] = sum[c];
      __syncthreads();
      if (threadIdx.y == 0 && k < m) {
        T total = rows[0][threadIdx.x];
        for (int r = 1; r < kRows; ++r) total += rows[r][threadIdx.x];
        a.partials[(chunk * d + c) * m + k] = total;
      }
      __syncthreads();
    }
}

template <typename T, typename Op>
__global__ void __launch_bounds__(kBlockSize) sum_over_frequencies_kernel(Op a, T* v_x) {
  const auto [n, d, m] = a.size;
  const int lane = threadIdx.x % kWarp;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kBlockSize / kWarp);
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * kBlockSize + threadIdx.x) / kWarp; i < n; i += warps) {
    T sum[kMaxCoordinates] = {};
    for (int64_t k = lane; k < m; k += kWarp) {
      const Terms<T> t = terms_of(a, i, k);
#pragma unroll
      for (int c = 0; c < kMaxCoordinates; ++c)
        if (c < d) sum[c] += t.first * a.B[c * m + k] + t.second * Second<Op, T>::B(a, c, k);
    }
#pragma unroll
    for (int c = 0; c < kMaxCoordinates; ++c)
      if (c < d) {
        for (int offset = kWarp / 2; offset > 0; offset /= 2) sum[c] += __shfl_xor_sync(0xffffffffu, sum[c], offset);
        if (lane == 0) v_x[i * d + c] = sum[c];
      }
  }
}

template <typename T, typename Op>
void backward(const char* name, const Op& a, T* v_x, Stream stream) {
  const Chunks chunks(a.size.n);
  if (a.size.n == 0 || a.size.m == 0) return;
  const dim3 blocks(static_cast<unsigned>((a.size.m + kWarp - 1) / kWarp), static_cast<unsigned>(chunks.count));
  sum_over_points_kernel<T><<<blocks, dim3(kWarp, kRows), 0, cuda_stream(stream)>>>(a, chunks);
  check_launch(name);
  if (v_x == nullptr) return;
  constexpr int64_t points = kBlockSize / kWarp;
  int64_t grid = (a.size.n + points - 1) / points;
  if (grid > (1 << 20)) grid = 1 << 20;
  sum_over_frequencies_kernel<T><<<static_cast<unsigned>(grid), kBlockSize, 0, cuda_stream(stream)>>>(a, v_x);
  check_launch(name);
}

}  // namespace

template <typename T>
void run_on_cuda(const FourierFeatures<T>& a, Stream stream) {
  for_each("fourier_features", a.size.n * a.size.m, stream, [a] __device__(int64_t item) {
    const int64_t i = item / a.size.m, k = item % a.size.m;
    store_wave(cossin_of_turns(turns_of(a.x + i * a.size.d, a.B, k, a.size)), a.out + i * 2 * a.size.m, k, a.size.m);
  });
}

template <typename T>
void run_on_cuda(const FourierFeaturesBackward<T>& a, Stream stream) {
  backward("fourier_features_backward", a, a.v_x, stream);
}

template <typename T>
void run_on_cuda(const FourierFeaturesSecondOrder<T>& a, Stream stream) {
  for_each("fourier_features_second_order", a.size.n * a.size.m, stream, [a] __device__(int64_t item) {
    const int64_t i = item / a.size.m, k = item % a.size.m;
    const T *x = a.x + i * a.size.d, *g_x = a.g_x + i * a.size.d;
    const T p = T(kTwoPi) * (turns_of(g_x, a.B, k, a.size) + turns_of(x, a.g_B, k, a.size));
    store_wave(first_derivative(cossin_of_turns(turns_of(x, a.B, k, a.size)), p), a.gg_v_out + i * 2 * a.size.m, k,
               a.size.m);
  });
  backward("fourier_features_second_order", a, a.gg_x, stream);
}

template <typename T>
void run_on_cuda(const FourierJet<T>& a, Stream stream) {
  for_each("fourier_jet", a.size.n * a.size.m, stream, [a] __device__(int64_t item) {
    const int64_t m = a.size.m, i = item / m, k = item % m, stride = a.size.n * 2 * m;
    T* out = a.out + i * 2 * m;
    wave_jet(a.streams, RatesAt<T>(a.B, a.streams, k, m), cossin_of_turns(turns_of(a.x + i * a.size.d, a.B, k, a.size)),
             [&](int s, Wave<T> w) { store_wave(w, out + s * stride, k, m); });
  });
}

template <typename T>
void run_on_cuda(const FourierJetBackward<T>& a, Stream stream) {
  backward("fourier_jet_backward", a, a.v_x, stream);
}

template void run_on_cuda(const FourierFeatures<float>&, Stream);
template void run_on_cuda(const FourierFeatures<double>&, Stream);
template void run_on_cuda(const FourierFeaturesBackward<float>&, Stream);
template void run_on_cuda(const FourierFeaturesBackward<double>&, Stream);
template void run_on_cuda(const FourierFeaturesSecondOrder<float>&, Stream);
template void run_on_cuda(const FourierFeaturesSecondOrder<double>&, Stream);
template void run_on_cuda(const FourierJet<float>&, Stream);
template void run_on_cuda(const FourierJet<double>&, Stream);
template void run_on_cuda(const FourierJetBackward<float>&, Stream);
template void run_on_cuda(const FourierJetBackward<double>&, Stream);

}  // namespace pinn
