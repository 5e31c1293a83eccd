// Gram matrices and sums of rows as Python sees them; on the CPU alone.
#include "bindings/register.h"
#include "gram/gram.h"

namespace pinn {
namespace {

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

}  // namespace

void register_gram(py::module_& m) {
  m.def("row_gram", [](bool float64, Address a, Address gram, Address mean, Address along_mean, Address mean_square,
                       std::int64_t r, std::int64_t n, std::int64_t stride, bool in_double) {
    run_on_this_cpu(float64, [&](auto t) {
      using T = decltype(t);
      return RowGram<T>{pointer<T>(a),
                        pointer<double>(gram),
                        pointer<T>(mean),
                        pointer<double>(along_mean),
                        pointer<double>(mean_square),
                        r,
                        n,
                        stride,
                        in_double};
    });
  });
  m.def("project_rows", [](bool float64, Address a, Address rotation, Address mean, Address out, std::int64_t l,
                           std::int64_t r, std::int64_t n, std::int64_t stride) {
    run_on_this_cpu(float64, [&](auto t) {
      using T = decltype(t);
      return ProjectRows<T>{pointer<T>(a), pointer<T>(rotation), pointer<T>(mean), pointer<T>(out), l, r, n, stride};
    });
  });
}

}  // namespace pinn
