// The private module pinn_ext._core, in the order of the rooms of csrc.
//
// Nothing is checked here: tensors arrive as addresses, and pinn_ext's Python functions have checked them.
#include "bindings/register.h"

PYBIND11_MODULE(_core, m) {
  pinn::register_build_info(m);
  pinn::register_jet(m);
  pinn::register_fourier(m);
  pinn::register_navier_stokes(m);
  pinn::register_mlp(m);
  pinn::register_qr(m);
  pinn::register_sketch(m);
  pinn::register_gram(m);
  pinn::register_tensor_reader(m);
}
