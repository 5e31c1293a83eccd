// A second equation behind the mean square of a residual (burgers_point.h): the CPU kernels of every instruction set
// and the CUDA kernel on the host, loss and all gradients, against plain loops in double precision.
#include "burgers_point.h"
#include "fused_on_host.h"

namespace pinn {

template <typename T>
void set(Burgers<T>& equation, PerPoint<T> learned, PerPoint<T> forcing, bool) {
  equation = {learned, forcing};
}

namespace {

// The formula, written out once more.
void check_point() {
  const double u = 0.7, u_t = -0.2, u_x = 1.3, u_xx = -2.1, nu = 0.1, beta = 0.4, s = 0.3;
  double r[1];
  Burgers<double>::point<double>({u, u_t, u_x, u_xx}, {nu, beta, s}, r);
  const double expected = u_t + u * u_x - nu * u_xx - beta * u - s;
  check("burgers", "residual of one point", r, &expected, 1);
}

template <typename T, Isa isa>
void check_on_cpu(const char* name, const LossProblem<Burgers>& problem, IsaConstant<isa> path) {
  for (int64_t parts : {0, 1, 3})
    for (bool back : {true, false})
      check_results(name, problem, run_loss<T>(problem, back, parts, [&](const auto& op) { run_on_cpu(path, op); }),
                    back);
}

template <Isa isa>
void check_on(const char* name, const LossProblem<Burgers>& problem, IsaConstant<isa> path) {
  check_on_cpu<float>(name, problem, path);
  check_on_cpu<double>(name, problem, path);
}

// Sizes at the edges of tiles: 16 points on the GPU; on the CPU 30 (features in vectors) or 80 (points in vectors).
void check_sizes() {
  const LossCase plain{true, false, true, false, false, false, false, true};
  const LossCase all{true, false, false, true, true, true, true, true};
  for (int64_t n : {0, 1, 15, 16, 17, 29, 30, 31, 80, 81})
    for (const LossCase& c : {plain, all})
      for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{32}, {19, 20}}) {
        auto problem = loss_problem<Burgers>(hidden, 8, n, c, n % 2 == 0 ? Activation::tanh : Activation::gelu);
        if (n == 0) problem.count = 1;
        for (double& source : problem.forcing) source += 20;  // no residual is a small difference of large numbers
        problem.add_points(true);
        if (n > 0) check_reference(problem);
        for (bool back : {true, false}) check_loss("burgers on the GPU", problem, kDevice, back);
        check_on("burgers, generic", problem, IsaConstant<Isa::generic>{});
#ifdef PINN_X86_PATHS
        if (active_isa() >= Isa::avx2) check_on("burgers, AVX2", problem, IsaConstant<Isa::avx2>{});
        if (active_isa() >= Isa::avx512) check_on("burgers, AVX-512", problem, IsaConstant<Isa::avx512>{});
#endif
      }
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::check_point();
  pinn::check_sizes();
  std::printf("second equation: %d checks, largest relative error %.2g\n", pinn::num_checks, pinn::worst);
  return 0;
}
