// How a kernel is called: an operation is a struct of pointers and sizes, and run() takes it to the device.
//
// A contract (jets/fourier.h, mlp/mlp.h ...) declares and instantiates, for each of its operations Op<T>
//
//   in *_cpu.cpp, for each instruction set:
//     template <Isa isa, typename T> void run_on_cpu(IsaConstant<isa>, const Op<T>&);
//   in *_cuda.cu, which a build without a CUDA compiler leaves out:
//     template <typename T> void run_on_cuda(const Op<T>&, Stream);
#pragma once

#include <optional>

#include "core/error.h"
#include "core/isa.h"

namespace pinn {

using Stream = void*;  // a cudaStream_t; this header is free of CUDA

// Whether this build has CUDA kernels. What only a *_cuda.cu defines is named under `if constexpr (kHasCuda)` alone.
#ifdef PINN_CUDA
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

[[noreturn]] inline void throw_no_cuda() {
  throw Error(
      "this pinn_ext was built without CUDA: expected CPU tensors, got CUDA tensors. Rebuild where nvcc is on the "
      "PATH: pip install --force-reinstall --no-deps -C cmake.define.PINN_EXT_CUDA=ON .");
}

// On the CPU where no stream is given, else on the current CUDA device in that stream.
template <typename Op>
void run(const Op& op, std::optional<Stream> stream) {
  if (!stream) return with_active_isa([&](auto isa) { run_on_cpu(isa, op); });
  if constexpr (kHasCuda)
    run_on_cuda(op, *stream);
  else
    throw_no_cuda();
}

}  // namespace pinn
