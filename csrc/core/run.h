// How a kernel is called: an operation is a struct of pointers and sizes, and run() takes it to the device.
//
// A room's contract declares, for each of its operations Op<T>,
//   template <Isa isa, typename T> void run_on_cpu(IsaConstant<isa>, const Op<T>&);    in *_cpu.cpp, per instruction
//   set template <typename T> void run_on_cuda(const Op<T>&, Stream);                      in *_cuda.cu or
//   *_no_cuda.cpp
// and explicit instantiation for float and double.
#pragma once

#include <optional>

#include "core/isa.h"

namespace pinn {

using Stream = void*;  // a cudaStream_t; this header is free of CUDA

// On the CPU where no stream is given, else on the current CUDA device in that stream.
template <typename Op>
void run(const Op& op, std::optional<Stream> stream) {
  if (stream)
    run_on_cuda(op, *stream);
  else
    with_active_isa([&](auto isa) { run_on_cpu(isa, op); });
}

}  // namespace pinn
