// The source of the tournament's CUDA kernels, run on the host (cuda_on_host.h) under the sanitizers, against its
// definition: heats by explicit residuals (pivot_reference.h), and the exact choice of those that they send on.
//
// As in pivot_kernels_on_host.cpp every case runs with the threads forwards and backwards, and a heat that lacks a
// barrier must be found out.
#include "pivot_problem.h"

// after cuda_on_host.h
#include <cstring>

#include "qr/heat_run_cuda.h"
#include "tournament_reference.h"

namespace pinn {
namespace {

using pivot_cuda::TournamentPlan;

constexpr int64_t kHopper = 227 << 10, kAmpere = 163 << 10;  // of shared memory for a block

// How a case is played: heats of few threads, so that small problems have several rounds of them.
struct Table {
  int threads = kFewThreads;
  int64_t shared_bytes = kHopper, last = 20;
};

// Heats that lack a barrier.
struct FaultyHeats {
  int barrier;

  template <typename... Arguments>
  void operator()(const char* name, const Arguments&... arguments) const {
    cuda_on_host::machine.faults.skipped_barrier = std::strcmp(name, "pivoted_qr heats") == 0 ? barrier : -1;
    cuda_on_host::Launch{}(name, arguments...);
  }
};

template <typename T>
TournamentPlan plan_of(const PivotedQr<T>& op, const Table& table) {
  return pivot_cuda::plan_tournament<T>(op.size, table.shared_bytes, table.threads, table.last);
}

template <typename T>
auto bytes_of(const Table& table) {
  return [&table](const PivotedQr<T>& op) {
    PivotedQr<T> sizes{};  // Python asks with these alone
    sizes.size = op.size;
    return pivot_cuda::place_tournament(sizes, plan_of(op, table)).bytes;
  };
}

template <typename T>
Answer choose(const Problem& problem, const Table& table) {
  return run_kernels<T>(problem, bytes_of<T>(table), [&](const PivotedQr<T>& op) {
    pivot_cuda::run_tournament(op, plan_of(op, table), cuda_on_host::Launch{}, table.threads, kFewThreads);
  });
}

template <typename T>
Answer choose_both_ways(const char* name, const Problem& problem, const Table& table = {}) {
  return run_both_ways(name, [&] { return choose<T>(problem, table); });
}

void expect(bool holds, const char* name, const char* what) {
  ++num_checks;
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", name, what);
  std::exit(1);
}

// rounds: that there are as many.
template <typename T>
void check(const char* name, const Problem& problem, int rounds, const Table& table = {}) {
  const Answer got = choose_both_ways<T>(name, problem, table);
  reference::Choice expected;
  with_op<T>(problem, [&](const PivotedQr<T>& op) {
    const TournamentPlan plan = plan_of(op, table);
    if (plan.num_rounds != rounds || !plan.serves)
      std::fprintf(stderr, "%d rounds of %d: ", plan.num_rounds, static_cast<int>(plan.shape.width));
    expect(plan.serves && plan.num_rounds == rounds, name, "expected another number of rounds");
    expect(plan.shape.bytes <= table.shared_bytes, name, "expected a heat to fit");
    expected = reference::Tournament<T>(op, plan.shape.width, plan.shape.lots, plan.num_rounds).run();
  });
  check_choice(name, sizeof(T), got, expected);
}

void check_both(const char* name, const Problem& problem, int rounds, const Table& table = {}) {
  check<float>(name, problem, rounds, table);
  check<double>(name, problem, rounds, table);
}

void check_sizes() {
  for (int64_t r : {1, 31})
    for (int64_t c : {1, 2, 3})
      for (int64_t n : {63, 64, 65, 300})
        check_both("sizes", random_problem(r, n, c, 2), n == 300 && c > 1 ? 2 : 1, {kFewThreads, kHopper, 30});
  check_both("fewer than a heat", random_problem(20, 40, 1, 4), 1);
  check_both("no heat", random_problem(20, 20, 1, 4), 0);
  check_both("three rounds", random_problem(12, 3000, 1, 4), 3, {kFewThreads, kHopper, 30});
  check<float>("two threads to a column", random_problem(33, 500, 1, 2), 2, {160, 14 << 10, 20});
  check<double>("five threads to a column", random_problem(33, 500, 1, 2), 2, {160, 14 << 10, 20});
  check_both("threads without a column", random_problem(33, 500, 2, 2), 2, {160, kHopper, 40});
  check_both("all rows", random_problem(8, 300, 1, 8), 2, {kFewThreads, kHopper, 60});
  check_both("more than rows", random_problem(5, 300, 1, 8), 2, {kFewThreads, kHopper, 60});
}

void check_rank() {
  for (int64_t c : {1, 2}) check_both("low rank", random_problem(20, 280, c, 5, 3), 1, {kFewThreads, kHopper, 250});
  Problem problem = random_problem(10, 300, 1, 6);  // zero columns and duplicates: the first of the equal ones
  for (int64_t i = 0; i < 10; ++i)
    for (int64_t j = 0; j < 150; ++j) problem.a[at(i * 300 + 299 - j)] = j % 3 == 0 ? 0 : problem.a[at(i * 300 + j)];
  check_both("duplicates", problem, 2, {kFewThreads, kHopper, 60});
  problem = random_problem(10, 300, 1, 4);  // a heat of nothing
  for (int64_t i = 0; i < 10; ++i)
    for (int64_t j = 64; j < 128; ++j) problem.a[at(i * 300 + j)] = 0;
  check_both("zeros", problem, 2);
  problem = random_problem(24, 300, 1, 8);  // squares that have been down-dated would be noise in float
  for (int64_t i = 0; i < 24; ++i)
    for (int64_t j = 0; j < 300; ++j) problem.a[at(i * 300 + j)] *= std::pow(4.0, -static_cast<double>(i));
  check_both("graded rows", problem, 2, {kFewThreads, kHopper, 60});
}

Problem limited_problem() {
  Problem problem = random_problem(30, 400, 2, 3);
  problem.weight.resize(400);
  problem.cost.resize(400);
  for (double& w : problem.weight) w = static_cast<double>(static_cast<float>(1.5 + uniform()));
  for (double& x : problem.cost) x = static_cast<double>(static_cast<float>(3 * uniform()));
  return problem;
}

void check_constraints() {
  const Table wide{128, kHopper, 40};
  Problem problem = limited_problem();
  check_both("weights and costs", problem, 2, wide);
  problem.forbidden.resize(400);
  for (std::size_t j = 0; j < 400; ++j) problem.forbidden[j] = j % 3 == 1 || (j >= 64 && j < 128);
  check_both("forbidden", problem, 2, wide);
  Problem forced = problem;
  forced.forced = {399, 3};
  check_both("forced", forced, 2, wide);
  forced.forced = {399, 3, 5};
  check_both("all forced", forced, 0, wide);
  problem.position.resize(800);
  for (double& x : problem.position) x = uniform();
  problem.size.d = 2;
  problem.size.min_distance = 0.5;
  check_both("distance", problem, 2, wide);
  problem.region.resize(400);
  for (std::size_t j = 0; j < 400; ++j) problem.region[j] = static_cast<int64_t>(j) / 100;
  problem.quota = {2, 0, 3, 1};
  check_both("regions", problem, 2, wide);
  problem.forced = {399, 3};
  problem.quota = {1, 0, 2, 1};
  const Answer got = choose_both_ways<float>("together", problem, wide);
  expect(got.report[kStatus] == 0 && got.pivot[0] == 399 && got.pivot[1] == 3 && got.pivot[2] / 100 == 2, "together",
         "expected the forced ones, and one of the region that has room");
}

// Winners of different heats exclude one another; whoever asked goes on with them as the forced ones.
void check_exhausted() {
  Problem problem = random_problem(20, 300, 1, 4);
  problem.position.resize(300);
  for (std::size_t j = 0; j < 300; ++j) problem.position[j] = static_cast<double>(j);
  problem.size.d = 1;
  problem.size.min_distance = 90;
  const Answer got = choose_both_ways<double>("exhausted", problem);
  const int64_t chosen = got.report[kChosen];
  expect(got.report[kStatus] == static_cast<int64_t>(PivotStatus::exhausted) && chosen > 0 && chosen < 4, "exhausted",
         "expected fewer than k");
  for (int64_t s = 0; s < chosen; ++s)
    for (int64_t t = 0; t < s; ++t)
      expect(std::abs(got.pivot[at(s)] - got.pivot[at(t)]) >= 90, "exhausted", "expected the distance to be kept");
}

void check_status() {
  const auto status_is = [](const Problem& problem, PivotStatus status) {
    expect(choose_both_ways<float>("status", problem).report[kStatus] == static_cast<int64_t>(status), "status",
           "expected another one");
  };
  for (double wrong : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e30}) {
    Problem problem = random_problem(5, 300, 1, 3);
    problem.a[at(4 * 300 + 290)] = wrong;
    status_is(problem, PivotStatus::not_finite);
  }
  for (double scale : {0.0, 1e-25}) {
    Problem problem = random_problem(5, 300, 1, 3);
    for (double& x : problem.a) x *= scale;
    status_is(problem, PivotStatus::too_small);
  }
}

// As many threads and as much shared memory as on a GPU.
void check_full_size() {
  const Problem problem = random_problem(100, 9000, 1, 12);
  const Table table{pivot_cuda::kHeatThreads, kHopper, kLastHeat};
  check<float>("full size", problem, 1, table);
  const Answer got = choose<float>(problem, table);
  double volume = 0, exact = 0;
  for (double length : got.r_diagonal) volume += std::log(length);
  with_op<float>(problem, [&](const PivotedQr<float>& op) {
    for (double length : reference::Pivoting<float>(op).run().r_diagonal) exact += std::log(length);
  });
  expect(volume >= exact - 0.3, "full size", "expected the log volume within 0.3 of the exact one");  // issue 4's goal
}

void check_plans() {
  for (int64_t shared_bytes : {kAmpere, kHopper})
    for (int64_t r : {1, 12, 100, 250, 400, 2000, 100000})
      for (int64_t c : {1, 3})
        for (int64_t k : {1, 12, 100, 500}) {
          PivotSize size{};
          size.r = r, size.n = 1 << 20, size.c = c, size.k = k;
          const TournamentPlan plan = pivot_cuda::plan_tournament<float>(size, shared_bytes);
          expect(!plan.serves || (plan.shape.bytes <= shared_bytes && plan.shape.width >= 2 * plan.shape.slots &&
                                  plan.shape.columns % pivot_cuda::kWarp == 0 &&
                                  plan.shape.columns * plan.shape.parts <= pivot_cuda::kHeatThreads),
                 "plan", "expected a heat that fits and reduces the field");
          if (k == 12 && c == 1) expect(plan.serves == (r <= 400), "plan", "expected heats of up to 400 rows");
          if (k == 500) expect(!plan.serves, "plan", "expected no heats for so many");
        }
}

// The first round's winners: a choice among them may be the same though a heat went wrong.
Answer winners_of_heats(const Problem& problem, const Table& table, int skipped_barrier) {
  std::vector<int64_t> numbers;
  Answer answer = run_kernels<double>(problem, bytes_of<double>(table), [&](const PivotedQr<double>& op) {
    const TournamentPlan plan = plan_of(op, table);
    pivot_cuda::run_tournament(op, plan, FaultyHeats{skipped_barrier}, table.threads, kFewThreads);
    const pivot_cuda::Winners<double> winners = pivot_cuda::place_tournament(op, plan).winners[0];
    numbers.assign(winners.number, winners.number + winners.n);
  });
  answer.pivot = numbers;
  return answer;
}

void check_faults() {
  generator.seed(5);  // the same problem whatever came before
  Problem problem = random_problem(24, 64, 2, 4);
  for (int64_t i = 0; i < 24; ++i)
    for (int64_t e = 0; e < 128; ++e) problem.a[at(i * 128 + e)] *= std::pow(2.0, -static_cast<double>(i));
  const Table table{160, 18 << 10, 30};
  const auto winners = [&](int skipped) { return winners_of_heats(problem, table, skipped); };
  const Answer right = run_both_ways("faults", [&] { return winners(-1); });
  with_op<double>(problem, [&](const PivotedQr<double>& op) {
    const TournamentPlan plan = plan_of(op, table);
    expect(plan.num_rounds == 1 && plan.shape.parts == 2, "faults", "expected two threads to a column");
  });
  // Of the others three wait for a number that is not finite, four have another one at their side, and two part
  // equal answers.
  int found = 0;
  for (int barrier = 0; barrier < 36; ++barrier) found += notices(right, barrier, winners) ? 1 : 0;
  if (found < 27) {
    std::fprintf(stderr, "negative control: expected 27 of 36 barriers that are left out to show, got %d\n", found);
    std::exit(1);
  }
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::check_plans();
  pinn::check_sizes();
  pinn::check_rank();
  pinn::check_constraints();
  pinn::check_exhausted();
  pinn::check_status();
  pinn::check_full_size();
  pinn::check_faults();
  std::printf("tournament on the host: %d checks\n", pinn::num_checks);
  return 0;
}
