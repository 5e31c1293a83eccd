// The source of the CUDA kernels of pivoted QR, run on the host (cuda_on_host.h) under the sanitizers, against the
// definition (pivot_reference.h).
//
// Every case runs with the threads forwards and backwards, which have to give the same bits. Arrays are heap blocks of
// exactly their size; the workspace is full of bytes that are NaN as numbers. The last checks are of the emulation: a
// kernel that lacks a barrier must be found out.
#include "cuda_on_host.h"

// after cuda_on_host.h
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "pivot_reference.h"
#include "qr/pivot_run_cuda.h"

namespace pinn {
namespace {

using reference::at;
using std::int64_t;

std::mt19937_64 generator(3);
int num_checks = 0;
constexpr int kFewThreads = 64;  // of the block that takes a pivot: 1,024 fibers are slow

double uniform() { return std::uniform_real_distribution<double>(-1, 1)(generator); }

struct Problem {
  PivotSize size{};
  std::vector<double> a, weight, cost, position;
  std::vector<std::uint8_t> forbidden;
  std::vector<int64_t> forced, region, quota;
};

// What a choice leaves, and whether the rounding of A may decide among candidates.
struct Answer {
  std::vector<int64_t> pivot, report;
  std::vector<double> r_diagonal;
};

template <typename T>
std::vector<T> cast(const std::vector<double>& numbers) {
  return std::vector<T>(numbers.begin(), numbers.end());
}
template <typename T>
const T* or_null(const std::vector<T>& array) {
  return array.empty() ? nullptr : array.data();
}

// f(op) for the problem in type T.
template <typename T, typename F>
void with_op(const Problem& problem, const F& f) {
  const std::vector<T> a = cast<T>(problem.a), weight = cast<T>(problem.weight), cost = cast<T>(problem.cost);
  PivotedQr<T> op{};
  op.a = a.data();
  op.weight = or_null(weight);
  op.cost = or_null(cost);
  op.forbidden = or_null(problem.forbidden);
  op.forced = or_null(problem.forced);
  op.position = or_null(problem.position);
  op.region = or_null(problem.region);
  op.quota = or_null(problem.quota);
  op.size = problem.size;
  op.size.num_forced = static_cast<int64_t>(problem.forced.size());
  op.size.num_regions = static_cast<int64_t>(problem.quota.size());
  op.size.tolerance = static_cast<double>(std::numeric_limits<T>::epsilon()) *
                      static_cast<double>(std::max<int64_t>(16, std::min(op.size.r, op.size.n * op.size.c)));
  f(op);
}

template <typename T>
Answer run_kernels(const Problem& problem) {
  const int64_t k = problem.size.k;
  Answer answer{std::vector<int64_t>(at(k), -1), std::vector<int64_t>(kPivotReport, -1), std::vector<double>(at(k))};
  with_op<T>(problem, [&](PivotedQr<T> op) {
    pivot_cuda::Pivoting<T> counted{};
    counted.op = op;
    std::vector<double> workspace(at(pivot_cuda::place_workspace(counted) / 8));
    std::memset(workspace.data(), 0xff, workspace.size() * 8);
    op.pivot = answer.pivot.data();
    op.r_diagonal = answer.r_diagonal.data();
    op.report = answer.report.data();
    op.workspace = workspace.data();
    pivot_cuda::run_pivoting(op, cuda_on_host::Launch{}, kFewThreads);
  });
  return answer;
}

template <typename T>
Answer run_both_ways(const char* name, const Problem& problem) {
  cuda_on_host::machine.backwards = false;
  const Answer forwards = run_kernels<T>(problem);
  cuda_on_host::machine.backwards = true;
  const Answer backwards = run_kernels<T>(problem);
  ++num_checks;
  if (forwards.pivot != backwards.pivot || forwards.report != backwards.report ||
      std::memcmp(forwards.r_diagonal.data(), backwards.r_diagonal.data(), forwards.r_diagonal.size() * 8) != 0) {
    std::fprintf(stderr, "%s: expected the same bits whatever the order of the threads\n", name);
    std::exit(1);
  }
  return forwards;
}

// Lengths to so much of the largest one: a few roundings of each of r numbers, in double.
constexpr double kTolerance = 1e-13;

template <typename T>
void check(const char* name, const Problem& problem) {
  const Answer got = run_both_ways<T>(name, problem);
  reference::Choice expected;
  with_op<T>(problem, [&](const PivotedQr<T>& op) { expected = reference::Pivoting<T>(op).run(); });
  const auto status = expected.exhausted ? PivotStatus::exhausted : PivotStatus::ok;
  bool same = got.report[kStatus] == static_cast<int64_t>(status) && got.report[kRank] == expected.rank &&
              got.report[kChosen] == static_cast<int64_t>(expected.pivot.size());
  for (std::size_t s = 0; same && s < expected.pivot.size(); ++s)
    same = got.pivot[s] == expected.pivot[s] &&
           std::fabs(got.r_diagonal[s] - expected.r_diagonal[s]) <= kTolerance * (1 + expected.r_diagonal[0]);
  ++num_checks;
  if (same) return;
  std::fprintf(stderr, "%s (%d bytes): expected rank %d, got %d; status %d, chosen %d\n", name,
               static_cast<int>(sizeof(T)), static_cast<int>(expected.rank), static_cast<int>(got.report[kRank]),
               static_cast<int>(got.report[kStatus]), static_cast<int>(got.report[kChosen]));
  for (std::size_t s = 0; s < expected.pivot.size(); ++s)
    std::fprintf(stderr, "  %d %.17g, got %d %.17g\n", static_cast<int>(expected.pivot[s]), expected.r_diagonal[s],
                 static_cast<int>(got.pivot[s]), got.r_diagonal[s]);
  std::exit(1);
}

void check_both(const char* name, const Problem& problem) {
  check<float>(name, problem);
  check<double>(name, problem);
}

// Numbers that float has exactly, of the given rank.
Problem random_problem(int64_t r, int64_t n, int64_t c, int64_t k, int64_t rank = 1 << 30) {
  Problem problem;
  problem.size.r = r;
  problem.size.n = n;
  problem.size.c = c;
  problem.size.k = k;
  if (rank >= r) {
    for (int64_t i = 0; i < r * n * c; ++i) problem.a.push_back(static_cast<double>(static_cast<float>(uniform())));
    return problem;
  }
  // Whole numbers: a product that both types have exactly.
  std::vector<double> left(at(r * rank)), right(at(rank * n * c));
  for (double& x : left) x = std::round(8 * uniform());
  for (double& x : right) x = std::round(64 * uniform());
  problem.a.assign(at(r * n * c), 0);
  for (int64_t i = 0; i < r; ++i)
    for (int64_t t = 0; t < rank; ++t)
      for (int64_t e = 0; e < n * c; ++e)
        problem.a[at(i * n * c + e)] += left[at(i * rank + t)] * right[at(t * n * c + e)];
  return problem;
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
    if (run_both_ways<float>("status", problem).report[kStatus] == static_cast<int64_t>(status)) return;
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

// Whether the lack of a barrier changes a choice, with the threads forwards or backwards, or ends the program: in a
// process of its own.
bool notices(const Problem& problem, const Answer& right, int barrier) {
  ++num_checks;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
    bool noticed = false;
    cuda_on_host::machine.faults.skipped_barrier = barrier;
    for (bool backwards : {false, true}) {
      cuda_on_host::machine.backwards = backwards;
      const Answer got = run_kernels<double>(problem);
      noticed |= got.pivot != right.pivot || got.report != right.report ||
                 std::memcmp(got.r_diagonal.data(), right.r_diagonal.data(), right.r_diagonal.size() * 8) != 0;
    }
    _exit(noticed ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

void check_faults() {
  Problem problem = random_problem(140, 260, 2, 5);
  for (int64_t i = 0; i < 140; ++i)
    for (int64_t e = 0; e < 520; ++e) problem.a[at(i * 520 + e)] *= std::pow(10.0, -static_cast<double>(i) / 2);
  const Answer right = run_both_ways<double>("faults", problem);
  // Five of them have another one at their side.
  int found = 0;
  for (int barrier = 0; barrier < 16; ++barrier) found += notices(problem, right, barrier) ? 1 : 0;
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
