// What the programs share that run the fused CUDA kernels on the host (cuda_on_host.h): random networks, their arrays
// as heap blocks of exactly their size, and the comparison with plain loops in double precision (mlp_reference.h). The
// loss is that of any equation, Equation<T>.
#pragma once

#include "cuda_on_host.h"

// after cuda_on_host.h
#include <random>

#include "equations/navier_stokes_point.h"
#include "mlp/mean_square_cuda.h"
#include "mlp_reference.h"

namespace pinn {

using fused_cuda::Device;
using reference::at;
using reference::Network;
using reference::Numbers;
using std::int64_t;
template <typename T>
using Array = std::vector<T>;
using Floats = Array<float>;

// Largest error of an array over its largest number. Float32 through three layers and second derivatives: 1.3e-6 is
// seen, sums of whole rows in the tensor core gave 1.5e-5 and operands of 11 bits give 1e-2.
inline constexpr double kTolerance = 5e-6;
// The same rounding in double precision.
inline constexpr double kTolerance64 = kTolerance * 0x1p-29;

inline std::mt19937_64 generator(1);
inline int num_checks = 0;
inline double worst = 0;

inline double uniform() { return std::uniform_real_distribution<double>(-1, 1)(generator); }

// Numbers that float32 has exactly.
inline Numbers random_numbers(int64_t size, double scale) {
  Numbers numbers(at(size));
  for (double& number : numbers) number = static_cast<double>(static_cast<float>(scale * uniform()));
  return numbers;
}

template <typename T>
Array<T> cast(const Numbers& numbers) {
  Array<T> result;
  for (double number : numbers) result.push_back(static_cast<T>(number));
  return result;
}

template <typename T = float>
Array<T> nans(int64_t size) {
  return Array<T>(at(size), std::numeric_limits<T>::quiet_NaN());
}

inline Network random_network(const std::vector<int64_t>& width, int64_t n, int64_t d, const JetStreams& streams,
                              Activation activation) {
  Network net{};
  net.shape.n = n;
  net.shape.d = d;
  net.shape.m = width[0] / 2;
  net.shape.num_linear = static_cast<int>(width.size()) - 1;
  for (std::size_t l = 0; l < width.size(); ++l) net.shape.width[l] = width[l];
  net.shape.streams = streams;
  net.shape.activation = activation;
  net.x = random_numbers(n * d, 1);
  net.B = random_numbers(d * net.shape.m, 0.3);
  for (std::size_t l = 0; l + 1 < width.size(); ++l) {
    net.weight.push_back(random_numbers(width[l + 1] * width[l], std::sqrt(3.0 / static_cast<double>(width[l]))));
    net.bias.push_back(random_numbers(width[l + 1], 0.5));
  }
  return net;
}

// A network in another dtype, each array a heap block of exactly its size.
template <typename T>
struct CastNetwork {
  Array<T> x, B;
  std::vector<Array<T>> weight, bias;
  Mlp<T> mlp{};

  explicit CastNetwork(const Network& net) : x(cast<T>(net.x)), B(cast<T>(net.B)) {
    for (const Numbers& w : net.weight) weight.push_back(cast<T>(w));
    for (const Numbers& b : net.bias) bias.push_back(cast<T>(b));
    mlp.x = x.data();
    mlp.B = B.data();
    for (std::size_t l = 0; l < weight.size(); ++l) mlp.weight[l] = weight[l].data(), mlp.bias[l] = bias[l].data();
    mlp.shape = net.shape;
  }
};

// Scratch memory full of NaN.
class Workspace {
 public:
  Workspace(const MlpShape& shape, bool gradient, bool want_B, const Device& device)
      : bytes_(fused_cuda::make_plan(shape, gradient, want_B, device, 0, nullptr).bytes),
        numbers_(at(bytes_ / static_cast<int64_t>(sizeof(float4))), nan_) {}
  void* data() { return numbers_.data(); }

 private:
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  float4 nan_{kNan, kNan, kNan, kNan};
  int64_t bytes_;
  std::vector<float4> numbers_;
};

template <typename T>
double error_of(const T* got, const double* expected, int64_t size) {
  double error = 0, largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    const double difference = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (!(difference <= error)) error = difference;  // a NaN stays
    largest = std::max(largest, std::fabs(expected[i]));
  }
  return error / (largest + 1e-30);
}

inline void fail(const char* name, const char* what, double error, double tolerance = kTolerance) {
  std::fprintf(stderr, "%s, %s: expected a relative error below %g, got %g\n", name, what, tolerance, error);
  std::exit(1);
}

template <typename T>
void check(const char* name, const char* what, const T* got, const double* expected, int64_t size) {
  const double error = error_of(got, expected, size);
  ++num_checks;
  const double tolerance = sizeof(T) == 4 ? kTolerance : kTolerance64;
  if (!(error <= tolerance)) fail(name, what, error, tolerance);
  if (sizeof(T) == 4) worst = std::max(worst, error);
}

// Each weight, each bias and B on its own.
template <typename T>
void check_gradient(const char* name, const MlpShape& shape, const Array<T>& got, const Numbers& expected,
                    bool want_B) {
  int64_t place = 0;
  const auto next = [&](const char* what, int64_t size) {
    check(name, what, got.data() + place, expected.data() + place, size);
    place += size;
  };
  for (int l = 0; l < shape.num_linear; ++l) {
    next("gradient of a weight", shape.width[l] * shape.width[l + 1]);
    next("gradient of a bias", shape.width[l + 1]);
  }
  if (want_B) next("gradient of B", shape.d * shape.m);
}

// run() twice, the threads forwards and backwards; the outputs of both runs have to agree in every bit.
template <typename F>
Floats run_twice(const char* name, const F& run) {
  cuda_on_host::machine.backwards = false;
  const Floats first = run();
  cuda_on_host::machine.backwards = true;
  const Floats second = run();
  ++num_checks;
  if (std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) != 0) {
    std::fprintf(stderr, "%s: the order of the threads changes the result\n", name);
    std::exit(1);
  }
  return first;
}

struct LossCase {
  bool time_stream, steady, want_B, learned_per_point, forcing, force_per_point, point_weights, residual;
};

// Coordinates of space, and columns of the forcing.
template <template <typename> class Equation>
inline constexpr int kDim = std::max(1, Equation<double>::kColumns - 1);

// A network, inputs of the loss beside it, and the expected results.
template <template <typename> class Equation>
struct LossProblem {
  using Real = Equation<double>;
  static constexpr int kColumns = Real::kColumns, kLearned = Real::kLearned;

  Network net;
  LossCase c;
  Numbers learned, forcing, point_weights, term_weights;
  double count;
  // results
  double total;
  Numbers terms, residual, gradient, v_learned;

  template <typename T>
  Equation<T> equation(const Array<T>& learned_numbers, const Array<T>& forcing_numbers) const {
    Equation<T> result{};
    set(result, {learned_numbers.data(), kLearned, c.learned_per_point},
        {c.forcing ? forcing_numbers.data() : nullptr, kDim<Equation>, c.force_per_point}, c.steady);
    return result;
  }

  void add_points(bool back) {
    total = 0;
    terms.assign(at(kColumns), 0);
    residual.assign(at(net.shape.n * kColumns), 0);
    gradient.assign(at(net.shape.num_parameters() + net.shape.d * net.shape.m), 0);
    v_learned.assign(learned.size(), 0);
    for (int64_t i = 0; i < net.shape.n; ++i) add_point(i, back);
  }

 private:
  void add_point(int64_t i, bool back) {
    const Real real = equation<double>(learned, forcing);
    const reference::Trace trace = reference::forward(net, i);
    typename Real::template Jet<double> q{}, v_q{};
    const JetStreams& streams = net.shape.streams;
    const int64_t outputs = net.shape.outputs();
    real.for_each_entry(q, streams, [&](int s, int k, double& number) { number = trace.y[at(s * outputs + k)]; });
    const auto k = real.template coefficients<double>([&](const PerPoint<double>& a, int j) { return a.at(i, j); });
    const double weight = c.point_weights ? point_weights[at(i)] : 1;
    double r[kColumns], v[kColumns], v_k[kLearned];
    real.point(q, k, r);
    for (int j = 0; j < kColumns; ++j) {
      residual[at(i * kColumns + j)] = r[j];
      terms[at(j)] += weight * r[j] * r[j] / count;
      total += term_weights[at(j)] * weight * r[j] * r[j] / count;
      v[j] = 2 * term_weights[at(j)] * weight * r[j] / count;
    }
    if (!back) return;
    real.backward_point(q, k, v, v_q, v_k);
    for (int j = 0; j < kLearned; ++j) v_learned[at((c.learned_per_point ? i * kLearned : 0) + j)] += v_k[j];
    Numbers v_y(trace.y.size());
    real.for_each_entry(v_q, streams, [&](int s, int j, double& number) { v_y[at(s * outputs + j)] = number; });
    reference::backward(net, i, trace, v_y, gradient);
  }
};

template <int dim, typename T>
void set(NavierStokes<dim, T>& equation, PerPoint<T> learned, PerPoint<T> forcing, bool steady) {
  equation = {learned, forcing, steady};
}

template <template <typename> class Equation>
LossProblem<Equation> loss_problem(const std::vector<int64_t>& hidden, int64_t m, int64_t n, const LossCase& c,
                                   Activation activation) {
  using Problem = LossProblem<Equation>;
  constexpr int dim = kDim<Equation>;
  const int64_t d = dim + (c.time_stream ? 1 : 0);
  JetStreams streams{static_cast<int>(d), true, {}, {}};
  for (int j = 0; j < d; ++j) {
    streams.first[j] = j;
    streams.weight[j] = c.time_stream && j == 0 ? 0.0 : 1.0;
  }
  std::vector<int64_t> width{2 * m};
  width.insert(width.end(), hidden.begin(), hidden.end());
  width.push_back(Problem::kColumns);
  Problem problem{};
  problem.net = random_network(width, n, d, streams, activation);
  problem.c = c;
  problem.count = static_cast<double>(3 * n);
  problem.learned = random_numbers((c.learned_per_point ? n : 1) * Problem::kLearned, 0.1);
  problem.forcing = random_numbers((c.force_per_point ? n : 1) * dim, 1);
  problem.point_weights = random_numbers(n, 1);
  for (double& weight : problem.point_weights) weight = std::fabs(weight);
  problem.term_weights = random_numbers(Problem::kColumns, 1);
  problem.add_points(true);
  return problem;
}

// The reference's own gradient against a difference quotient of its total, along a random direction.
template <template <typename> class Equation>
void check_reference(const LossProblem<Equation>& problem) {
  const double h = 1e-5;
  double totals[2], slope = 0;
  const std::mt19937_64 start = generator;
  for (int side = 0; side < 2; ++side) {
    generator = start;
    slope = 0;
    LossProblem<Equation> moved = problem;
    const double* v = problem.gradient.data();
    const auto move = [&](Numbers& numbers) {
      for (double& number : numbers) {
        const double direction = uniform();
        slope += *v++ * direction;
        number += (side == 0 ? h : -h) * direction;
      }
    };
    for (std::size_t l = 0; l < moved.net.weight.size(); ++l) move(moved.net.weight[l]), move(moved.net.bias[l]);
    move(moved.net.B);
    v = problem.v_learned.data();
    move(moved.learned);
    moved.add_points(false);
    totals[side] = moved.total;
  }
  const double quotient = (totals[0] - totals[1]) / (2 * h);
  ++num_checks;
  if (!(std::fabs(quotient - slope) <= 1e-6 * (std::fabs(slope) + std::fabs(problem.total)))) {
    std::fprintf(stderr, "reference: expected a slope of %.12g, got %.12g\n", quotient, slope);
    std::exit(1);
  }
}

// The results of one run: residual, terms, total, gradient. run(op) runs the operation, whose scratch memory is null.
template <typename T, template <typename> class Equation, typename Run>
Array<T> run_loss(const LossProblem<Equation>& problem, bool back, int64_t parts, const Run& run) {
  const MlpShape& shape = problem.net.shape;
  const LossCase& c = problem.c;
  const CastNetwork<T> network(problem.net);
  const Array<T> learned = cast<T>(problem.learned), forcing = cast<T>(problem.forcing),
                 weights = cast<T>(problem.point_weights), term_weights = cast<T>(problem.term_weights);
  const int64_t row = problem.kColumns;
  Array<T> total = nans<T>(1), terms = nans<T>(row), residual = nans<T>(shape.n * row);
  Array<T> gradient =
      nans<T>(shape.num_parameters() + (c.want_B ? shape.d * shape.m : 0) + static_cast<int64_t>(learned.size()));
  MeanSquare<Equation<T>> op{};
  op.mlp = network.mlp;
  op.equation = problem.equation(learned, forcing);
  op.term_weights = term_weights.data();
  op.point_weights = c.point_weights ? weights.data() : nullptr;
  op.count = problem.count;
  op.total = total.data();
  op.terms = terms.data();
  op.residual = c.residual ? residual.data() : nullptr;
  op.gradient = back ? gradient.data() : nullptr;
  op.want_B = c.want_B;
  op.want_learned = true;
  op.partition = {parts};
  run(op);
  Array<T> all;
  for (const Array<T>* part : {&residual, &terms, &total, &gradient}) all.insert(all.end(), part->begin(), part->end());
  return all;
}

template <template <typename> class Equation>
Floats run_on_device(const LossProblem<Equation>& problem, const Device& device, bool back) {
  return run_loss<float>(problem, back, 0, [&](auto op) {
    Workspace workspace(problem.net.shape, back, back && problem.c.want_B, device);
    op.workspace = workspace.data();
    fused_cuda::run_fused(op, device, cuda_on_host::Launch{});
  });
}

template <typename T, template <typename> class Equation>
void check_results(const char* name, const LossProblem<Equation>& problem, const Array<T>& got, bool back) {
  const MlpShape& shape = problem.net.shape;
  const int64_t row = problem.kColumns;
  const T* next = got.data();
  if (problem.c.residual) check(name, "residual", next, problem.residual.data(), shape.n * row);
  next += shape.n * row;
  check(name, "terms", next, problem.terms.data(), row);
  check(name, "total", next + row, &problem.total, 1);
  if (!back) return;
  next += row + 1;
  check_gradient(name, shape, Array<T>(next, got.data() + got.size()), problem.gradient, problem.c.want_B);
  const int64_t parameters = shape.num_parameters() + (problem.c.want_B ? shape.d * shape.m : 0);
  check(name, "gradient of the learned coefficient", next + parameters, problem.v_learned.data(),
        static_cast<int64_t>(problem.learned.size()));
}

template <template <typename> class Equation>
void check_loss(const char* name, const LossProblem<Equation>& problem, const Device& device, bool back) {
  check_results(name, problem, run_twice(name, [&] { return run_on_device(problem, device, back); }), back);
}

// One or two blocks, so that each takes several tiles; shared memory for both buffers, for one, for none.
inline constexpr Device kDevice{2, 227 << 10, 0};
inline constexpr Device kOneBlock{1, 227 << 10, 0};
inline constexpr Device kOneBuffer{2, 40 << 10, 0};
inline constexpr Device kNoBuffer{2, 6 << 10, 0};

}  // namespace pinn
