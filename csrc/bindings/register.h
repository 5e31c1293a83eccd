// The parts of the module, and how an operation is called from Python:
//   name(float64, stream, arrays..., sizes...)   stream None: CPU; else the handle of the current CUDA stream.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <map>
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
void register_mlp(py::module_& m);
void register_selection(py::module_& m);

template <typename T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

// The address of an array that has to have `size` numbers; else std::invalid_argument, a ValueError of Python.
template <typename T>
T* pointer(const std::string& name, const Array& array, std::int64_t size) {
  if (!array || array->second != size)
    throw std::invalid_argument(name + ": expected " + std::to_string(size) + " numbers, got " +
                                (array ? std::to_string(array->second) : "none"));
  return pointer<T>(array->first);
}

// The same for an array that may be None: null.
template <typename T>
T* optional_pointer(const std::string& name, const Array& array, std::int64_t size) {
  return array ? pointer<T>(name, array, size) : nullptr;
}

// Arrays by name; address 0: not given.
using Arrays = std::map<std::string, std::pair<Address, std::int64_t>>;

// The numbers of an array that is not given, or has `count` of them. Throws std::invalid_argument: another count, or no
// such name.
template <typename T>
T* numbers_or_null(const Arrays& arrays, const std::string& name, std::int64_t count) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) throw std::invalid_argument(name + ": expected an array of this name, got none");
  return found->second.first == 0 ? nullptr : pointer<T>(name, found->second, count);
}

// The same where it has to be given, unless it has no numbers.
template <typename T>
T* numbers(const Arrays& arrays, const std::string& name, std::int64_t count) {
  T* const result = numbers_or_null<T>(arrays, name, count);
  if (result == nullptr && count != 0) throw std::invalid_argument(name + ": expected an array, got none");
  return result;
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
