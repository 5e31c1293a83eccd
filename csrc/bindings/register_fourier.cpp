// The Fourier features as Python sees them: addresses and sizes to operations.
#include "bindings/register.h"
#include "jets/fourier.h"

namespace pinn {

using std::int64_t;

void register_fourier(py::module_& m) {
  m.def("fourier_features",
        [](bool float64, Handle stream, Address x, Address B, Address out, int64_t n, int64_t d, int64_t num) {
          run_typed(float64, stream, [&](auto t) {
            using T = decltype(t);
            return FourierFeatures<T>{pointer<T>(x), pointer<T>(B), pointer<T>(out), {n, d, num}};
          });
        });
  m.def("fourier_features_backward", [](bool float64, Handle stream, Address v_out, Address x, Address B, Address v_x,
                                        Address partials, int64_t n, int64_t d, int64_t num) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return FourierFeaturesBackward<T>{pointer<T>(v_out), pointer<T>(x),        pointer<T>(B),
                                        pointer<T>(v_x),   pointer<T>(partials), {n, d, num}};
    });
  });
  m.def("fourier_features_second_order",
        [](bool float64, Handle stream, Address g_x, Address g_B, Address v_out, Address x, Address B, Address gg_v_out,
           Address gg_x, Address partials, int64_t n, int64_t d, int64_t num) {
          run_typed(float64, stream, [&](auto t) {
            using T = decltype(t);
            return FourierFeaturesSecondOrder<T>{pointer<T>(g_x),  pointer<T>(g_B),      pointer<T>(v_out),
                                                 pointer<T>(x),    pointer<T>(B),        pointer<T>(gg_v_out),
                                                 pointer<T>(gg_x), pointer<T>(partials), {n, d, num}};
          });
        });
  m.def("fourier_jet", [](bool float64, Handle stream, Address x, Address B, Address out, int64_t n, int64_t d,
                          int64_t num, const JetStreams& streams) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return FourierJet<T>{pointer<T>(x), pointer<T>(B), pointer<T>(out), {n, d, num}, streams};
    });
  });
  m.def("fourier_jet_backward", [](bool float64, Handle stream, Address v_out, Address x, Address B, Address v_x,
                                   Address partials, int64_t n, int64_t d, int64_t num, const JetStreams& streams) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return FourierJetBackward<T>{pointer<T>(v_out),    pointer<T>(x), pointer<T>(B), pointer<T>(v_x),
                                   pointer<T>(partials), {n, d, num},   streams};
    });
  });
}

}  // namespace pinn
