// The parts of the module, and how an operation is called from Python:
//   name(float64, stream, *, name=array, ..., name=size, ...)
// stream None: CPU; else the handle of the current CUDA stream. Every array comes with its length.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/run.h"

namespace pinn {

namespace py = pybind11;

using Address = std::uintptr_t;
using Handle = std::optional<std::uintptr_t>;
// The address of an array and how many numbers it has; None: not given, or not wanted.
using Array = std::optional<std::pair<Address, std::int64_t>>;

void register_build_info(py::module_& m);
void register_jet(py::module_& m);
void register_fourier(py::module_& m);
void register_navier_stokes(py::module_& m);
void register_breakage(py::module_& m);
void register_mlp(py::module_& m);
void register_selection(py::module_& m);

// The address of an array that has to have `size` numbers; else std::invalid_argument, a ValueError of Python.
template <typename T>
T* pointer(const std::string& name, const Array& array, std::int64_t size) {
  if (!array || array->second != size)
    throw std::invalid_argument(name + ": expected " + std::to_string(size) + " numbers, got " +
                                (array ? std::to_string(array->second) : "none"));
  return reinterpret_cast<T*>(array->first);
}

// The same for an array that may be None: null.
template <typename T>
T* optional_pointer(const std::string& name, const Array& array, std::int64_t size) {
  return array ? pointer<T>(name, array, size) : nullptr;
}

template <typename F, std::size_t... I>
void define(py::module_& m, const char* name, const char* const* arguments, F&& f, std::index_sequence<I...>) {
  m.def(name, std::forward<F>(f), py::arg("float64"), py::arg("stream"), py::kw_only(), py::arg(arguments[I])...);
}

// An operation, f(float64, stream, arguments by these names).
template <std::size_t num, typename F>
void define(py::module_& m, const char* name, const char* const (&arguments)[num], F&& f) {
  define(m, name, arguments, std::forward<F>(f), std::make_index_sequence<num>{});
}

// Builds the operation for the dtype, make(T{}) -> Op<T>, and runs it without holding the interpreter.
template <typename Make>
void run_typed(bool float64, Handle handle, Make&& make) {
  std::optional<Stream> stream;
  if (handle) stream = reinterpret_cast<void*>(*handle);
  py::gil_scoped_release release;
  if (float64)
    run(make(double{}), stream);
  else
    run(make(float{}), stream);
}

// As run_typed, without a stream: there are no kernels for CUDA.
template <typename Make>
void run_on_this_cpu(bool float64, Make&& make) {
  py::gil_scoped_release release;
  with_active_isa([&](auto isa) {
    if (float64)
      run_on_cpu(isa, make(double{}));
    else
      run_on_cpu(isa, make(float{}));
  });
}

}  // namespace pinn
