// The Fourier features as Python sees them.
#include "bindings/register.h"
#include "core/parallel.h"
#include "jets/fourier.h"

namespace pinn {
namespace {

using std::int64_t;

// Numbers of the sums of a gradient of B [d, m], one for each chunk of points.
int64_t num_partials(const FourierSize& size) { return Chunks(size.n).count * size.d * size.m; }

void register_features(py::module_& m) {
  define(
      m, "fourier_features", {"x", "B", "out", "n", "d", "m"},
      [](bool float64, Handle stream, const Array& x, const Array& B, const Array& out, int64_t n, int64_t d,
         int64_t num) {
        run_typed(float64, stream, [&](auto t) {
          using T = decltype(t);
          return FourierFeatures<T>{
              pointer<T>("x", x, n * d), pointer<T>("B", B, d * num), pointer<T>("out", out, n * 2 * num), {n, d, num}};
        });
      });
  define(m, "fourier_features_backward", {"v_out", "x", "B", "v_x", "partials", "n", "d", "m"},
         [](bool float64, Handle stream, const Array& v_out, const Array& x, const Array& B, const Array& v_x,
            const Array& partials, int64_t n, int64_t d, int64_t num) {
           const FourierSize size{n, d, num};
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return FourierFeaturesBackward<T>{pointer<T>("v_out", v_out, n * 2 * num),
                                               pointer<T>("x", x, n * d),
                                               pointer<T>("B", B, d * num),
                                               pointer<T>("v_x", v_x, n * d),
                                               pointer<T>("partials", partials, num_partials(size)),
                                               size};
           });
         });
  define(m, "fourier_features_second_order",
         {"g_x", "g_B", "v_out", "x", "B", "gg_v_out", "gg_x", "partials", "n", "d", "m"},
         [](bool float64, Handle stream, const Array& g_x, const Array& g_B, const Array& v_out, const Array& x,
            const Array& B, const Array& gg_v_out, const Array& gg_x, const Array& partials, int64_t n, int64_t d,
            int64_t num) {
           const FourierSize size{n, d, num};
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return FourierFeaturesSecondOrder<T>{pointer<T>("g_x", g_x, n * d),
                                                  pointer<T>("g_B", g_B, d * num),
                                                  pointer<T>("v_out", v_out, n * 2 * num),
                                                  pointer<T>("x", x, n * d),
                                                  pointer<T>("B", B, d * num),
                                                  pointer<T>("gg_v_out", gg_v_out, n * 2 * num),
                                                  pointer<T>("gg_x", gg_x, n * d),
                                                  pointer<T>("partials", partials, num_partials(size)),
                                                  size};
           });
         });
}

}  // namespace

void register_fourier(py::module_& m) {
  register_features(m);
  define(m, "fourier_jet", {"x", "B", "out", "n", "d", "m", "streams"},
         [](bool float64, Handle stream, const Array& x, const Array& B, const Array& out, int64_t n, int64_t d,
            int64_t num, const JetStreams& streams) {
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return FourierJet<T>{pointer<T>("x", x, n * d),
                                  pointer<T>("B", B, d * num),
                                  pointer<T>("out", out, streams.count() * n * 2 * num),
                                  {n, d, num},
                                  streams};
           });
         });
  define(m, "fourier_jet_backward", {"v_out", "x", "B", "v_x", "partials", "n", "d", "m", "streams"},
         [](bool float64, Handle stream, const Array& v_out, const Array& x, const Array& B, const Array& v_x,
            const Array& partials, int64_t n, int64_t d, int64_t num, const JetStreams& streams) {
           const FourierSize size{n, d, num};
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return FourierJetBackward<T>{pointer<T>("v_out", v_out, streams.count() * n * 2 * num),
                                          pointer<T>("x", x, n * d),
                                          pointer<T>("B", B, d * num),
                                          optional_pointer<T>("v_x", v_x, n * d),
                                          pointer<T>("partials", partials, num_partials(size)),
                                          size,
                                          streams};
           });
         });
}

}  // namespace pinn
