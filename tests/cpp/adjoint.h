// What the programs of this folder share: random arrays, and the check of a backward pass by difference quotients.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "core/isa.h"

namespace pinn {

using std::int64_t;

inline std::mt19937_64 generator(0);
inline int num_checks = 0;

template <typename T>
std::vector<T> random_array(int64_t size) {
  std::uniform_real_distribution<T> uniform(T(-1), T(1));
  std::vector<T> array(static_cast<std::size_t>(size));
  for (T& value : array) value = uniform(generator);
  return array;
}

template <typename T>
double dot(const std::vector<T>& a, const std::vector<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// Adds up partial sums, [partials, size] -> [size].
template <typename T>
std::vector<T> total(const std::vector<T>& partials, int64_t size) {
  std::vector<T> sum(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < partials.size(); ++i) sum[i % sum.size()] += partials[i];
  return sum;
}

template <typename T>
std::vector<T> along(const std::vector<T>& a, const std::vector<T>& direction, T h) {
  std::vector<T> moved(a);
  for (std::size_t i = 0; i < a.size(); ++i) moved[i] += h * direction[i];
  return moved;
}

// In double precision <v, d forward / d input . direction> by a central difference against <v_input, direction> of the
// backward pass: with h = 1e-5 truncation (h^2) and rounding (eps / h) both stay far below 1e-6 of the norms and of the
// value. In single precision no difference quotient is worth a bound; there the numbers have to be finite, and pytest
// has the rest.
template <typename T, typename Forward>
void check_adjoint(const char* name, const std::vector<T>& input, const std::vector<T>& v,
                   const std::vector<T>& v_input, Forward forward) {
  const std::vector<T> direction = random_array<T>(static_cast<int64_t>(input.size()));
  const double adjoint = dot(v_input, direction), value = dot(v, forward(input));
  double error = 0;
  if (sizeof(T) == sizeof(double)) {
    const T h = T(1e-5);
    const double above = dot(v, forward(along(input, direction, h)));
    const double below = dot(v, forward(along(input, direction, -h)));
    error = (above - below) / (2 * static_cast<double>(h)) - adjoint;
  }
  const double bound = 1e-6 * (1 + std::abs(adjoint) + std::sqrt(dot(v, v) * dot(direction, direction)));
  ++num_checks;
  if (!(std::isfinite(value) && std::isfinite(adjoint) && std::abs(error) <= bound)) {
    std::fprintf(stderr, "%s: expected the backward pass's %g within %g, got a difference quotient %g away\n", name,
                 adjoint, bound, error);
    std::exit(1);
  }
}

// check(run_op) for every instruction set that this CPU has, where run_op(op) runs an operation on it.
template <typename Check>
void on_every_isa(const Check& check) {
  const auto on = [&](auto isa) {
    check([isa](const auto& op) { run_on_cpu(isa, op); });
    std::printf("%s: %d checks hold\n", isa_name(isa), num_checks);
  };
  on(IsaConstant<Isa::generic>{});
#ifdef PINN_X86_PATHS
  if (active_isa() >= Isa::avx2) on(IsaConstant<Isa::avx2>{});
  if (active_isa() >= Isa::avx512) on(IsaConstant<Isa::avx512>{});
#endif
}

}  // namespace pinn
