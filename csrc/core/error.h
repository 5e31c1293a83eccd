// The one exception of csrc. pybind11 turns it into a Python RuntimeError.
#pragma once

#include <stdexcept>

namespace pinn {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace pinn
