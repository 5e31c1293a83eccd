// The peak of this CPU: each thread runs independent chains of a * b + c in registers; the best of several rounds.
#include <algorithm>
#include <chrono>

#include "core/parallel.h"
#include "core/peak.h"
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

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FmaPeak<T>& a) {
  using V = Vec<isa, T>;
  using Clock = std::chrono::steady_clock;
  const auto seconds_of = [&](std::int64_t rounds) {
    const auto start = Clock::now();
    parallel_for(max_threads(), true, [&](std::int64_t) { chains<V>(rounds); });
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  constexpr std::int64_t kRounds = 1 << 18;  // about a millisecond: longer than it takes to wake the threads
  *a.flop_per_s = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(a.seconds);
  do {
    const double flops = 2.0 * kChains * V::size * static_cast<double>(kRounds) * max_threads();
    *a.flop_per_s = std::max(*a.flop_per_s, flops / seconds_of(kRounds));
  } while (Clock::now() < end);
}

template void run_on_cpu(IsaConstant<kIsa>, const FmaPeak<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const FmaPeak<double>&);

}  // namespace pinn
