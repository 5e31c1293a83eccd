// Problems of pivoted QR for kernels that run on the host, what they leave, and what a program may ask of it: the same
// bits whichever way the threads run, the choice of the definition, and that the lack of a barrier shows.
#pragma once

#include "cuda_on_host.h"

// after cuda_on_host.h
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "pivot_reference.h"
#include "selection/pivoted_qr.h"

namespace pinn {

using reference::at;
using std::int64_t;

inline std::mt19937_64 generator(3);
inline int num_checks = 0;
inline constexpr int kFewThreads = 64;  // of a block that CUDA gives 1,024: so many fibers are slow

inline double uniform() { return std::uniform_real_distribution<double>(-1, 1)(generator); }

struct Problem {
  PivotSize size{};
  std::vector<double> a, weight, cost, position;
  std::vector<std::uint8_t> forbidden;
  std::vector<int64_t> forced, region, quota;
};

// What a choice leaves.
struct Answer {
  std::vector<int64_t> pivot, report;
  std::vector<double> r_diagonal;

  bool same_bits(const Answer& other) const {
    return pivot == other.pivot && report == other.report && r_diagonal.size() == other.r_diagonal.size() &&
           std::memcmp(r_diagonal.data(), other.r_diagonal.data(), r_diagonal.size() * 8) == 0;
  }
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

// Numbers that float has exactly, of the given rank.
inline Problem random_problem(int64_t r, int64_t n, int64_t c, int64_t k, int64_t rank = 1 << 30) {
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

// What run(op) leaves in type T, in a workspace of bytes(op) that is full of NaN.
template <typename T, typename Bytes, typename Run>
Answer run_kernels(const Problem& problem, const Bytes& bytes, const Run& run) {
  const int64_t k = problem.size.k;
  Answer answer{std::vector<int64_t>(at(k), -1), std::vector<int64_t>(kPivotReport, -1), std::vector<double>(at(k))};
  with_op<T>(problem, [&](PivotedQr<T> op) {
    std::vector<double> workspace(at(bytes(op) / 8));
    std::memset(workspace.data(), 0xff, workspace.size() * 8);
    op.pivot = answer.pivot.data();
    op.r_diagonal = answer.r_diagonal.data();
    op.report = answer.report.data();
    op.workspace = workspace.data();
    run(op);
  });
  return answer;
}

// answer() with the threads forwards and backwards.
template <typename F>
Answer run_both_ways(const char* name, const F& answer) {
  cuda_on_host::machine.backwards = false;
  const Answer forwards = answer();
  cuda_on_host::machine.backwards = true;
  const Answer backwards = answer();
  ++num_checks;
  if (forwards.same_bits(backwards)) return forwards;
  std::fprintf(stderr, "%s: expected the same bits whatever the order of the threads\n", name);
  std::exit(1);
}

// Lengths to so much of the largest one: a few roundings of each of r numbers, in double.
inline constexpr double kTolerance = 1e-13;

inline void check_choice(const char* name, std::size_t type_bytes, const Answer& got,
                         const reference::Choice& expected) {
  const auto status = expected.exhausted ? PivotStatus::exhausted : PivotStatus::ok;
  bool same = got.report[kStatus] == static_cast<int64_t>(status) && got.report[kRank] == expected.rank &&
              got.report[kChosen] == static_cast<int64_t>(expected.pivot.size());
  for (std::size_t s = 0; same && s < expected.pivot.size(); ++s)
    same = got.pivot[s] == expected.pivot[s] &&
           std::fabs(got.r_diagonal[s] - expected.r_diagonal[s]) <= kTolerance * (1 + expected.r_diagonal[0]);
  ++num_checks;
  if (same) return;
  std::fprintf(stderr, "%s (%d bytes): expected rank %d, got %d; status %d, chosen %d\n", name,
               static_cast<int>(type_bytes), static_cast<int>(expected.rank), static_cast<int>(got.report[kRank]),
               static_cast<int>(got.report[kStatus]), static_cast<int>(got.report[kChosen]));
  for (std::size_t s = 0; s < expected.pivot.size(); ++s)
    std::fprintf(stderr, "  %d %.17g, got %d %.17g\n", static_cast<int>(expected.pivot[s]), expected.r_diagonal[s],
                 static_cast<int>(got.pivot[s]), got.r_diagonal[s]);
  std::exit(1);
}

// Whether answer(barrier), which leaves out a barrier, is another one with the threads forwards or backwards, or ends
// the program: in a process of its own.
template <typename F>
bool notices(const Answer& right, int barrier, const F& answer) {
  ++num_checks;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
    bool noticed = false;
    for (bool backwards : {false, true}) {
      cuda_on_host::machine.backwards = backwards;
      noticed |= !answer(barrier).same_bits(right);
    }
    _exit(noticed ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace pinn
