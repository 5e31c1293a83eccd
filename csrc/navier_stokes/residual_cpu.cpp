// The Navier-Stokes residual on the CPU: points in vectors, gathered from the jet's rows of dim + 1 numbers.
#include "core/parallel.h"
#include "core/simd.h"
#include "navier_stokes/residual.h"
#include "navier_stokes/residual_point.h"

namespace pinn {
namespace {

using std::int64_t;

template <typename F>
void with_dim(int dim, F&& f) {
  if (dim == 2)
    f(std::integral_constant<int, 2>{});
  else
    f(std::integral_constant<int, 3>{});
}

template <int dim, typename V, typename T>
PINN_INLINE FlowJet<dim, V> load_jet(const T* jet, int64_t i, int64_t left, const ResidualSize& size) {
  FlowJet<dim, V> q;
  for (V& rate : q.rate) rate = V(T(0));
  for_each_entry(q, size.time_stream, size.steady, [&](int stream, int column, V& entry) {
    entry = V::gather(jet + (stream * size.n + i) * (dim + 1) + column, dim + 1, left);
  });
  return q;
}

template <typename V, typename T>
PINN_INLINE V load_nu(const T* nu, int64_t i, int64_t left, const ResidualSize& size) {
  return size.nu_per_point ? V::load(nu + i, left) : V(nu[0]);
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidual<T>& a) {
  using V = Vec<isa, T>;
  with_dim(a.size.dim, [&](auto dim_constant) {
    constexpr int dim = dim_constant.value;
    parallel_over(Chunks(a.size.n), (dim + 2) * (dim + 1) * a.size.n, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += V::size) {
        const int64_t left = end - i;
        V force[dim], residual[dim + 1];
        for (int c = 0; c < dim; ++c) {
          force[c] = V(T(0));
          if (a.forcing != nullptr)
            force[c] = a.size.force_per_point ? V::gather(a.forcing + i * dim + c, dim, left) : V(a.forcing[c]);
        }
        residual_point<dim>(load_jet<dim, V>(a.jet, i, left, a.size), load_nu<V>(a.nu, i, left, a.size), force,
                            residual);
        for (int c = 0; c <= dim; ++c) residual[c].scatter(a.out + i * (dim + 1) + c, dim + 1, left);
      }
    });
  });
}

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesResidualBackward<T>& a) {
  using V = Vec<isa, T>;
  with_dim(a.size.dim, [&](auto dim_constant) {
    constexpr int dim = dim_constant.value;
    const int64_t row = dim + 1, streams = (a.size.time_stream ? 2 : 1) + dim + 1;
    parallel_over(Chunks(a.size.n), streams * row * a.size.n, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t stream = 0; stream < streams; ++stream)  // what the residual does not read has no cotangent
        for (int64_t e = begin * row; e < end * row; ++e) a.v_jet[stream * a.size.n * row + e] = T(0);
      for (int64_t i = begin; i < end; i += V::size) {
        const int64_t left = end - i;
        V v[dim + 1];
        for (int c = 0; c <= dim; ++c) v[c] = V::gather(a.v_out + i * row + c, row, left);
        FlowJet<dim, V> v_q;
        V v_nu = residual_backward_point<dim>(load_jet<dim, V>(a.jet, i, left, a.size),
                                              load_nu<V>(a.nu, i, left, a.size), v, v_q);
        for_each_entry(v_q, a.size.time_stream, a.size.steady, [&](int stream, int column, V& entry) {
          entry.scatter(a.v_jet + (stream * a.size.n + i) * row + column, row, left);
        });
        if (a.v_nu != nullptr) v_nu.store(a.v_nu + i, left);
      }
    });
  });
}

template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidual<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidual<double>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidualBackward<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesResidualBackward<double>&);

}  // namespace pinn
