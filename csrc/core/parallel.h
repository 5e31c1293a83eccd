// Loops over points on the CPU's threads, in chunks that do not depend on the number of threads.
//
// OpenMP: the extension binds to the runtime that torch has loaded, so that one pool of threads serves both and
// torch.set_num_threads holds here too.
#pragma once

#include <cstdint>

#include "core/host_device.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace pinn {

PINN_HD int max_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// Which of the threads of a parallel loop this is, below max_threads().
PINN_HD int thread_index() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

// How n points are cut for a reduction: at most kMaxChunks pieces of at least kMinChunk points. A pure function of n:
// each chunk sums its own points in order, the chunks are added in order, so every number of threads gives the same
// bits.
struct Chunks {
  static constexpr std::int64_t kMinChunk = 64;
  static constexpr std::int64_t kMaxChunks = 128;
  std::int64_t n, count, length;

  PINN_HD explicit Chunks(std::int64_t points) : n(points) {
    length = (points + kMaxChunks - 1) / kMaxChunks;
    if (length < kMinChunk) length = kMinChunk;
    count = (points + length - 1) / length;
  }
  PINN_HD std::int64_t begin(std::int64_t chunk) const { return chunk * length; }
  PINN_HD std::int64_t end(std::int64_t chunk) const { return (chunk + 1) * length < n ? (chunk + 1) * length : n; }
};

// Numbers below which one thread is at least as fast as waking the others (torch has the same grain). On a machine with
// more work than cores a region waits for the scheduler, milliseconds for a kernel of microseconds.
inline constexpr std::int64_t kMinParallelNumbers = 32768;

// f(i) for 0 <= i < count, each thread a range of its own. f must not throw.
template <typename F>
void parallel_for(std::int64_t count, [[maybe_unused]] bool worthwhile, F&& f) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static) if (worthwhile && count > 1)
#endif
  for (std::int64_t i = 0; i < count; ++i) f(i);
}

// f(chunk, begin, end) for each chunk, on all threads where the kernel reads or writes enough numbers. f must not
// throw.
template <typename F>
void parallel_over(const Chunks& chunks, std::int64_t numbers, F&& f) {
  parallel_for(chunks.count, numbers >= kMinParallelNumbers,
               [&](std::int64_t chunk) { f(chunk, chunks.begin(chunk), chunks.end(chunk)); });
}

}  // namespace pinn
