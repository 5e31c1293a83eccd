// The peak of this CPU, which the products are compared with: each thread runs independent chains of a * b + c in
// registers; the best of several rounds. Compiled by fma_peak.py for the instruction set in use.
#include <algorithm>
#include <chrono>

#include "core/parallel.h"
#include "core/simd.h"

namespace pinn {
namespace {

// The compiler must believe that v changes here, and can neither drop nor merge the chains.
template <typename V>
PINN_INLINE void touch(V& v) {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(v.raw));
#elif defined(__x86_64__)
  asm volatile("" : "+x"(v.raw));
#else
  asm volatile("" : "+w"(v.raw));
#endif
}

constexpr int kChains = 12;  // latency (4 or 5 cycles) times two units, and 12 + 2 of 16 registers

template <typename V>
void chains(std::int64_t rounds) {
  using T = typename V::Scalar;
  V a[kChains], factor(T(0.5)), term(T(1));
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) a[i] = V(static_cast<T>(i));
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      a[i] = a[i] * factor + term;
      touch(a[i]);
    }
  }
}

// In GFLOP/s, measured for about so many seconds.
template <typename T>
double fma_peak(double seconds) {
  using V = Vec<kIsa, T>;
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kRounds = 1 << 18;  // about a millisecond: longer than it takes to wake the threads
  double best = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto start = Clock::now();
    parallel_for(max_threads(), true, [&](std::int64_t) { chains<V>(kRounds); });
    const double taken = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2e-9 * kChains * V::size * static_cast<double>(kRounds) * max_threads() / taken);
  } while (Clock::now() < end);
  return best;
}

}  // namespace
}  // namespace pinn

extern "C" double fma_peak(bool float64, double seconds) {
  return float64 ? pinn::fma_peak<double>(seconds) : pinn::fma_peak<float>(seconds);
}
