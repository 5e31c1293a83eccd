// Selection as Python sees it: pivoted QR, sketches of rows, and, on the CPU alone, Gram matrices and sums of rows.
#include <algorithm>

#include "bindings/register.h"
#include "selection/gram.h"
#include "selection/pivoted_qr.h"
#include "selection/sketch.h"

namespace pinn {
namespace {

using std::int64_t;

template <typename T>
void* pivot_workspace(const Array& bytes, Handle stream, const PivotSize& size) {
  if constexpr (kHasCuda)
    if (stream) return pointer<void>("workspace", bytes, cuda_pivot_workspace_bytes(size, sizeof(T) == sizeof(double)));
  return nullptr;
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

  define(m, "pivoted_qr",
         {"size", "a", "weight", "cost", "forbidden", "forced", "position", "region", "quota", "pivot", "r_diagonal",
          "report", "workspace"},
         [](bool float64, Handle stream, const PivotSize& size, const Array& a, const Array& weight, const Array& cost,
            const Array& forbidden, const Array& forced, const Array& position, const Array& region, const Array& quota,
            const Array& pivot, const Array& r_diagonal, const Array& report, const Array& workspace) {
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             PivotedQr<T> op{};
             op.a = pointer<T>("a", a, size.r * size.n * size.c);
             op.weight = optional_pointer<T>("weight", weight, size.n);
             op.cost = optional_pointer<T>("cost", cost, size.n);
             op.forbidden = optional_pointer<std::uint8_t>("forbidden", forbidden, size.n);
             op.forced = pointer<int64_t>("forced", forced, size.num_forced);
             op.position = optional_pointer<double>("position", position, size.n * size.d);
             op.region = optional_pointer<int64_t>("region", region, size.n);
             op.quota = optional_pointer<int64_t>("quota", quota, size.num_regions);
             op.pivot = pointer<int64_t>("pivot", pivot, size.k);
             op.r_diagonal = pointer<double>("r_diagonal", r_diagonal, size.k);
             op.report = pointer<int64_t>("report", report, kPivotReport);
             op.size = size;
             op.workspace = pivot_workspace<T>(workspace, stream, size);
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

  define(m, "sketch_rows",
         {"a", "out", "workspace", "kind", "seed", "num_rows", "r", "n", "stride", "row_offset", "accumulate"},
         [](bool float64, Handle stream, const Array& a, const Array& out, const Array& workspace, SketchKind kind,
            std::uint64_t seed, int64_t l, int64_t r, int64_t n, int64_t stride, int64_t row_offset, bool accumulate) {
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return SketchRows<T>{pointer<T>("a", a, r * n),
                                  pointer<T>("out", out, l * n),
                                  stream ? pointer<T>("workspace", workspace, std::min(r, kSketchChunk) * l) : nullptr,
                                  {kind, seed, l},
                                  r,
                                  n,
                                  stride,
                                  row_offset,
                                  accumulate};
           });
         });
}

void register_gram(py::module_& m) {
  define(m, "row_gram", {"a", "gram", "mean", "along_mean", "mean_square", "r", "n", "stride", "in_double"},
         [](bool float64, Handle, const Array& a, const Array& gram, const Array& mean, const Array& along_mean,
            const Array& mean_square, int64_t r, int64_t n, int64_t stride, bool in_double) {
           run_on_this_cpu(float64, [&](auto t) {
             using T = decltype(t);
             return RowGram<T>{pointer<T>("a", a, r * n),
                               pointer<double>("gram", gram, r * r),
                               pointer<T>("mean", mean, n),
                               pointer<double>("along_mean", along_mean, r),
                               pointer<double>("mean_square", mean_square, 1),
                               r,
                               n,
                               stride,
                               in_double};
           });
         });
  define(m, "project_rows", {"a", "rotation", "mean", "out", "num_out", "r", "n", "stride"},
         [](bool float64, Handle, const Array& a, const Array& rotation, const Array& mean, const Array& out, int64_t l,
            int64_t r, int64_t n, int64_t stride) {
           run_on_this_cpu(float64, [&](auto t) {
             using T = decltype(t);
             return ProjectRows<T>{pointer<T>("a", a, r * n),
                                   pointer<T>("rotation", rotation, l * r),
                                   optional_pointer<T>("mean", mean, n),
                                   pointer<T>("out", out, l * n),
                                   l,
                                   r,
                                   n,
                                   stride};
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
