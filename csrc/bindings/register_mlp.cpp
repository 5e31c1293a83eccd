// Whole networks as Python sees them: their shape, their jets, and the losses that run on them.
#include <algorithm>

#include "bindings/register.h"
#include "core/error.h"
#include "mlp/fused_plan.h"
#include "mlp/mlp.h"
#include "navier_stokes/loss.h"

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

// parameters: for each linear layer the address of its weight and of its bias.
template <typename T>
Mlp<T> make_mlp(Address x, Address B, const std::vector<Address>& parameters, const MlpShape& shape) {
  Mlp<T> mlp{};
  mlp.x = pointer<T>(x);
  mlp.B = pointer<T>(B);
  for (std::size_t l = 0; 2 * l + 1 < parameters.size(); ++l) {
    mlp.weight[l] = pointer<T>(parameters[2 * l]);
    mlp.bias[l] = pointer<T>(parameters[2 * l + 1]);
  }
  mlp.shape = shape;
  return mlp;
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

  m.def("mlp_jet", [](bool float64, Handle stream, Address x, Address B, const std::vector<Address>& parameters,
                      Address out, Address workspace, const MlpShape& shape) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      MlpJet<T> op{};
      op.mlp = make_mlp<T>(x, B, parameters, shape);
      op.out = pointer<T>(out);
      op.workspace = pointer<void>(workspace);
      return op;
    });
  });
  m.def("mlp_jet_backward",
        [](bool float64, Handle stream, Address v_out, Address x, Address B, const std::vector<Address>& parameters,
           Address gradient, Address workspace, const MlpShape& shape, bool want_B, std::int64_t parts) {
          run_typed(float64, stream, [&](auto t) {
            using T = decltype(t);
            MlpJetBackward<T> op{};
            op.mlp = make_mlp<T>(x, B, parameters, shape);
            op.v_out = pointer<T>(v_out);
            op.gradient = pointer<T>(gradient);
            op.want_B = want_B;
            op.sharing = {parts};
            op.workspace = pointer<void>(workspace);
            return op;
          });
        });
  m.def("navier_stokes_loss",
        [](bool float64, Handle stream, Address x, Address B, const std::vector<Address>& parameters, Address nu,
           Address forcing, Address term_weights, Address point_weights, double count, Address total, Address terms,
           Address residual, Address gradient, Address workspace, const MlpShape& shape, const ResidualSize& size,
           bool want_B, bool want_nu, std::int64_t parts) {
          run_typed(float64, stream, [&](auto t) {
            using T = decltype(t);
            NavierStokesLoss<T> op{};
            op.mlp = make_mlp<T>(x, B, parameters, shape);
            op.nu = pointer<T>(nu);
            op.forcing = pointer<T>(forcing);
            op.term_weights = pointer<T>(term_weights);
            op.point_weights = pointer<T>(point_weights);
            op.count = count;
            op.total = pointer<T>(total);
            op.terms = pointer<T>(terms);
            op.residual = pointer<T>(residual);
            op.gradient = pointer<T>(gradient);
            op.want_B = want_B;
            op.want_nu = want_nu;
            op.size = size;
            op.sharing = {parts};
            op.workspace = pointer<void>(workspace);
            return op;
          });
        });
  m.def(
      "cuda_fused_serves",
      [](const MlpShape& shape, bool float64) {
        if constexpr (kHasCuda) return cuda_fused_serves(shape, float64);
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
