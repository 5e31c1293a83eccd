// Pivoted QR as Python sees it: addresses and sizes to a choice of columns.
#include <array>

#include "bindings/register.h"
#include "qr/qr.h"

namespace pinn {
namespace {

using std::int64_t;

// Addresses in the order of PivotedQr's pointers.
constexpr std::size_t kArrays = 11;

template <typename T>
PivotedQr<T> make_choice(const std::array<Address, kArrays>& arrays, const PivotSize& size, Address workspace) {
  PivotedQr<T> op{};
  op.a = pointer<T>(arrays[0]);
  op.weight = pointer<T>(arrays[1]);
  op.cost = pointer<T>(arrays[2]);
  op.forbidden = pointer<std::uint8_t>(arrays[3]);
  op.forced = pointer<int64_t>(arrays[4]);
  op.position = pointer<double>(arrays[5]);
  op.region = pointer<int64_t>(arrays[6]);
  op.quota = pointer<int64_t>(arrays[7]);
  op.pivot = pointer<int64_t>(arrays[8]);
  op.r_diagonal = pointer<double>(arrays[9]);
  op.report = pointer<int64_t>(arrays[10]);
  op.size = size;
  op.workspace = pointer<void>(workspace);
  return op;
}

}  // namespace

void register_qr(py::module_& m) {
  py::class_<PivotSize>(m, "PivotSize")
      .def(py::init([](int64_t r, int64_t n, int64_t c, int64_t k, int64_t num_forced, int64_t num_regions, int64_t d,
                       double min_distance, double tolerance) {
             return PivotSize{r, n, c, k, num_forced, num_regions, d, min_distance, tolerance};
           }),
           py::arg("r"), py::arg("n"), py::arg("c"), py::arg("k"), py::arg("num_forced"), py::arg("num_regions"),
           py::arg("d"), py::arg("min_distance"), py::arg("tolerance"));
  py::enum_<PivotStatus>(m, "PivotStatus")
      .value("ok", PivotStatus::ok)
      .value("not_finite", PivotStatus::not_finite)
      .value("too_small", PivotStatus::too_small)
      .value("exhausted", PivotStatus::exhausted);

  m.def("pivoted_qr", [](bool float64, Handle stream, const std::array<Address, kArrays>& arrays, Address workspace,
                         const PivotSize& size) {
    run_typed(float64, stream, [&](auto t) { return make_choice<decltype(t)>(arrays, size, workspace); });
  });
  m.def(
      "cuda_pivot_workspace_bytes",
      [](const PivotSize& size, bool float64) -> int64_t {
        if constexpr (kHasCuda) return cuda_pivot_workspace_bytes(size, float64);
        throw_no_cuda();
      },
      py::arg("size"), py::arg("float64"));
}

}  // namespace pinn
