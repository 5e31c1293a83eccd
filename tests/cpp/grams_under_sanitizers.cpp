// Gram matrices and sums of rows with every array a heap block of exactly its size, under the sanitizers: sizes around
// the tile of rows, the vector and the block of columns, on every instruction set of this CPU, against plain sums.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "adjoint.h"
#include "selection/gram.h"

namespace pinn {
namespace {

template <typename T>
constexpr double kEps = static_cast<double>(std::numeric_limits<T>::epsilon());

std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }

void check(double got, double wanted, double bound, const char* what, int64_t r, int64_t n) {
  ++num_checks;
  if (std::abs(got - wanted) <= bound) return;
  std::fprintf(stderr, "r = %lld, n = %lld: expected %s %g within %g, got %g\n", static_cast<long long>(r),
               static_cast<long long>(n), what, wanted, bound, got);
  std::exit(1);
}

// Rows `gap` numbers apart, between which nothing may be read: they are NaN.
template <typename T>
std::vector<T> rows_apart(int64_t r, int64_t n, int64_t gap) {
  std::vector<T> a = random_array<T>(r * n + (r - 1) * gap);
  for (int64_t i = 0; i + 1 < r; ++i)
    for (int64_t j = n; j < n + gap; ++j) a[at(i * (n + gap) + j)] = std::numeric_limits<T>::quiet_NaN();
  return a;
}

template <typename T, typename Run>
void check_gram(const Run& run_op, int64_t r, int64_t n, bool in_double) {
  const int64_t stride = n + 3;
  const std::vector<T> a = rows_apart<T>(r, n, 3);
  std::vector<double> gram(at(r * r), -1), along_mean(at(r), -1), mean_square(1, -1);
  std::vector<T> mean(at(n), T(-1));
  run_op(
      RowGram<T>{a.data(), gram.data(), mean.data(), along_mean.data(), mean_square.data(), r, n, stride, in_double});
  std::vector<double> middle(at(n));
  double square = 0;
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < r; ++i)
      middle[at(j)] += static_cast<double>(a[at(i * stride + j)]) / static_cast<double>(r);
    square += middle[at(j)] * middle[at(j)];
    check(static_cast<double>(mean[at(j)]), middle[at(j)], 100 * kEps<T>, "a mean of", r, n);
  }
  // Numbers up to 1: each product, and the mean before it, is rounded at eps.
  const double eps = in_double ? kEps<double> : kEps<T>;
  const double bound = eps * (20 + static_cast<double>(n)), of_means = bound + 100 * eps * static_cast<double>(n);
  check(mean_square[0], square, of_means, "a square of the mean of", r, n);
  for (int64_t i = 0; i < r; ++i) {
    double along = 0;
    for (int64_t j = 0; j < n; ++j)
      along += (static_cast<double>(a[at(i * stride + j)]) - middle[at(j)]) * middle[at(j)];
    check(along_mean[at(i)], along, of_means, "along the mean", r, n);
    for (int64_t k = 0; k < r; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < n; ++j)
        sum += (static_cast<double>(a[at(i * stride + j)]) - middle[at(j)]) *
               (static_cast<double>(a[at(k * stride + j)]) - middle[at(j)]);
      check(gram[at(i * r + k)], sum, of_means, "a product of", r, n);
    }
  }
}

template <typename T, typename Run>
void check_projection(const Run& run_op, int64_t l, int64_t r, int64_t n, bool has_mean) {
  const int64_t stride = n + 3;
  const std::vector<T> a = rows_apart<T>(r, n, 3), rotation = random_array<T>(l * r), mean = random_array<T>(n);
  std::vector<T> out(at(l * n), T(-1));
  run_op(ProjectRows<T>{a.data(), rotation.data(), has_mean ? mean.data() : nullptr, out.data(), l, r, n, stride});
  const double bound = 4 * static_cast<double>(r) * kEps<T>;
  for (int64_t k = 0; k < l; ++k)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < r; ++i)
        sum += static_cast<double>(rotation[at(k * r + i)]) *
               (static_cast<double>(a[at(i * stride + j)]) - (has_mean ? static_cast<double>(mean[at(j)]) : 0.0));
      check(static_cast<double>(out[at(k * n + j)]), sum, bound, "a sum of rows of", r, n);
    }
}

template <typename T, typename Run>
void check_all(const Run& run_op) {
  for (const int64_t r : {1, 2, 3, 4, 5, 6, 10, 11, 23})
    for (const int64_t n : {1, 3, 4, 15, 16, 17, 31, 33, 400, 769, 2600}) {
      for (const bool in_double : {false, true}) check_gram<T>(run_op, r, n, in_double);
      for (const int64_t l : {1, 5, 6, 12, 13, 25}) check_projection<T>(run_op, l, r, n, n % 2 == 0);
    }
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::on_every_isa([](const auto& run_op) {
    pinn::check_all<float>(run_op);
    pinn::check_all<double>(run_op);
  });
}
