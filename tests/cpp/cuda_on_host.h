// Enough of CUDA to run a kernel's source on the host, for tests: include before the kernel's headers.
//
// The threads of a block, whole warps, are fibers on one thread of the host. They run in a fixed order, forwards or
// backwards, a warp until it waits for the others. So a kernel that lacks a barrier gives other numbers in one of the
// two. Shared memory is a heap block of exactly its size, full of NaN at the start, so that sanitizers see one number
// too many.
//
// The tensor core is emulated with the fragments that the PTX ISA gives (mlp/tensor_core_cuda.h), operands cut to TF32
// and sums rounded towards zero, which is the most that NVIDIA's tensor cores lose.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "core/math.h"

#define __global__
#define __device__
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

inline float __uint_as_float(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}
inline std::uint32_t __float_as_uint(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(x));
  return bits;
}

struct Index3 {
  unsigned x;
};
inline Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace pinn {

// core/math.h for numbers on the host.
#define PINN_HOST_MATH(name, function)               \
  inline float name(float x) { return function(x); } \
  inline double name(double x) { return function(x); }
PINN_HOST_MATH(fabs_of, std::fabs)
PINN_HOST_MATH(exp_of, std::exp)
PINN_HOST_MATH(expm1_of, std::expm1)
PINN_HOST_MATH(erf_of, std::erf)
#undef PINN_HOST_MATH
template <typename T>
T copysign_of(T x, T sign) {
  return std::copysign(x, sign);
}
template <typename T>
T min_of(T x, T bound) {
  return x > bound ? bound : x;
}
template <typename T>
T select_below(T x, T bound, T a, T b) {
  return x < bound ? a : b;
}
template <typename T>
CosSin<T> cossin_of(T x) {
  return {std::cos(x), std::sin(x)};
}
template <typename T>
CosSin<T> cossin_of_turns(T x) {
  const double phase = kTwoPi * static_cast<double>(x - std::rint(x));
  return {static_cast<T>(std::cos(phase)), static_cast<T>(std::sin(phase))};
}

namespace cuda_on_host {

// What a test may break, to see that it notices.
struct Faults {
  int skipped_barrier = -1;       // the number of a __syncthreads(), counted by each thread from the kernel's start
  bool swapped_fragment = false;  // the tensor core takes two of the four numbers of `a` for one another
};

constexpr int kWarpSize = 32;
constexpr std::size_t kStackBytes = 128 << 10;

// One lane's numbers of a product of the tensor core.
struct Product {
  float* c;
  float a[4], b[2];
};

struct Fiber {
  enum class State { ready, in_block, in_warp, done };

  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  State state;
  int index, barriers, exchanges;
  std::uint64_t sent[2];          // to another lane
  std::vector<Product> products;  // not yet computed
};

struct Machine {
  std::vector<Fiber> fibers;  // kept from block to block, for their stacks
  ucontext_t scheduler;
  Fiber* current;
  std::vector<int> arrived;  // of a warp's lanes
  std::function<void()> body;
  std::unique_ptr<float4[]> shared;
  bool backwards = false;
  Faults faults;
};
inline Machine machine;

[[noreturn]] inline void stop(const char* what) {
  std::fprintf(stderr, "cuda_on_host: %s\n", what);
  std::exit(1);
}

inline void wait(Fiber::State state) {
  Fiber* fiber = machine.current;
  fiber->state = state;
  swapcontext(&fiber->context, &machine.scheduler);
}

// The last lane of a warp to come lets the others go on.
inline void wait_for_warp() {
  const int warp = machine.current->index / kWarpSize;
  int& arrived = machine.arrived[static_cast<std::size_t>(warp)];
  if (++arrived < kWarpSize) return wait(Fiber::State::in_warp);
  arrived = 0;
  for (int lane = 0; lane < kWarpSize; ++lane)
    machine.fibers[static_cast<std::size_t>(warp * kWarpSize + lane)].state = Fiber::State::ready;
}

inline void run_fiber() {
  machine.body();
  machine.current->state = Fiber::State::done;
}

inline void start(int threads) {
  if (machine.fibers.size() < static_cast<std::size_t>(threads))
    machine.fibers.resize(static_cast<std::size_t>(threads));
  machine.arrived.assign(static_cast<std::size_t>(threads / kWarpSize), 0);
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = machine.fibers[static_cast<std::size_t>(i)];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &machine.scheduler;
    fiber.state = Fiber::State::ready;
    fiber.index = i;
    fiber.barriers = fiber.exchanges = 0;
    makecontext(&fiber.context, run_fiber, 0);
  }
}

inline void run_fiber_of(int thread) {
  Fiber& fiber = machine.fibers[static_cast<std::size_t>(thread)];
  if (fiber.state != Fiber::State::ready) return;
  machine.current = &fiber;
  threadIdx.x = static_cast<unsigned>(thread);
  swapcontext(&machine.scheduler, &fiber.context);
}

// Each warp in turn, until all its lanes wait for the block or are done.
inline void run_warps(int threads) {
  const auto in_order = [&](int i, int count) { return machine.backwards ? count - 1 - i : i; };
  const int warps = threads / kWarpSize;
  for (int i = 0; i < warps; ++i) {
    const int first = in_order(i, warps) * kWarpSize;
    const auto ready = [&] {
      for (int lane = 0; lane < kWarpSize; ++lane)
        if (machine.fibers[static_cast<std::size_t>(first + lane)].state == Fiber::State::ready) return true;
      return false;
    };
    while (ready())
      for (int lane = 0; lane < kWarpSize; ++lane) run_fiber_of(first + in_order(lane, kWarpSize));
  }
}

inline void run_block(int threads) {
  start(threads);
  for (;;) {
    run_warps(threads);
    bool released = false;
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = machine.fibers[static_cast<std::size_t>(i)];
      if (fiber.state == Fiber::State::in_warp) stop("a warp waits for lanes that do not come");
      if (fiber.state != Fiber::State::in_block) continue;
      fiber.state = Fiber::State::ready;
      released = true;
    }
    if (!released) return;
  }
}

// launch(name, kernel, blocks, threads, shared bytes, arguments ...): one block after the other.
struct Launch {
  template <typename... Parameters, typename... Arguments>
  void operator()(const char*, void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes,
                  const Arguments&... arguments) const {
    machine.body = [&] { kernel(arguments...); };
    blockDim.x = static_cast<unsigned>(threads);
    gridDim.x = static_cast<unsigned>(blocks);
    const std::size_t size = static_cast<std::size_t>(shared_bytes) / sizeof(float4);
    for (int block = 0; block < blocks; ++block) {
      const float nan = std::numeric_limits<float>::quiet_NaN();
      machine.shared.reset(new float4[size]);
      for (std::size_t i = 0; i < size; ++i) machine.shared[i] = {nan, nan, nan, nan};
      blockIdx.x = static_cast<unsigned>(block);
      run_block(threads);
    }
  }
};

inline float cut_to_tf32(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

inline float towards_zero(double x) {
  const float rounded = static_cast<float>(x);
  return std::fabs(static_cast<double>(rounded)) > std::fabs(x) ? std::nextafter(rounded, 0.0f) : rounded;
}

// c [16, 8] += a [16, 8] b [8, 8] for the products number i of the 32 lanes.
inline void multiply(const Fiber* lanes, std::size_t i) {
  double a[16][8], b[8][8];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const Product& product = lanes[lane].products[i];
    const int g = lane / 4, t = lane % 4;
    for (int e = 0; e < 4; ++e) {
      const int place = machine.faults.swapped_fragment ? (e == 1 ? 2 : e == 2 ? 1 : e) : e;
      a[g + place % 2 * 8][t + place / 2 * 4] = static_cast<double>(cut_to_tf32(product.a[e]));
    }
    for (int e = 0; e < 2; ++e) b[t + 4 * e][g] = static_cast<double>(cut_to_tf32(product.b[e]));
  }
  for (int lane = 0; lane < kWarpSize; ++lane)
    for (int e = 0; e < 4; ++e) {
      const int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
      float& c = lanes[lane].products[i].c[e];
      double sum = static_cast<double>(c);
      for (int k = 0; k < 8; ++k) sum += a[row][k] * b[k][column];
      c = towards_zero(sum);
    }
}

inline void multiply_all(Fiber* lanes) {
  const std::size_t count = lanes[0].products.size();
  for (int lane = 0; lane < kWarpSize; ++lane)
    if (lanes[lane].products.size() != count) stop("the lanes of a warp have different products");
  for (std::size_t i = 0; i < count; ++i) multiply(lanes, i);
  for (int lane = 0; lane < kWarpSize; ++lane) {
    lanes[lane].products.clear();
    lanes[lane].state = Fiber::State::ready;
  }
}

}  // namespace cuda_on_host

namespace fused_cuda {

inline void mma_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  cuda_on_host::machine.current->products.push_back({c, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
}

// The last lane of a warp to come computes for all.
inline void mma_wait() {
  using namespace cuda_on_host;
  const int warp = machine.current->index / kWarpSize;
  int& arrived = machine.arrived[static_cast<std::size_t>(warp)];
  if (++arrived < kWarpSize) return wait(Fiber::State::in_warp);
  arrived = 0;
  multiply_all(&machine.fibers[static_cast<std::size_t>(warp * kWarpSize)]);
}

}  // namespace fused_cuda

inline void* dynamic_shared() { return cuda_on_host::machine.shared.get(); }

template <typename T>
T lane_exchange(T number, int mask) {
  using namespace cuda_on_host;
  static_assert(sizeof(T) == sizeof(std::uint64_t));
  const int lane = machine.current->index % kWarpSize;
  Fiber* const fiber = machine.current;
  // Two places: a lane may be one exchange ahead of another, no more.
  const int place = fiber->exchanges++ % 2;
  std::memcpy(&fiber->sent[place], &number, sizeof(T));
  wait_for_warp();
  std::memcpy(&number, &(fiber - lane)[lane ^ mask].sent[place], sizeof(T));
  return number;
}

}  // namespace pinn

inline void __syncthreads() {
  using namespace pinn::cuda_on_host;
  Fiber& fiber = *machine.current;
  if (fiber.barriers++ != machine.faults.skipped_barrier) wait(Fiber::State::in_block);
}
