// The Navier-Stokes residual on the GPU: one thread per point.
//
// A warp reads 32 rows of dim + 1 numbers, which are adjacent: every byte of the touched lines is used.
#include "core/cuda_launch.h"
#include "navier_stokes/residual.h"
#include "navier_stokes/residual_point.h"

namespace pinn {
namespace {

using std::int64_t;

template <int dim, typename T>
__device__ FlowJet<dim, T> load_jet(const T* jet, int64_t i, const ResidualSize& size) {
  FlowJet<dim, T> q;
  for (int c = 0; c < dim; ++c) q.rate[c] = T(0);
  for_each_entry(q, size.time_stream, size.steady,
                 [&](int stream, int column, T& entry) { entry = jet[(stream * size.n + i) * (dim + 1) + column]; });
  return q;
}

template <int dim, typename T>
void residual(const NavierStokesResidual<T>& a, Stream stream) {
  for_each("navier_stokes_residual", a.size.n, stream, [a] __device__(int64_t i) {
    T force[dim], r[dim + 1];
    for (int c = 0; c < dim; ++c)
      force[c] = a.forcing == nullptr ? T(0) : a.forcing[(a.size.force_per_point ? i * dim : 0) + c];
    residual_point<dim>(load_jet<dim>(a.jet, i, a.size), a.nu[a.size.nu_per_point ? i : 0], force, r);
    for (int c = 0; c <= dim; ++c) a.out[i * (dim + 1) + c] = r[c];
  });
}

template <int dim, typename T>
void residual_backward(const NavierStokesResidualBackward<T>& a, Stream stream) {
  for_each("navier_stokes_residual_backward", a.size.n, stream, [a] __device__(int64_t i) {
    constexpr int row = dim + 1;
    T v[row];
    for (int c = 0; c < row; ++c) v[c] = a.v_out[i * row + c];
    FlowJet<dim, T> v_q;
    const T v_nu =
        residual_backward_point<dim>(load_jet<dim>(a.jet, i, a.size), a.nu[a.size.nu_per_point ? i : 0], v, v_q);
    const int streams = (a.size.time_stream ? 2 : 1) + row;
    for (int s = 0; s < streams; ++s)  // what the residual does not read has no cotangent
      for (int c = 0; c < row; ++c) a.v_jet[(s * a.size.n + i) * row + c] = T(0);
    for_each_entry(v_q, a.size.time_stream, a.size.steady,
                   [&](int s, int c, T& entry) { a.v_jet[(s * a.size.n + i) * row + c] = entry; });
    if (a.v_nu != nullptr) a.v_nu[i] = v_nu;
  });
}

}  // namespace

template <typename T>
void run_on_cuda(const NavierStokesResidual<T>& a, Stream stream) {
  a.size.dim == 2 ? residual<2>(a, stream) : residual<3>(a, stream);
}

template <typename T>
void run_on_cuda(const NavierStokesResidualBackward<T>& a, Stream stream) {
  a.size.dim == 2 ? residual_backward<2>(a, stream) : residual_backward<3>(a, stream);
}

template void run_on_cuda(const NavierStokesResidual<float>&, Stream);
template void run_on_cuda(const NavierStokesResidual<double>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<float>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<double>&, Stream);

}  // namespace pinn
