// Pivoted QR with every array a heap block of exactly its size, under the sanitizers: sizes around the tile and the
// block, on every instruction set of this CPU, against a plain greedy choice in double precision.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "adjoint.h"
#include "selection/pivoted_qr.h"

namespace pinn {
namespace {

using std::int64_t;

std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }

void check(bool holds, const char* what, const PivotSize& size) {
  ++num_checks;
  if (holds) return;
  std::fprintf(stderr, "r = %lld, n = %lld, c = %lld, k = %lld: %s\n", static_cast<long long>(size.r),
               static_cast<long long>(size.n), static_cast<long long>(size.c), static_cast<long long>(size.k), what);
  std::exit(1);
}

template <typename T>
struct Result {
  std::vector<int64_t> pivot, report;
  std::vector<double> r_diagonal;
};

template <typename T, typename Run>
Result<T> choose(const Run& run_op, const PivotedQr<T>& inputs) {
  Result<T> result;
  result.pivot.assign(at(inputs.size.k), -1);
  result.r_diagonal.assign(at(inputs.size.k), -1);
  result.report.assign(kPivotReport, -1);
  PivotedQr<T> op = inputs;
  op.pivot = result.pivot.data();
  op.r_diagonal = result.r_diagonal.data();
  op.report = result.report.data();
  run_op(op);
  return result;
}

// The choice by explicit residuals; stops where they are at rounding level.
template <typename T>
std::vector<int64_t> plain(const PivotedQr<T>& op) {
  const int64_t r = op.size.r, n = op.size.n, c = op.size.c;
  std::vector<double> residual(op.a, op.a + r * n * c);
  std::vector<int64_t> chosen;
  double largest = 0;
  for (int64_t s = 0; s < op.size.k; ++s) {
    int64_t best = -1;
    double best_length = 0;
    for (int64_t j = 0; j < n; ++j) {
      double square = 0;
      for (int64_t i = 0; i < r; ++i)
        for (int64_t e = j * c; e < (j + 1) * c; ++e)
          square += residual[at(i * n * c + e)] * residual[at(i * n * c + e)];
      const double length = std::sqrt(square);
      if (s == 0) largest = std::max(largest, length);
      if (length > best_length) best = j, best_length = length;
    }
    if (best < 0 || best_length <= op.size.tolerance * largest) break;
    chosen.push_back(best);
    for (int64_t pass = 0; pass < c; ++pass) {
      std::vector<double> q(at(r));
      double length = 0;
      for (int64_t e = best * c; e < (best + 1) * c; ++e) {
        double square = 0;
        for (int64_t i = 0; i < r; ++i) square += residual[at(i * n * c + e)] * residual[at(i * n * c + e)];
        if (square <= length * length) continue;
        length = std::sqrt(square);
        for (int64_t i = 0; i < r; ++i) q[at(i)] = residual[at(i * n * c + e)] / length;
      }
      if (length <= op.size.tolerance * largest) break;
      for (int64_t e = 0; e < n * c; ++e) {
        double product = 0;
        for (int64_t i = 0; i < r; ++i) product += q[at(i)] * residual[at(i * n * c + e)];
        for (int64_t i = 0; i < r; ++i) residual[at(i * n * c + e)] -= product * q[at(i)];
      }
    }
  }
  return chosen;
}

template <typename T, typename Run>
void check_size(const Run& run_op, int64_t r, int64_t n, int64_t c, int64_t k, bool limits) {
  std::mt19937_64 generator(static_cast<unsigned>(r * 1000 + n));
  std::normal_distribution<double> normal;
  std::vector<T> a(at(r * n * c)), weight(at(n), T(2)), cost(at(n), T(-1));
  for (T& number : a) number = static_cast<T>(normal(generator));
  std::vector<double> position(at(2 * n));
  for (double& number : position) number = normal(generator);
  std::vector<std::uint8_t> forbidden(at(n), 0);
  std::vector<int64_t> region(at(n)), quota{k, k, k}, forced;
  for (int64_t j = 0; j < n; ++j) region[at(j)] = j % 3;
  PivotedQr<T> op{};
  op.a = a.data();
  op.size = {r, n, c, k, 0, 0, 0, 0, 64 * static_cast<double>(std::numeric_limits<T>::epsilon())};
  if (limits) {  // none of which changes the choice
    op.weight = weight.data();
    op.cost = cost.data();
    op.forbidden = forbidden.data();
    op.position = position.data();
    op.region = region.data();
    op.quota = quota.data();
    op.size.d = 2;
    op.size.min_distance = 1e-12;
    op.size.num_regions = 3;
    forced.push_back(plain(op)[0]);
    op.forced = forced.data();
    op.size.num_forced = 1;
  }
  const std::vector<int64_t> wanted = plain(op);
  const Result<T> exact = choose<T>(run_op, op);
  check(exact.report[kStatus] == 0 && exact.report[kChosen] == k, "expected k pivots", op.size);
  check(exact.report[kRank] == static_cast<int64_t>(wanted.size()), "expected the rank of the plain choice", op.size);
  check(std::equal(wanted.begin(), wanted.end(), exact.pivot.begin()), "expected the plain choice", op.size);
}

template <typename T, typename Run>
void check_all(const Run& run_op) {
  for (const bool limits : {false, true})
    for (const int64_t n : {1, 2, 15, 16, 17, 31, 32, 33, 127, 128, 129, 4096, 4097, 8300})
      for (const int64_t r : {1, 3, 17})
        check_size<T>(run_op, r, n, 1 + n % 2, std::min<int64_t>(n, n > 100 ? 9 : 3), limits);
  check_size<T>(run_op, 300, 700, 1, 40, true);  // several slabs to a block
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::on_every_isa([](auto run_op) {
    pinn::check_all<float>(run_op);
    pinn::check_all<double>(run_op);
  });
}
