// The launches of a choice on the GPU, all of them without a look at what the last one found.
//
// launch(name, kernel, blocks, threads, shared bytes, arguments ...) is CUDA's (core/cuda_launch.h) or, in tests/cpp,
// an emulation on the host. Once k are chosen, or nothing is left, the kernels that follow return at once.
#pragma once

#include "qr/pivot_pass_cuda.h"
#include "qr/pivot_take_cuda.h"

namespace pinn::pivot_cuda {

template <typename T, typename Launch>
void run_pivoting(const PivotedQr<T>& op, const Launch& launch, int take_threads = kTakeThreads) {
  Pivoting<T> p{};
  p.op = op;
  place_workspace(p);
  const int blocks = static_cast<int>(p.blocks);
  launch("pivoted_qr measure", &measure_kernel<T>, blocks, kThreads, kPassBytes, p);
  launch("pivoted_qr start", &start_kernel<T>, 1, take_threads, kTakeBytes, p);
  for (int64_t i = 0; i < op.size.num_forced; ++i)
    launch("pivoted_qr take", &take_kernel<T>, 1, take_threads, kTakeBytes, p, i);
  // One step more than pivots: that which finds the rank's end takes none.
  for (int64_t i = op.size.num_forced; i <= op.size.k; ++i) {
    launch("pivoted_qr pass", &pass_kernel<T>, blocks, kThreads, kPassBytes, p);
    launch("pivoted_qr take", &take_kernel<T>, 1, take_threads, kTakeBytes, p, int64_t{-1});
  }
}

}  // namespace pinn::pivot_cuda
