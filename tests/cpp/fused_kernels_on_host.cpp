// The source of the fused CUDA kernels, run on the host (cuda_on_host.h) under the sanitizers, against plain loops in
// double precision (mlp_reference.h).
//
// Every case runs with the threads forwards and backwards, which have to give the same bits. The last checks are of the
// emulation: a kernel that lacks a barrier and a tensor core with its numbers in the wrong places must be found out.
#include "cuda_on_host.h"

// after cuda_on_host.h
#include <random>

#include "mlp/fused_run_cuda.h"
#include "mlp_reference.h"
#include "navier_stokes/loss_head_cuda.h"

namespace pinn {
namespace {

using fused_cuda::Device;
using reference::at;
using reference::Network;
using reference::Numbers;
using std::int64_t;
using Floats = std::vector<float>;

// Largest error of an array over its largest number. Float32 through three layers and second derivatives: 1.3e-6 is
// seen, sums of whole rows in the tensor core gave 1.5e-5 and operands of 11 bits give 1e-2.
constexpr double kTolerance = 5e-6;

std::mt19937_64 generator(1);
int num_checks = 0;
double worst = 0;

double uniform() { return std::uniform_real_distribution<double>(-1, 1)(generator); }

// Numbers that float32 has exactly.
Numbers random_numbers(int64_t size, double scale) {
  Numbers numbers(at(size));
  for (double& number : numbers) number = static_cast<double>(static_cast<float>(scale * uniform()));
  return numbers;
}

Floats floats(const Numbers& numbers) {
  Floats result;
  for (double number : numbers) result.push_back(static_cast<float>(number));
  return result;
}

Floats nans(int64_t size) { return Floats(at(size), std::numeric_limits<float>::quiet_NaN()); }

Network random_network(const std::vector<int64_t>& width, int64_t n, int64_t d, const JetStreams& streams,
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

// A network in float32, each array a heap block of exactly its size.
struct FloatNetwork {
  Floats x, B;
  std::vector<Floats> weight, bias;
  Mlp<float> mlp{};

  explicit FloatNetwork(const Network& net) : x(floats(net.x)), B(floats(net.B)) {
    for (const Numbers& w : net.weight) weight.push_back(floats(w));
    for (const Numbers& b : net.bias) bias.push_back(floats(b));
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

double error_of(const float* got, const double* expected, int64_t size) {
  double error = 0, largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    const double difference = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (!(difference <= error)) error = difference;  // a NaN stays
    largest = std::max(largest, std::fabs(expected[i]));
  }
  return error / (largest + 1e-30);
}

void fail(const char* name, const char* what, double error) {
  std::fprintf(stderr, "%s, %s: expected a relative error below %g, got %g\n", name, what, kTolerance, error);
  std::exit(1);
}

void check(const char* name, const char* what, const float* got, const double* expected, int64_t size) {
  const double error = error_of(got, expected, size);
  ++num_checks;
  if (!(error <= kTolerance)) fail(name, what, error);
  worst = std::max(worst, error);
}

// Each weight, each bias and B on its own.
void check_gradient(const char* name, const MlpShape& shape, const Floats& got, const Numbers& expected, bool want_B) {
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

void check_jet(const char* name, const Network& net, const Device& device, bool want_B) {
  const MlpShape& shape = net.shape;
  const int64_t c = shape.outputs(), streams = shape.streams.count(), size = streams * shape.n * c;
  const FloatNetwork network(net);
  const Numbers v = random_numbers(size, 1);
  const Floats v_out = floats(v);
  Numbers out(at(size)), gradient(at(shape.num_parameters() + shape.d * shape.m));
  for (int64_t i = 0; i < shape.n; ++i) {
    const reference::Trace trace = reference::forward(net, i);
    Numbers v_i(trace.y.size());
    for (int64_t s = 0; s < streams; ++s)
      for (int64_t k = 0; k < c; ++k) {
        out[at((s * shape.n + i) * c + k)] = trace.y[at(s * c + k)];
        v_i[at(s * c + k)] = v[at((s * shape.n + i) * c + k)];
      }
    reference::backward(net, i, trace, v_i, gradient);
  }
  const Floats jet = run_twice(name, [&] {
    Workspace workspace(shape, false, false, device);
    Floats result = nans(size);
    fused_cuda::run_fused(MlpJet<float>{network.mlp, result.data(), {0}, workspace.data()}, device,
                          cuda_on_host::Launch{});
    return result;
  });
  for (int64_t s = 0; s < streams; ++s)
    check(name, "jet", jet.data() + s * shape.n * c, out.data() + s * shape.n * c, shape.n * c);
  const Floats got = run_twice(name, [&] {
    Workspace workspace(shape, true, want_B, device);
    Floats result = nans(shape.num_parameters() + (want_B ? shape.d * shape.m : 0));
    fused_cuda::run_fused(
        MlpJetBackward<float>{network.mlp, v_out.data(), result.data(), want_B, {want_B ? 0 : 1}, workspace.data()},
        device, cuda_on_host::Launch{});
    return result;
  });
  check_gradient(name, shape, got, gradient, want_B);
}

struct LossCase {
  int dim;
  bool time_stream, steady, want_B, nu_per_point, forcing, force_per_point, point_weights, residual;
};

// Inputs of the loss beside the network, and the expected results.
struct Loss {
  Numbers nu, forcing, point_weights, term_weights;
  double count;
  // results
  double total = 0;
  Numbers terms, residual, gradient, v_nu;
};

template <int dim>
void add_point(const Network& net, const LossCase& c, int64_t i, bool back, Loss& loss) {
  const int64_t row = dim + 1;
  const reference::Trace trace = reference::forward(net, i);
  FlowJet<dim, double> q, v_q;
  for (int k = 0; k < dim; ++k) q.rate[k] = 0;
  for_each_entry(q, c.time_stream, c.steady, [&](int s, int k, double& number) { number = trace.y[at(s * row + k)]; });
  double force[dim], r[dim + 1], v[dim + 1];
  for (int k = 0; k < dim; ++k) force[k] = c.forcing ? loss.forcing[at((c.force_per_point ? i * dim : 0) + k)] : 0;
  const double nu = loss.nu[at(c.nu_per_point ? i : 0)], weight = c.point_weights ? loss.point_weights[at(i)] : 1;
  residual_point<dim>(q, nu, force, r);
  for (int k = 0; k < row; ++k) {
    loss.residual[at(i * row + k)] = r[k];
    loss.terms[at(k)] += weight * r[k] * r[k] / loss.count;
    loss.total += loss.term_weights[at(k)] * weight * r[k] * r[k] / loss.count;
    v[k] = 2 * loss.term_weights[at(k)] * weight * r[k] / loss.count;
  }
  if (!back) return;
  loss.v_nu[at(c.nu_per_point ? i : 0)] += residual_backward_point<dim>(q, nu, v, v_q);
  Numbers v_y(trace.y.size());
  for_each_entry(v_q, c.time_stream, c.steady, [&](int s, int k, double& number) { v_y[at(s * row + k)] = number; });
  reference::backward(net, i, trace, v_y, loss.gradient);
}

void add_points(const Network& net, const LossCase& c, bool back, Loss& loss) {
  loss.total = 0;
  loss.terms.assign(at(c.dim + 1), 0);
  loss.residual.assign(at(net.shape.n * (c.dim + 1)), 0);
  loss.gradient.assign(at(net.shape.num_parameters() + net.shape.d * net.shape.m), 0);
  loss.v_nu.assign(loss.nu.size(), 0);
  for (int64_t i = 0; i < net.shape.n; ++i)
    c.dim == 2 ? add_point<2>(net, c, i, back, loss) : add_point<3>(net, c, i, back, loss);
}

// The reference's own gradient against a difference quotient of its total, along a random direction.
void check_reference(const Network& net, const LossCase& c, const Loss& loss) {
  const double h = 1e-5;
  double totals[2], slope = 0;
  const std::mt19937_64 start = generator;
  for (int side = 0; side < 2; ++side) {
    generator = start;
    slope = 0;
    Network moved = net;
    const double* v = loss.gradient.data();
    const auto move = [&](Numbers& numbers) {
      for (double& number : numbers) {
        const double direction = uniform();
        slope += *v++ * direction;
        number += (side == 0 ? h : -h) * direction;
      }
    };
    for (std::size_t l = 0; l < moved.weight.size(); ++l) move(moved.weight[l]), move(moved.bias[l]);
    move(moved.B);
    Loss there = loss;
    add_points(moved, c, false, there);
    totals[side] = there.total;
  }
  const double quotient = (totals[0] - totals[1]) / (2 * h);
  ++num_checks;
  if (!(std::fabs(quotient - slope) <= 1e-6 * (std::fabs(slope) + std::fabs(loss.total)))) {
    std::fprintf(stderr, "reference: expected a slope of %.12g, got %.12g\n", quotient, slope);
    std::exit(1);
  }
}

// The results of one run: residual, terms, total, gradient.
Floats run_loss(const Network& net, const LossCase& c, const Loss& loss, const Device& device, bool back) {
  const MlpShape& shape = net.shape;
  const FloatNetwork network(net);
  const Floats nu = floats(loss.nu), forcing = floats(loss.forcing), weights = floats(loss.point_weights),
               term_weights = floats(loss.term_weights);
  const int64_t row = c.dim + 1;
  Floats total = nans(1), terms = nans(row), residual = nans(shape.n * row);
  Floats gradient = nans(shape.num_parameters() + (c.want_B ? shape.d * shape.m : 0) + static_cast<int64_t>(nu.size()));
  Workspace workspace(shape, back, back && c.want_B, device);
  const ResidualSize size{shape.n, c.dim, c.time_stream, c.steady, c.nu_per_point, c.force_per_point};
  fused_cuda::run_fused(NavierStokesLoss<float>{network.mlp,
                                                nu.data(),
                                                c.forcing ? forcing.data() : nullptr,
                                                term_weights.data(),
                                                c.point_weights ? weights.data() : nullptr,
                                                loss.count,
                                                total.data(),
                                                terms.data(),
                                                c.residual ? residual.data() : nullptr,
                                                back ? gradient.data() : nullptr,
                                                c.want_B,
                                                true,
                                                size,
                                                {0},
                                                workspace.data()},
                        device, cuda_on_host::Launch{});
  Floats all;
  for (const Floats* part : {&residual, &terms, &total, &gradient}) all.insert(all.end(), part->begin(), part->end());
  return all;
}

struct LossProblem {
  Network net;
  Loss loss;
};

LossProblem loss_problem(const std::vector<int64_t>& hidden, int64_t m, int64_t n, const LossCase& c,
                         Activation activation) {
  const int64_t d = c.dim + (c.time_stream ? 1 : 0);
  JetStreams streams{static_cast<int>(d), true, {}, {}};
  for (int j = 0; j < d; ++j) {
    streams.first[j] = j;
    streams.weight[j] = c.time_stream && j == 0 ? 0.0 : 1.0;
  }
  std::vector<int64_t> width{2 * m};
  width.insert(width.end(), hidden.begin(), hidden.end());
  width.push_back(c.dim + 1);
  LossProblem problem{random_network(width, n, d, streams, activation), {}};
  Loss& loss = problem.loss;
  loss.nu = random_numbers(c.nu_per_point ? n : 1, 0.1);
  loss.forcing = random_numbers(c.force_per_point ? n * c.dim : c.dim, 1);
  loss.point_weights = random_numbers(n, 1);
  for (double& weight : loss.point_weights) weight = std::fabs(weight);
  loss.term_weights = random_numbers(c.dim + 1, 1);
  loss.count = static_cast<double>(3 * n);
  add_points(problem.net, c, true, loss);
  return problem;
}

void check_loss(const char* name, const LossProblem& problem, const LossCase& c, const Device& device, bool back) {
  const MlpShape& shape = problem.net.shape;
  const Loss& loss = problem.loss;
  const int64_t row = c.dim + 1;
  const Floats got = run_twice(name, [&] { return run_loss(problem.net, c, loss, device, back); });
  const float* next = got.data();
  if (c.residual) check(name, "residual", next, loss.residual.data(), shape.n * row);
  next += shape.n * row;
  check(name, "terms", next, loss.terms.data(), row);
  check(name, "total", next + row, &loss.total, 1);
  if (!back) return;
  next += row + 1;
  const Floats gradient(next, got.data() + got.size());
  check_gradient(name, shape, gradient, loss.gradient, c.want_B);
  const int64_t parameters = shape.num_parameters() + (c.want_B ? shape.d * shape.m : 0);
  check(name, "gradient of nu", next + parameters, loss.v_nu.data(), static_cast<int64_t>(loss.nu.size()));
}

// One or two blocks, so that each takes several tiles; shared memory for both buffers, for one, for none.
constexpr Device kDevice{2, 227 << 10, 0};
constexpr Device kOneBlock{1, 227 << 10, 0};
constexpr Device kOneBuffer{2, 40 << 10, 0};
constexpr Device kNoBuffer{2, 6 << 10, 0};

void check_losses() {
  struct Run {
    const char* name;
    std::vector<int64_t> hidden;
    int64_t m, n;
    LossCase c;
    Activation activation;
    Device device;
  };
  const LossCase flat{2, true, false, true, false, false, false, false, true};
  const LossCase steady{2, false, true, false, true, true, true, true, false};
  const LossCase dropped{2, true, true, true, true, true, false, true, true};
  const LossCase deep{3, true, false, true, false, true, true, false, true};
  const LossCase deep_steady{3, false, true, false, true, false, false, true, true};
  for (const Run& run : {
           Run{"1 linear layer", {}, 10, 19, flat, Activation::tanh, kDevice},
           Run{"width 20", {20}, 7, 37, flat, Activation::tanh, kDevice},
           Run{"width 37", {37, 37}, 16, 130, steady, Activation::sine, kDevice},
           Run{"one point", {37, 20, 37}, 10, 1, dropped, Activation::silu, kDevice},
           Run{"width 64", {64, 64, 64}, 32, 50, deep, Activation::gelu, kDevice},
           Run{"width 100", {100, 20, 100}, 50, 33, deep_steady, Activation::tanh, kDevice},
           Run{"one buffer", {64, 37}, 20, 40, flat, Activation::sine, kOneBuffer},
           Run{"no buffer", {37, 64}, 20, 40, dropped, Activation::gelu, kNoBuffer},
           Run{"width 256", {256}, 128, 17, flat, Activation::tanh, kDevice},
       }) {
    const LossProblem problem = loss_problem(run.hidden, run.m, run.n, run.c, run.activation);
    if (problem.net.shape.num_parameters() < 10000) check_reference(problem.net, run.c, problem.loss);
    check_loss(run.name, problem, run.c, run.device, true);
    if (problem.net.shape.num_parameters() < 10000) check_loss(run.name, problem, run.c, run.device, false);
  }
}

void check_jets() {
  const JetStreams all{4, true, {3, 0, 1, 2}, {0.0, 1.0, 2.5, 0.5}};
  for (int first = 0; first <= 5; ++first)
    for (bool laplacian : {false, true}) {
      JetStreams streams = all;
      streams.num_first = first;
      streams.has_laplacian = laplacian;
      if (first == 5) streams.first[4] = 1;
      if (streams.count() > fused_cuda::kMaxStreams) continue;
      const Activation activation = static_cast<Activation>(first % 4);
      check_jet("mlp_jet", random_network({20, 40, 24, 8}, 35, 4, streams, activation), kDevice, laplacian);
    }
}

void check_empty() {
  const LossCase c{2, true, false, true, false, false, false, false, false};
  LossProblem problem = loss_problem({20}, 7, 1, c, Activation::tanh);
  problem.net.shape.n = 0;
  const Floats got = run_loss(problem.net, c, problem.loss, kDevice, true);
  ++num_checks;
  for (float number : got)
    if (number != 0) fail("no points", "all", static_cast<double>(number));
}

// What is not finite must not get lost in a split (fused_product_cuda.h), whatever bits a NaN has.
void check_not_finite() {
  const LossCase c{2, true, false, true, false, false, false, false, false};
  LossProblem problem = loss_problem({20}, 7, 1, c, Activation::tanh);
  for (std::uint32_t bits : {0x7fffffffu, 0xffffffffu, 0x7fc00000u, 0x7f800001u, 0x7f800000u, 0xff800000u}) {
    problem.net.weight[1][3] = static_cast<double>(__uint_as_float(bits));
    const Floats got = run_loss(problem.net, c, problem.loss, kDevice, false);
    ++num_checks;
    if (std::isfinite(got[6])) fail("not finite", "total", 0);  // after residual [1, 3] and terms [3]
  }
}

// Whether a fault changes the result, with the threads forwards or backwards.
bool notices(const cuda_on_host::Faults& faults) {
  const LossCase c{2, true, false, true, false, false, false, false, true};
  static const LossProblem problem = loss_problem({64, 40}, 20, 20, c, Activation::sine);
  static const Floats right = run_loss(problem.net, c, problem.loss, kOneBlock, true);
  cuda_on_host::machine.faults = faults;
  bool noticed = false;
  for (bool backwards : {false, true}) {
    cuda_on_host::machine.backwards = backwards;
    const Floats got = run_loss(problem.net, c, problem.loss, kOneBlock, true);
    noticed |= std::memcmp(got.data(), right.data(), got.size() * sizeof(float)) != 0;
  }
  cuda_on_host::machine.faults = {};
  ++num_checks;
  return noticed;
}

// Of the barriers of a tile every one is needed, so that each that is left out must show.
void check_faults() {
  constexpr int barriers = 19;  // 3 linear layers with the gradient of B
  if (!notices({-1, true})) fail("negative control", "swapped fragment", 0);
  for (int barrier = 0; barrier < barriers; ++barrier)
    if (!notices({barrier, false})) {
      std::fprintf(stderr, "negative control: barrier %d can be left out, or its lack is not found\n", barrier);
      std::exit(1);
    }
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::check_losses();
  pinn::check_jets();
  pinn::check_empty();
  pinn::check_not_finite();
  pinn::check_faults();
  std::printf("fused kernels on the host: %d checks, largest relative error %.2g\n", pinn::num_checks, pinn::worst);
  return 0;
}
