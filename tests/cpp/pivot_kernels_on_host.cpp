// The source of the CUDA kernels of pivoted QR, run on the host (cuda_on_host.h) under the sanitizers, against the
// definition (pivot_reference.h).
//
// Every case runs with the threads forwards and backwards, which have to give the same bits. Arrays are heap blocks of
// exactly their size; the workspace is full of bytes that are NaN as numbers. The last checks are of the emulation: a
// kernel that lacks a barrier must be found out.
#include "pivot_problem.h"
#include "selection/pivot_run_cuda.h"

namespace pinn {
namespace {

template <typename T>
Answer choose(const Problem& problem) {
  const auto bytes = [](const PivotedQr<T>& op) {
    pivot_cuda::Pivoting<T> counted{};
    counted.op = op;
    return pivot_cuda::place_workspace(counted);
  };
  return run_kernels<T>(problem, bytes, [](const PivotedQr<T>& op) {
    pivot_cuda::run_pivoting(op, cuda_on_host::Launch{}, kFewThreads);
  });
}

template <typename T>
Answer choose_both_ways(const char* name, const Problem& problem) {
  return run_both_ways(name, [&] { return choose<T>(problem); });
}

template <typename T>
void check(const char* name, const Problem& problem) {
  const Answer got = choose_both_ways<T>(name, problem);
  reference::Choice expected;
  with_op<T>(problem, [&](const PivotedQr<T>& op) { expected = reference::Pivoting<T>(op).run(); });
  check_choice(name, sizeof(T), got, expected);
}

void check_both(const char* name, const Problem& problem) {
  check<float>(name, problem);
  check<double>(name, problem);
}

void check_sizes() {
  for (int64_t r : {1, 31})
    for (int64_t n : {1, 255, 257})
      for (int64_t c : {1, 3}) check_both("sizes", random_problem(r, n, c, std::min<int64_t>(n, 4)));
  check_both("more rows than are staged", random_problem(130, 600, 1, 5));
  check_both("many components", random_problem(3, 4, 260, 2));
  check_both("all rows", random_problem(12, 300, 1, 12));
  check_both("more than rows", random_problem(6, 270, 1, 11));
  check_both("more than rows, two components", random_problem(7, 150, 2, 9));
}

void check_rank() {
  for (int64_t c : {1, 2}) check_both("low rank", random_problem(20, 280, c, 9, 4));
  Problem problem = random_problem(9, 40, 1, 8, 3);
  problem.weight.resize(40);
  for (double& w : problem.weight) w = 0.25 + std::fabs(std::round(4 * uniform()));
  check_both("low rank, weights", problem);
  problem.cost.resize(40);
  for (double& x : problem.cost) x = std::round(9 * uniform());
  check_both("low rank, weights and costs", problem);
  problem.forced = {5, 9, 11, 2, 7, 33};  // more than the rank
  check_both("low rank, forced", problem);

  problem = random_problem(10, 300, 1, 6);  // zero columns and duplicates: the first of the equal ones
  for (int64_t i = 0; i < 10; ++i)
    for (int64_t j = 0; j < 150; ++j) problem.a[at(i * 300 + 299 - j)] = j % 3 == 0 ? 0 : problem.a[at(i * 300 + j)];
  check_both("duplicates", problem);
}

void check_graded() {
  // Residuals over 12 orders of magnitude: down-dated squares alone would be noise after the first eight.
  Problem problem = random_problem(24, 300, 1, 12);
  for (int64_t i = 0; i < 24; ++i)
    for (int64_t j = 0; j < 300; ++j) problem.a[at(i * 300 + j)] *= std::pow(10.0, -static_cast<double>(i));
  check<double>("graded rows", problem);
  problem.size.k = 5;
  check<float>("graded rows", problem);
  problem = random_problem(24, 300, 1, 12);
  for (int64_t i = 0; i < 24; ++i)
    for (int64_t j = 0; j < 300; ++j) problem.a[at(i * 300 + j)] *= std::pow(10.0, -static_cast<double>(j % 12));
  check_both("graded columns", problem);
}

void check_constraints() {
  Problem problem = random_problem(30, 400, 2, 8);
  problem.weight.resize(400);
  problem.cost.resize(400);
  for (double& w : problem.weight) w = static_cast<double>(static_cast<float>(1.5 + uniform()));
  for (double& x : problem.cost) x = static_cast<double>(static_cast<float>(3 * uniform()));
  check_both("weights and costs", problem);
  problem.forbidden.resize(400);
  for (std::size_t j = 0; j < 400; ++j) problem.forbidden[j] = j % 3 == 1;
  problem.forced = {399, 3};
  check_both("forbidden and forced", problem);
  problem.position.resize(800);
  for (double& x : problem.position) x = uniform();
  problem.size.d = 2;
  problem.size.min_distance = 0.5;
  check_both("distance", problem);
  problem.region.resize(400);
  for (std::size_t j = 0; j < 400; ++j) problem.region[j] = static_cast<int64_t>(j) / 100;
  problem.quota = {2, 0, 3, 4};
  check_both("regions", problem);
  problem.quota = {1, 0, 1, 1};
  check_both("exhausted", problem);
  problem = random_problem(10, 20, 1, 12, 2);
  problem.position.resize(20);
  for (std::size_t j = 0; j < 20; ++j) problem.position[j] = static_cast<double>(j);
  problem.size.d = 1;
  problem.size.min_distance = 2.5;
  check_both("exhausted beyond the rank", problem);
}

void check_status() {
  const auto status_is = [](const Problem& problem, PivotStatus status) {
    ++num_checks;
    if (choose_both_ways<float>("status", problem).report[kStatus] == static_cast<int64_t>(status)) return;
    std::fprintf(stderr, "expected status %d\n", static_cast<int>(status));
    std::exit(1);
  };
  for (double wrong : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Problem problem = random_problem(5, 300, 1, 3);
    problem.a[at(4 * 300 + 290)] = wrong;
    status_is(problem, PivotStatus::not_finite);
  }
  Problem problem = random_problem(5, 300, 1, 3);
  std::fill(problem.a.begin(), problem.a.end(), 0);
  status_is(problem, PivotStatus::too_small);
}

void check_faults() {
  Problem problem = random_problem(140, 260, 2, 5);
  for (int64_t i = 0; i < 140; ++i)
    for (int64_t e = 0; e < 520; ++e) problem.a[at(i * 520 + e)] *= std::pow(10.0, -static_cast<double>(i) / 2);
  const Answer right = choose_both_ways<double>("faults", problem);
  // Five of them have another one at their side.
  int found = 0;
  for (int barrier = 0; barrier < 16; ++barrier) {
    const auto without = [&](int skipped) {
      cuda_on_host::machine.faults.skipped_barrier = skipped;
      return choose<double>(problem);
    };
    found += notices(right, barrier, without) ? 1 : 0;
  }
  if (found < 11) {
    std::fprintf(stderr, "negative control: expected 11 of 16 barriers that are left out to show, got %d\n", found);
    std::exit(1);
  }
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::check_sizes();
  pinn::check_rank();
  pinn::check_graded();
  pinn::check_constraints();
  pinn::check_status();
  pinn::check_faults();
  std::printf("pivoted QR on the host: %d checks\n", pinn::num_checks);
  return 0;
}
