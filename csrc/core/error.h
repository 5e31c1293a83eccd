// The one exception of csrc. pybind11 turns it into a Python RuntimeError.
#pragma once

#include <stdexcept>

namespace pinn {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What the twins throw that stand in for the CUDA kernels in a build without a CUDA compiler.
[[noreturn]] inline void throw_no_cuda() {
  throw Error(
      "this pinn_ext was built without CUDA: expected CPU tensors, got CUDA tensors. Rebuild where nvcc is on the "
      "PATH: pip install --force-reinstall --no-deps -C cmake.define.PINN_EXT_CUDA=ON .");
}

}  // namespace pinn
