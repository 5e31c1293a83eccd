// The Navier-Stokes residual as Python sees it: addresses and sizes to operations.
#include "bindings/register.h"
#include "navier_stokes/residual.h"

namespace pinn {

void register_navier_stokes(py::module_& m) {
  py::class_<ResidualSize>(m, "ResidualSize")
      .def(
          py::init([](std::int64_t n, int dim, bool time_stream, bool steady, bool nu_per_point, bool force_per_point) {
            return ResidualSize{n, dim, time_stream, steady, nu_per_point, force_per_point};
          }),
          py::arg("n"), py::arg("dim"), py::arg("time_stream"), py::arg("steady"), py::arg("nu_per_point"),
          py::arg("force_per_point"));

  m.def("navier_stokes_residual", [](bool float64, Handle stream, Address jet, Address nu, Address forcing, Address out,
                                     const ResidualSize& size) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return NavierStokesResidual<T>{pointer<T>(jet), pointer<T>(nu), pointer<T>(forcing), pointer<T>(out), size};
    });
  });
  m.def("navier_stokes_residual_backward", [](bool float64, Handle stream, Address v_out, Address jet, Address nu,
                                              Address v_jet, Address v_nu, const ResidualSize& size) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return NavierStokesResidualBackward<T>{pointer<T>(v_out), pointer<T>(jet),  pointer<T>(nu),
                                             pointer<T>(v_jet), pointer<T>(v_nu), size};
    });
  });
}

}  // namespace pinn
