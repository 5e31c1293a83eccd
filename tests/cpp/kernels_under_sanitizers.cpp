// Every CPU kernel on a small set of shapes, for every instruction set that this CPU has, under the address and
// undefined-behaviour sanitizers. Each array is a heap block of exactly its size, so that one number too many is found.
//
// The numbers are checked too: each backward pass against the directional difference quotient of its forward pass.
#include "adjoint.h"
#include "core/parallel.h"
#include "equations/navier_stokes_residual.h"
#include "jets/activation.h"
#include "jets/fourier.h"

namespace pinn {
namespace {

template <typename T, typename RunOp>
void check_fourier(const RunOp& run_op, int64_t n, int64_t d, int64_t m, bool has_laplacian) {
  const FourierSize size{n, d, m};
  JetStreams streams{static_cast<int>(d), has_laplacian, {}, {}};
  for (int j = 0; j < d; ++j) {
    streams.first[j] = j;
    streams.weight[j] = has_laplacian && j > 0 ? 1.0 + j : 0.0;
  }
  const int64_t chunks = Chunks(n).count;
  const std::vector<T> x = random_array<T>(n * d), B = random_array<T>(d * m);
  std::vector<T> v_x(x.size()), partials(static_cast<std::size_t>(chunks * d * m));

  const std::vector<T> v_features = random_array<T>(n * 2 * m);
  auto features = [&](const std::vector<T>& at) {
    std::vector<T> out(v_features.size());
    run_op(FourierFeatures<T>{at.data(), B.data(), out.data(), size});
    return out;
  };
  run_op(FourierFeaturesBackward<T>{v_features.data(), x.data(), B.data(), v_x.data(), partials.data(), size});
  check_adjoint("fourier_features", x, v_features, v_x, features);

  const std::vector<T> g_x = random_array<T>(n * d), g_B(B.size());
  std::vector<T> gg_v(v_features.size()), gg_x(x.size()), gg_partials(partials.size());
  run_op(FourierFeaturesSecondOrder<T>{g_x.data(), g_B.data(), v_features.data(), x.data(), B.data(), gg_v.data(),
                                       gg_x.data(), gg_partials.data(), size});
  check_adjoint("fourier_features_second_order", v_features, g_x, gg_v, [&](const std::vector<T>& at) {
    std::vector<T> out(x.size()), unused(partials.size());
    run_op(FourierFeaturesBackward<T>{at.data(), x.data(), B.data(), out.data(), unused.data(), size});
    return out;
  });

  const std::vector<T> v_jet = random_array<T>(streams.count() * n * 2 * m);
  auto jet = [&](const std::vector<T>& at_x, const std::vector<T>& at_B) {
    std::vector<T> out(v_jet.size());
    run_op(FourierJet<T>{at_x.data(), at_B.data(), out.data(), size, streams});
    return out;
  };
  run_op(FourierJetBackward<T>{v_jet.data(), x.data(), B.data(), v_x.data(), partials.data(), size, streams});
  check_adjoint("fourier_jet by x", x, v_jet, v_x, [&](const std::vector<T>& at) { return jet(at, B); });
  check_adjoint("fourier_jet by B", B, v_jet, total(partials, d * m),
                [&](const std::vector<T>& at) { return jet(x, at); });
  run_op(FourierJetBackward<T>{v_jet.data(), x.data(), B.data(), nullptr, partials.data(), size, streams});
}

template <typename T, typename RunOp>
void check_activation(const RunOp& run_op, int64_t count, Activation activation) {
  const JetStreams streams{3, true, {0, 1, 2}, {0.0, 1.0, 2.5}};
  const std::vector<T> z = random_array<T>(streams.count() * count), v = random_array<T>(streams.count() * count);
  std::vector<T> v_z(z.size());
  run_op(ActivationJetBackward<T>{v.data(), z.data(), v_z.data(), count, streams, activation});
  check_adjoint("activation_jet", z, v, v_z, [&](const std::vector<T>& at) {
    std::vector<T> out(at.size());
    run_op(ActivationJet<T>{at.data(), out.data(), count, streams, activation});
    return out;
  });
}

template <int dim, typename T, typename RunOp>
void check_residual(const RunOp& run_op, int64_t n, bool time_stream, bool steady, bool per_point) {
  const JetStreams streams{dim + time_stream, true, {}, {}};
  const std::vector<T> jet = random_array<T>(streams.count() * n * (dim + 1)), v = random_array<T>(n * (dim + 1));
  const std::vector<T> nu = random_array<T>(per_point ? n : 1), forcing = random_array<T>(per_point ? n * dim : dim);
  const NavierStokes<dim, T> equation{{nu.data(), 1, per_point}, {forcing.data(), dim, per_point}, steady};
  std::vector<T> v_jet(jet.size()), v_nu(static_cast<std::size_t>(n));
  using Backward = NavierStokesResidualBackward<dim, T>;
  run_op(Backward{v.data(), jet.data(), equation, v_jet.data(), v_nu.data(), n, streams});
  check_adjoint("navier_stokes_residual", jet, v, v_jet, [&](const std::vector<T>& at) {
    std::vector<T> out(v.size());
    run_op(NavierStokesResidual<dim, T>{at.data(), equation, out.data(), n, streams});
    return out;
  });
  run_op(Backward{v.data(), jet.data(), equation, v_jet.data(), nullptr, n, streams});
}

template <int dim, typename T, typename RunOp>
void check_residuals(const RunOp& run_op) {
  for (int64_t n : {0, 1, 15, 16, 17, 300}) {
    check_residual<dim, T>(run_op, n, true, false, true);
    check_residual<dim, T>(run_op, n, true, true, false);
    check_residual<dim, T>(run_op, n, false, true, false);
  }
}

template <typename T, typename RunOp>
void check_all(const RunOp& run_op) {
  for (int64_t n : {0, 1, 63, 64, 65, 200})
    for (int64_t m : {1, 7, 16, 50})
      for (int64_t d : {1, 2, 4}) check_fourier<T>(run_op, n, d, m, d > 1);
  for (int64_t count : {0, 1, 15, 16, 17, 1000})
    for (int a = 0; a < kNumActivations; ++a) check_activation<T>(run_op, count, static_cast<Activation>(a));
  check_residuals<2, T>(run_op);
  check_residuals<3, T>(run_op);
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::on_every_isa([](auto run_op) {
    pinn::check_all<float>(run_op);
    pinn::check_all<double>(run_op);
  });
  return 0;
}
