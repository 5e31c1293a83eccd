// The Navier-Stokes residual on the CPU: points in vectors, gathered from the jet's rows of dim + 1 numbers.
#include "core/parallel.h"
#include "core/per_point_cpu.h"
#include "equations/navier_stokes_residual.h"

namespace pinn {
namespace {

using std::int64_t;

template <typename V, int dim, typename T, template <int, typename> class Op>
PINN_INLINE FlowJet<dim, V> load_jet(const Op<dim, T>& a, int64_t i, int64_t left) {
  FlowJet<dim, V> q{};
  a.equation.for_each_entry(q, a.streams, [&](int stream, int column, V& entry) {
    entry = V::gather(a.jet + (stream * a.n + i) * (dim + 1) + column, dim + 1, left);
  });
  return q;
}

template <typename V, int dim, typename T>
PINN_INLINE auto load_coefficients(const NavierStokes<dim, T>& equation, int64_t i, int64_t left) {
  return equation.template coefficients<V>(
      [&](const PerPoint<T>& a, int column) { return load_coefficient<V>(a, column, i, left); });
}

}  // namespace

template <Isa isa, int dim, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidual<dim, T>& a) {
  using V = Vec<isa, T>;
  constexpr int64_t row = dim + 1;
  parallel_over(Chunks(a.n), (dim + 2) * row * a.n, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += V::size) {
      V residual[row];
      a.equation.point(load_jet<V>(a, i, end - i), load_coefficients<V>(a.equation, i, end - i), residual);
      for (int c = 0; c < row; ++c) residual[c].scatter(a.out + i * row + c, row, end - i);
    }
  });
}

template <Isa isa, int dim, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidualBackward<dim, T>& a) {
  using V = Vec<isa, T>;
  constexpr int64_t row = dim + 1;
  const int64_t streams = a.streams.count();
  parallel_over(Chunks(a.n), streams * row * a.n, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t stream = 0; stream < streams; ++stream)  // what the residual does not read has no cotangent
      for (int64_t e = begin * row; e < end * row; ++e) a.v_jet[stream * a.n * row + e] = T(0);
    for (int64_t i = begin; i < end; i += V::size) {
      const int64_t left = end - i;
      V v[row], v_nu[1];
      for (int c = 0; c < row; ++c) v[c] = V::gather(a.v_out + i * row + c, row, left);
      FlowJet<dim, V> v_q;
      a.equation.backward_point(load_jet<V>(a, i, left), load_coefficients<V>(a.equation, i, left), v, v_q, v_nu);
      a.equation.for_each_entry(v_q, a.streams, [&](int stream, int column, V& entry) {
        entry.scatter(a.v_jet + (stream * a.n + i) * row + column, row, left);
      });
      if (a.v_nu != nullptr) v_nu[0].store(a.v_nu + i, left);
    }
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidual<2, float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidual<2, double>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidual<3, float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidual<3, double>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidualBackward<2, float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidualBackward<2, double>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidualBackward<3, float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidualBackward<3, double>&);

}  // namespace pinn
