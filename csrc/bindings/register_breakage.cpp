// The breakage residual as Python sees it.
#include "bindings/register.h"
#include "equations/breakage_residual.h"

namespace pinn {
namespace {

using std::int64_t;

template <typename T>
BreakageGrid<T> grid_of(const Array& g, const Array& weight, const Array& scale, const Array& step,
                        const Array& log_tail, int64_t times, int64_t nodes) {
  if (nodes < 1) throw std::invalid_argument("nodes: expected at least 1, got " + std::to_string(nodes));
  return {pointer<T>("g", g, times * nodes),
          pointer<T>("weight", weight, nodes),
          pointer<T>("scale", scale, nodes),
          pointer<T>("step", step, nodes - 1),
          optional_pointer<T>("log_tail", log_tail, times),
          times,
          nodes};
}

}  // namespace

void register_breakage(py::module_& m) {
  define(
      m, "breakage_residual", {"g", "g_t", "rate", "weight", "scale", "step", "log_tail", "out", "times", "nodes"},
      [](bool float64, Handle stream, const Array& g, const Array& g_t, const Array& rate, const Array& weight,
         const Array& scale, const Array& step, const Array& log_tail, const Array& out, int64_t times, int64_t nodes) {
        run_typed(float64, stream, [&](auto t) {
          using T = decltype(t);
          return BreakageResidual<T>{grid_of<T>(g, weight, scale, step, log_tail, times, nodes),
                                     pointer<T>("g_t", g_t, times * nodes), pointer<T>("rate", rate, nodes),
                                     pointer<T>("out", out, times * nodes)};
        });
      });
  define(m, "breakage_residual_backward",
         {"v_out", "g", "weight", "scale", "step", "log_tail", "v_g", "v_log_tail", "v_weight", "v_scale", "times",
          "nodes"},
         [](bool float64, Handle stream, const Array& v_out, const Array& g, const Array& weight, const Array& scale,
            const Array& step, const Array& log_tail, const Array& v_g, const Array& v_log_tail, const Array& v_weight,
            const Array& v_scale, int64_t times, int64_t nodes) {
           const int64_t size = times * nodes;
           run_typed(float64, stream, [&](auto t) {
             using T = decltype(t);
             return BreakageResidualBackward<T>{grid_of<T>(g, weight, scale, step, log_tail, times, nodes),
                                                pointer<T>("v_out", v_out, size),
                                                pointer<T>("v_g", v_g, size),
                                                optional_pointer<T>("v_log_tail", v_log_tail, times),
                                                optional_pointer<T>("v_weight", v_weight, size),
                                                v_weight ? pointer<T>("v_scale", v_scale, size) : nullptr};
           });
         });
}

}  // namespace pinn
