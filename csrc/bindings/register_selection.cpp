// Selection as Python sees it: pivoted QR, sketches of rows, and, on the CPU alone, Gram matrices and sums of rows.
#include "bindings/register.h"
#include "selection/gram.h"
#include "selection/pivoted_qr.h"
#include "selection/sketch.h"

namespace pinn {
namespace {

using std::int64_t;

template <typename T>
PivotedQr<T> make_choice(const PivotSize& size, const Arrays& arrays) {
  PivotedQr<T> op{};
  op.a = numbers<T>(arrays, "a", size.r * size.n * size.c);
  op.weight = numbers_or_null<T>(arrays, "weight", size.n);
  op.cost = numbers_or_null<T>(arrays, "cost", size.n);
  op.forbidden = numbers_or_null<std::uint8_t>(arrays, "forbidden", size.n);
  op.forced = numbers<int64_t>(arrays, "forced", size.num_forced);
  op.position = numbers_or_null<double>(arrays, "position", size.n * size.d);
  op.region = numbers_or_null<int64_t>(arrays, "region", size.n);
  op.quota = numbers_or_null<int64_t>(arrays, "quota", size.num_regions);
  op.pivot = numbers<int64_t>(arrays, "pivot", size.k);
  op.r_diagonal = numbers<double>(arrays, "r_diagonal", size.k);
  op.report = numbers<int64_t>(arrays, "report", kPivotReport);
  op.size = size;
  return op;
}

void register_pivoted_qr(py::module_& m) {
  py::class_<PivotSize>(m, "PivotSize")
      .def(py::init([](int64_t r, int64_t n, int64_t c, int64_t k, int64_t num_forced, int64_t num_regions, int64_t d,
                       double min_distance, double tolerance) {
             return PivotSize{r, n, c, k, num_forced, num_regions, d, min_distance, tolerance};
           }),
           py::kw_only(), py::arg("r"), py::arg("n"), py::arg("c"), py::arg("k"), py::arg("num_forced"),
           py::arg("num_regions"), py::arg("d"), py::arg("min_distance"), py::arg("tolerance"));
  py::enum_<PivotStatus>(m, "PivotStatus")
      .value("ok", PivotStatus::ok)
      .value("not_finite", PivotStatus::not_finite)
      .value("too_small", PivotStatus::too_small)
      .value("exhausted", PivotStatus::exhausted);

  m.def("pivoted_qr", [](bool float64, Handle stream, const PivotSize& size, const Arrays& arrays, Address workspace) {
    run_typed(float64, stream, [&](auto t) {
      auto op = make_choice<decltype(t)>(size, arrays);
      op.workspace = pointer<void>(workspace);
      return op;
    });
  });
  m.def(
      "cuda_pivot_workspace_bytes",
      [](const PivotSize& size, bool float64) -> int64_t {
        if constexpr (kHasCuda) return cuda_pivot_workspace_bytes(size, float64);
        throw_no_cuda();
      },
      py::arg("size"), py::arg("float64"));
}

void register_sketch(py::module_& m) {
  py::enum_<SketchKind>(m, "SketchKind")
      .value("gaussian", SketchKind::gaussian)
      .value("sparse_sign", SketchKind::sparse_sign);
  m.attr("SKETCH_CHUNK") = kSketchChunk;

  m.def("sketch_rows", [](bool float64, Handle stream, Address a, Address out, Address workspace, SketchKind kind,
                          std::uint64_t seed, std::int64_t l, std::int64_t r, std::int64_t n, std::int64_t stride,
                          std::int64_t row_offset, bool accumulate) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return SketchRows<T>{pointer<T>(a), pointer<T>(out), pointer<T>(workspace), {kind, seed, l}, r, n, stride,
                           row_offset,    accumulate};
    });
  });
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

}  // namespace

void register_selection(py::module_& m) {
  register_pivoted_qr(m);
  register_sketch(m);
  register_gram(m);
}

}  // namespace pinn
