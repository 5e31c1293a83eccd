// Jets as Python sees them: the description of their streams, and activations.
#include "bindings/register.h"
#include "core/error.h"
#include "jets/activation.h"

namespace pinn {
namespace {

JetStreams make_streams(const std::vector<int>& first, const std::vector<double>& weights, bool has_laplacian) {
  if (first.size() > kMaxCoordinates || weights.size() != first.size())
    throw Error("JetStreams: expected at most " + std::to_string(kMaxCoordinates) +
                " first derivatives with one weight each, got " + std::to_string(first.size()) + " with " +
                std::to_string(weights.size()) + " weights");
  JetStreams streams{};
  streams.num_first = static_cast<int>(first.size());
  streams.has_laplacian = has_laplacian;
  for (std::size_t j = 0; j < first.size(); ++j) {
    streams.first[j] = first[j];
    streams.weight[j] = weights[j];
  }
  return streams;
}

}  // namespace

void register_jet(py::module_& m) {
  m.attr("MAX_COORDINATES") = kMaxCoordinates;
  py::class_<JetStreams>(m, "JetStreams")
      .def(py::init(&make_streams), py::arg("first"), py::arg("weights"), py::arg("has_laplacian"));
  py::enum_<Activation> activations(m, "Activation");
  for (int a = 0; a < kNumActivations; ++a) activations.value(kActivationNames[a], static_cast<Activation>(a));

  define(m, "activation_jet", {"z", "out", "count", "streams", "activation"},
         [](bool float64, Handle stream, const Array& z, const Array& out, std::int64_t count,
            const JetStreams& streams, Activation activation) {
           const std::int64_t size = streams.count() * count;
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return ActivationJet<T>{pointer<T>("z", z, size), pointer<T>("out", out, size), count, streams,
                                     activation};
           });
         });
  define(m, "activation_jet_backward", {"v_out", "z", "v_z", "count", "streams", "activation"},
         [](bool float64, Handle stream, const Array& v_out, const Array& z, const Array& v_z, std::int64_t count,
            const JetStreams& streams, Activation activation) {
           const std::int64_t size = streams.count() * count;
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return ActivationJetBackward<T>{pointer<T>("v_out", v_out, size),
                                             pointer<T>("z", z, size),
                                             pointer<T>("v_z", v_z, size),
                                             count,
                                             streams,
                                             activation};
           });
         });
}

}  // namespace pinn
