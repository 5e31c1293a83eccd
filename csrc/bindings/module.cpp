// The private module pinn_ext._core, in the order of the folders of csrc.
//
// Tensors arrive as addresses, and pinn_ext's Python functions have checked them; here only lengths are compared with
// sizes (Array in register.h).
#include "bindings/register.h"

PYBIND11_MODULE(_core, m) {
  pinn::register_build_info(m);
  pinn::register_jet(m);
  pinn::register_fourier(m);
  pinn::register_navier_stokes(m);
  pinn::register_breakage(m);
  pinn::register_mlp(m);
  pinn::register_selection(m);
}
