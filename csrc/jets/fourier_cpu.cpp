// Fourier features on the CPU: points in fixed chunks over threads, frequencies in vectors.
//
// Phases are computed in turns (x.b, without 2 pi), from which whole turns come off exactly. Rows are written front
// to back, so each output line is touched once; nothing is read but x, B and the cotangents.
#include "core/parallel.h"
#include "core/simd_math.h"
#include "jets/fourier.h"
#include "jets/fourier_point.h"

namespace pinn {
namespace {

using std::int64_t;

// x.b in turns for the frequencies mb .. of one point.
template <typename V, typename T>
PINN_INLINE V turns_of(const T* x, const T* B, int64_t mb, int64_t left, FourierSize size) {
  V turns(T(0));
  for (int64_t i = 0; i < size.d; ++i) turns += V(x[i]) * V::load(B + i * size.m + mb, left);
  return turns;
}

template <typename V, typename T>
PINN_INLINE Wave<V> load_wave(const T* row, int64_t mb, int64_t left, int64_t m) {
  return {V::load(row + mb, left), V::load(row + m + mb, left)};
}

template <typename V, typename T>
PINN_INLINE void store_wave(Wave<V> w, T* row, int64_t mb, int64_t left, int64_t m) {
  w.cos.store(row + mb, left);
  w.sin.store(row + m + mb, left);
}

template <typename V, typename T>
PINN_INLINE void add_to(T* p, V v, int64_t left) {
  (V::load(p, left) + v).store(p, left);
}

template <typename T>
PINN_INLINE void clear(T* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = T(0);
}

template <typename V, typename T>
PINN_INLINE Rates<V, T> rates_of(const T* B, const JetStreams& streams, int64_t mb, int64_t left, int64_t m) {
  return {streams, [&](int coordinate) { return V::load(B + coordinate * m + mb, left); }};
}

// v_x += 2 pi v_phase B^T and partials += 2 pi x^T v_phase for one point and the frequencies mb .. .
template <typename V, typename T>
PINN_INLINE void phase_backward(V v_phase, const T* x, const T* B, T* v_x, T* partials, int64_t mb, int64_t left,
                                FourierSize size) {
  V v = V(T(kTwoPi)) * v_phase;
  for (int64_t i = 0; i < size.d; ++i) {
    add_to(partials + i * size.m + mb, v * V(x[i]), left);
    if (v_x != nullptr) v_x[i] += (v * V::load(B + i * size.m + mb, left)).sum();
  }
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierFeatures<T>& a) {
  using V = Vec<isa, T>;
  const auto [n, d, m] = a.size;
  parallel_over(Chunks(n), n * 2 * m, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t mb = 0; mb < m; mb += V::size)
        store_wave(cossin_of_turns(turns_of<V>(a.x + i * d, a.B, mb, m - mb, a.size)), a.out + i * 2 * m, mb, m - mb,
                   m);
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierFeaturesBackward<T>& a) {
  using V = Vec<isa, T>;
  const auto [n, d, m] = a.size;
  parallel_over(Chunks(n), n * 2 * m, [&](int64_t chunk, int64_t begin, int64_t end) {
    T* partials = a.partials + chunk * d * m;
    clear(partials, d * m);
    for (int64_t i = begin; i < end; ++i) {
      const T* x = a.x + i * d;
      T* v_x = a.v_x == nullptr ? nullptr : a.v_x + i * d;
      if (v_x != nullptr) clear(v_x, d);
      for (int64_t mb = 0; mb < m; mb += V::size) {
        const int64_t left = m - mb;
        Wave<V> w = cossin_of_turns(turns_of<V>(x, a.B, mb, left, a.size));
        Wave<V> v = load_wave<V>(a.v_out + i * 2 * m, mb, left, m);
        phase_backward(v_phase_of_value(w, v), x, a.B, v_x, partials, mb, left, a.size);
      }
    }
  });
}

// With the direction p = 2 pi (g_x B + x g_B) of the phase: the scalar <g_x, v_x> + <g_B, v_B> equals sum v_phase p.
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierFeaturesSecondOrder<T>& a) {
  using V = Vec<isa, T>;
  const auto [n, d, m] = a.size;
  parallel_over(Chunks(n), n * 2 * m, [&](int64_t chunk, int64_t begin, int64_t end) {
    T* partials = a.partials + chunk * d * m;
    clear(partials, d * m);
    for (int64_t i = begin; i < end; ++i) {
      const T *x = a.x + i * d, *g_x = a.g_x + i * d;
      clear(a.gg_x + i * d, d);
      for (int64_t mb = 0; mb < m; mb += V::size) {
        const int64_t left = m - mb;
        Wave<V> w = cossin_of_turns(turns_of<V>(x, a.B, mb, left, a.size));
        Wave<V> v = load_wave<V>(a.v_out + i * 2 * m, mb, left, m);
        V p = V(T(kTwoPi)) * (turns_of<V>(g_x, a.B, mb, left, a.size) + turns_of<V>(x, a.g_B, mb, left, a.size));
        store_wave(first_derivative(w, p), a.gg_v_out + i * 2 * m, mb, left, m);
        phase_backward(p * v_phase_rate(w, v), x, a.B, a.gg_x + i * d, partials, mb, left, a.size);
        phase_backward(v_phase_of_value(w, v), g_x, a.g_B, a.gg_x + i * d, partials, mb, left, a.size);
      }
    }
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierJet<T>& a) {
  using V = Vec<isa, T>;
  const auto [n, d, m] = a.size;
  const int64_t stride = n * 2 * m;
  parallel_over(Chunks(n), a.streams.count() * stride, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t mb = 0; mb < m; mb += V::size) {
        const int64_t left = m - mb;
        T* out = a.out + i * 2 * m;
        wave_jet(a.streams, rates_of<V>(a.B, a.streams, mb, left, m),
                 cossin_of_turns(turns_of<V>(a.x + i * d, a.B, mb, left, a.size)),
                 [&](int s, Wave<V> w) { store_wave(w, out + s * stride, mb, left, m); });
      }
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FourierJetBackward<T>& a) {
  using V = Vec<isa, T>;
  const auto [n, d, m] = a.size;
  const int64_t stride = n * 2 * m;
  parallel_over(Chunks(n), a.streams.count() * stride, [&](int64_t chunk, int64_t begin, int64_t end) {
    T* partials = a.partials + chunk * d * m;
    clear(partials, d * m);
    for (int64_t i = begin; i < end; ++i) {
      const T *x = a.x + i * d, *v_out = a.v_out + i * 2 * m;
      T* v_x = a.v_x == nullptr ? nullptr : a.v_x + i * d;
      if (v_x != nullptr) clear(v_x, d);
      for (int64_t mb = 0; mb < m; mb += V::size) {
        const int64_t left = m - mb;
        const V v_phase = wave_jet_backward<V, T>(
            a.streams, rates_of<V>(a.B, a.streams, mb, left, m), cossin_of_turns(turns_of<V>(x, a.B, mb, left, a.size)),
            [&](int s) { return load_wave<V>(v_out + s * stride, mb, left, m); },
            [&](int j, V v_k) { add_to(partials + a.streams.first[j] * m + mb, V(T(kTwoPi)) * v_k, left); });
        phase_backward(v_phase, x, a.B, v_x, partials, mb, left, a.size);
      }
    }
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const FourierFeatures<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierFeatures<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierFeaturesBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierFeaturesBackward<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierFeaturesSecondOrder<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierFeaturesSecondOrder<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierJet<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierJet<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierJetBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const FourierJetBackward<double>&);

}  // namespace pinn
