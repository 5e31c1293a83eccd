// The parts of the module, and how an operation is called from Python:
//   name(float64, stream, addresses..., sizes...)   stream None: CPU; else the handle of the current CUDA stream.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>

#include "core/run.h"

namespace pinn {

namespace py = pybind11;

using Address = std::uintptr_t;
using Handle = std::optional<std::uintptr_t>;

void register_build_info(py::module_& m);
void register_jet(py::module_& m);
void register_fourier(py::module_& m);
void register_navier_stokes(py::module_& m);
void register_mlp(py::module_& m);
void register_qr(py::module_& m);
void register_sketch(py::module_& m);
void register_gram(py::module_& m);
void register_tensor_reader(py::module_& m);

template <typename T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

// Builds the operation for the dtype, make(T{}) -> Op<T>, and runs it without holding the interpreter.
template <typename Make>
void run_typed(bool float64, Handle handle, Make&& make) {
  std::optional<Stream> stream;
  if (handle) stream = pointer<void>(*handle);
  py::gil_scoped_release release;
  if (float64)
    run(make(double{}), stream);
  else
    run(make(float{}), stream);
}

}  // namespace pinn
