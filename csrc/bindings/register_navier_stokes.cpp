// The Navier-Stokes residual and loss as Python sees them.
#include "bindings/network.h"
#include "equations/navier_stokes_residual.h"
#include "mlp/mean_square.h"

namespace pinn {
namespace {

using std::int64_t;

// f(dim as a constant) for the number of outputs, u, v[, w], p.
template <typename F>
void with_dim(int64_t outputs, const F& f) {
  if (outputs == 3) return f(std::integral_constant<int, 2>{});
  if (outputs == 4) return f(std::integral_constant<int, 3>{});
  throw std::invalid_argument("outputs: expected 3 or 4, got " + std::to_string(outputs));
}

// One number in each column for all points, or for each of n points.
template <typename T>
PerPoint<T> coefficient(const char* name, const Array& array, int columns, int64_t n) {
  const bool per_point = array && array->second != columns;
  return {optional_pointer<T>(name, array, per_point ? n * columns : columns), columns, per_point};
}

template <int dim, typename T>
NavierStokes<dim, T> equation(const Array& nu, const Array& forcing, int64_t n, bool steady) {
  return {coefficient<T>("nu", nu, 1, n), coefficient<T>("forcing", forcing, dim, n), steady};
}

// Of [d/dt,] d/dx, d/dy[, d/dz] and the Laplacian, in this order; all that a residual on a jet looks at.
JetStreams streams_of(int dim, bool time) {
  JetStreams streams{};
  streams.num_first = dim + time;
  streams.has_laplacian = true;
  return streams;
}

template <int dim, typename T>
MeanSquare<NavierStokes<dim, T>> make_loss(const Network& network, const Array& nu, const Array& forcing, bool steady) {
  MeanSquare<NavierStokes<dim, T>> op{};
  op.mlp = network.mlp<T>();
  op.equation = equation<dim, T>(nu, forcing, network.shape.n, steady);
  return op;
}

}  // namespace

void register_navier_stokes(py::module_& m) {
  define(m, "navier_stokes_residual", {"jet", "nu", "forcing", "out", "n", "outputs", "time_stream", "steady"},
         [](bool float64, Handle stream, const Array& jet, const Array& nu, const Array& forcing, const Array& out,
            int64_t n, int64_t outputs, bool time_stream, bool steady) {
           with_dim(outputs, [&](auto dim_constant) {
             constexpr int dim = decltype(dim_constant)::value;
             const JetStreams streams = streams_of(dim, time_stream);
             run_typed(float64, stream, [&](auto t) {
               using T = decltype(t);
               return NavierStokesResidual<dim, T>{pointer<T>("jet", jet, streams.count() * n * outputs),
                                                   equation<dim, T>(nu, forcing, n, steady),
                                                   pointer<T>("out", out, n * outputs), n, streams};
             });
           });
         });
  define(m, "navier_stokes_residual_backward",
         {"v_out", "jet", "nu", "v_jet", "v_nu", "n", "outputs", "time_stream", "steady"},
         [](bool float64, Handle stream, const Array& v_out, const Array& jet, const Array& nu, const Array& v_jet,
            const Array& v_nu, int64_t n, int64_t outputs, bool time_stream, bool steady) {
           with_dim(outputs, [&](auto dim_constant) {
             constexpr int dim = decltype(dim_constant)::value;
             const JetStreams streams = streams_of(dim, time_stream);
             const int64_t size = streams.count() * n * outputs;
             run_typed(float64, stream, [&](auto t) {
               using T = decltype(t);
               return NavierStokesResidualBackward<dim, T>{pointer<T>("v_out", v_out, n * outputs),
                                                           pointer<T>("jet", jet, size),
                                                           equation<dim, T>(nu, {}, n, steady),
                                                           pointer<T>("v_jet", v_jet, size),
                                                           optional_pointer<T>("v_nu", v_nu, n),
                                                           n,
                                                           streams};
             });
           });
         });
  define(m, "navier_stokes_loss",
         {"network", "nu", "forcing", "base", "steady", "term_weights", "point_weights", "count", "total", "terms",
          "residual", "gradient", "workspace", "want_B", "want_nu", "parts"},
         [](bool float64, Handle stream, const Network& network, const Array& nu, const Array& forcing,
            const Array& base, bool steady, const Array& term_weights, const Array& point_weights, double count,
            const Array& total, const Array& terms, const Array& residual, const Array& gradient,
            const Array& workspace, bool want_B, bool want_nu, int64_t parts) {
           const int64_t n = network.shape.n, outputs = network.shape.outputs();
           with_dim(outputs, [&](auto dim_constant) {
             constexpr int dim = decltype(dim_constant)::value;
             run_typed(float64, stream, [&](auto t) {
               using T = decltype(t);
               auto op = make_loss<dim, T>(network, nu, forcing, steady);
               constexpr int columns = NavierStokes<dim, T>::kBaseColumns;
               op.equation.base = {optional_pointer<T>("base", base, n * columns), columns, true};
               op.term_weights = pointer<T>("term_weights", term_weights, outputs);
               op.point_weights = optional_pointer<T>("point_weights", point_weights, n);
               op.count = count;
               op.total = pointer<T>("total", total, 1);
               op.terms = pointer<T>("terms", terms, outputs);
               op.residual = optional_pointer<T>("residual", residual, n * outputs);
               op.gradient = optional_pointer<T>("gradient", gradient,
                                                 network.gradient_size(want_B) + (want_nu ? nu.value().second : 0));
               op.want_B = want_B;
               op.want_learned = want_nu;
               op.partition = {parts};
               op.workspace = network.workspace(workspace, stream, op.gradient != nullptr, want_B);
               return op;
             });
           });
         });
}

}  // namespace pinn
