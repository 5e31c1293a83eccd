// Whole networks as Python sees them: their shape and their jets.
#include <algorithm>

#include "bindings/network.h"
#include "core/error.h"
#include "mlp/fused_plan.h"
#include "mlp/normal_matrix.h"

namespace pinn {
namespace {

MlpShape make_shape(std::int64_t n, std::int64_t d, std::int64_t m, const std::vector<std::int64_t>& widths,
                    const JetStreams& streams, Activation activation) {
  if (widths.size() < 2 || widths.size() > kMaxLinearLayers + 1)
    throw Error("MlpShape: expected 2 to " + std::to_string(kMaxLinearLayers + 1) + " widths, got " +
                std::to_string(widths.size()));
  MlpShape shape{};
  shape.n = n;
  shape.d = d;
  shape.m = m;
  shape.num_linear = static_cast<int>(widths.size()) - 1;
  std::copy(widths.begin(), widths.end(), shape.width);
  shape.streams = streams;
  shape.activation = activation;
  return shape;
}

}  // namespace

void register_mlp(py::module_& m) {
  m.attr("MAX_LINEAR_LAYERS") = kMaxLinearLayers;
  // What the fused CUDA kernels take.
  m.attr("MAX_FUSED_WIDTH") = fused_cuda::kMaxWidth;
  m.attr("MAX_FUSED_OUTPUTS") = fused_cuda::kMaxOutputs;
  m.attr("MAX_FUSED_STREAMS") = fused_cuda::kMaxStreams;
  py::class_<MlpShape>(m, "MlpShape")
      .def(py::init(&make_shape), py::arg("n"), py::arg("d"), py::arg("m"), py::arg("widths"), py::arg("streams"),
           py::arg("activation"));

  py::class_<Network>(m, "Network")
      .def(py::init<Array, Array, std::vector<Array>, const MlpShape&>(), py::arg("x"), py::arg("B"),
           py::arg("parameters"), py::arg("shape"));

  define(m, "mlp_jet", {"network", "out", "workspace"},
         [](bool float64, Handle stream, const Network& network, const Array& out, const Array& workspace) {
           const MlpShape& shape = network.shape;
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             MlpJet<T> op{};
             op.mlp = network.mlp<T>();
             op.out = pointer<T>("out", out, shape.streams.count() * shape.n * shape.outputs());
             op.workspace = network.workspace(workspace, stream, false, false);
             return op;
           });
         });
  define(m, "mlp_jet_backward", {"network", "v_out", "gradient", "workspace", "want_B", "parts"},
         [](bool float64, Handle stream, const Network& network, const Array& v_out, const Array& gradient,
            const Array& workspace, bool want_B, std::int64_t parts) {
           const MlpShape& shape = network.shape;
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             MlpJetBackward<T> op{};
             op.mlp = network.mlp<T>();
             op.v_out = pointer<T>("v_out", v_out, shape.streams.count() * shape.n * shape.outputs());
             op.gradient = pointer<T>("gradient", gradient, network.gradient_size(want_B));
             op.want_B = want_B;
             op.partition = {parts};
             op.workspace = network.workspace(workspace, stream, true, want_B);
             return op;
           });
         });
  define(
      m, "mlp_jacobian", {"network", "v_out", "rows", "columns", "stride"},
      [](bool float64, Handle, const Network& network, const Array& v_out, const Array& rows, std::int64_t columns,
         std::int64_t stride) {
        const MlpShape& shape = network.shape;
        if (stride < shape.num_parameters())
          throw std::invalid_argument("stride: expected at least " + std::to_string(shape.num_parameters()) +
                                      " numbers, got " + std::to_string(stride));
        run_on_this_cpu(float64, [&](auto t) {
          using T = decltype(t);
          return MlpJacobian<T>{
              network.mlp<T>(), pointer<T>("v_out", v_out, columns * shape.streams.count() * shape.n * shape.outputs()),
              columns,          pointer<T>("rows", rows, shape.n * columns * stride),
              stride,           {}};
        });
      });
  define(m, "normal_matrix", {"a", "out", "rows", "p", "row_stride", "column_stride", "in_single", "accumulate"},
         [](bool float64, Handle, const Array& a, const Array& out, std::int64_t rows, std::int64_t p,
            std::int64_t row_stride, std::int64_t column_stride, bool in_single, bool accumulate) {
           run_on_this_cpu(float64, [&](auto t) {
             using T = decltype(t);
             return NormalMatrix<T>{pointer<T>("a", a, rows * p),
                                    pointer<double>("out", out, p * p),
                                    rows,
                                    p,
                                    row_stride,
                                    column_stride,
                                    in_single,
                                    accumulate};
           });
         });
  m.def(
      "cuda_fused_supports",
      [](const MlpShape& shape, bool float64) {
        if constexpr (kHasCuda) return cuda_fused_supports(shape, float64);
        return false;
      },
      py::arg("shape"), py::arg("float64"));
  m.def(
      "cuda_workspace_bytes",
      [](const MlpShape& shape, bool gradient, bool want_B) -> std::int64_t {
        if constexpr (kHasCuda) return cuda_workspace_bytes(shape, gradient, want_B);
        throw_no_cuda();
      },
      py::arg("shape"), py::arg("gradient"), py::arg("want_B"));
}

}  // namespace pinn
