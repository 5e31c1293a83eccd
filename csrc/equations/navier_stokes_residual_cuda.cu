// The Navier-Stokes residual on the GPU: one thread per point.
//
// A warp reads 32 rows of dim + 1 numbers, which are adjacent: every byte of the touched lines is used.
#include "core/cuda_launch.h"
#include "equations/navier_stokes_residual.h"

namespace pinn {
namespace {

using std::int64_t;

template <int dim, typename T, template <int, typename> class Op>
__device__ FlowJet<dim, T> load_jet(const Op<dim, T>& a, int64_t i) {
  FlowJet<dim, T> q{};
  a.equation.for_each_entry(
      q, a.streams, [&](int stream, int column, T& entry) { entry = a.jet[(stream * a.n + i) * (dim + 1) + column]; });
  return q;
}

template <int dim, typename T>
__device__ auto load_coefficients(const NavierStokes<dim, T>& equation, int64_t i) {
  return equation.template coefficients<T>([&](const PerPoint<T>& a, int column) { return a.at(i, column); });
}

}  // namespace

template <int dim, typename T>
void run_on_cuda(const NavierStokesResidual<dim, T>& a, Stream stream) {
  for_each("navier_stokes_residual", a.n, stream, [a] __device__(int64_t i) {
    T r[dim + 1];
    a.equation.point(load_jet(a, i), load_coefficients(a.equation, i), r);
    for (int c = 0; c <= dim; ++c) a.out[i * (dim + 1) + c] = r[c];
  });
}

template <int dim, typename T>
void run_on_cuda(const NavierStokesResidualBackward<dim, T>& a, Stream stream) {
  for_each("navier_stokes_residual_backward", a.n, stream, [a] __device__(int64_t i) {
    constexpr int row = dim + 1;
    T v[row], v_nu[1];
    for (int c = 0; c < row; ++c) v[c] = a.v_out[i * row + c];
    FlowJet<dim, T> v_q;
    a.equation.backward_point(load_jet(a, i), load_coefficients(a.equation, i), v, v_q, v_nu);
    for (int s = 0; s < a.streams.count(); ++s)  // what the residual does not read has no cotangent
      for (int c = 0; c < row; ++c) a.v_jet[(s * a.n + i) * row + c] = T(0);
    a.equation.for_each_entry(v_q, a.streams,
                              [&](int s, int c, T& entry) { a.v_jet[(s * a.n + i) * row + c] = entry; });
    if (a.v_nu != nullptr) a.v_nu[i] = v_nu[0];
  });
}

template void run_on_cuda(const NavierStokesResidual<2, float>&, Stream);
template void run_on_cuda(const NavierStokesResidual<2, double>&, Stream);
template void run_on_cuda(const NavierStokesResidual<3, float>&, Stream);
template void run_on_cuda(const NavierStokesResidual<3, double>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<2, float>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<2, double>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<3, float>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<3, double>&, Stream);

}  // namespace pinn
