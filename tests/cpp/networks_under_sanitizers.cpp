// Whole networks on small and odd shapes, for every instruction set that this CPU has, under the address and
// undefined-behaviour sanitizers: the jet, its backward pass and the Navier-Stokes loss, each gradient against the
// directional difference quotient in all parameters and B at once.
#include <cmath>

#include "adjoint.h"
#include "equations/navier_stokes_point.h"
#include "mlp/mean_square.h"

namespace pinn {
namespace {

// A network whose parameters are one array in the order of the gradient: weights and biases by layer, then B.
template <typename T>
struct Network {
  Network(MlpShape network_shape) : shape(network_shape), x(random_array<T>(shape.n * shape.d)) {
    parameters = random_array<T>(shape.num_parameters() + shape.d * shape.m);
    int64_t at = 0;
    for (int l = 0; l < shape.num_linear; ++l)  // so that the layers neither saturate nor fade
      for (int64_t end = at + shape.width[l + 1] * (shape.width[l] + 1); at < end; ++at)
        parameters[static_cast<std::size_t>(at)] *= T(2) / std::sqrt(static_cast<T>(shape.width[l] + 1));
  }

  Mlp<T> at(const std::vector<T>& all) const {
    Mlp<T> mlp{};
    mlp.x = x.data();
    const T* next = all.data();
    for (int l = 0; l < shape.num_linear; ++l) {
      mlp.weight[l] = next;
      mlp.bias[l] = next + shape.width[l + 1] * shape.width[l];
      next = mlp.bias[l] + shape.width[l + 1];
    }
    mlp.B = next;
    mlp.shape = shape;
    return mlp;
  }

  MlpShape shape;
  std::vector<T> x, parameters;
};

MlpShape make_shape(int64_t n, int64_t m, const std::vector<int64_t>& widths, const JetStreams& streams,
                    Activation activation) {
  MlpShape shape{};
  shape.n = n;
  shape.d = streams.num_first == 0 ? 2 : streams.num_first;
  shape.m = m;
  shape.width[0] = 2 * m;
  for (int64_t width : widths) shape.width[++shape.num_linear] = width;
  shape.streams = streams;
  shape.activation = activation;
  return shape;
}

// The rows of a Jacobian add up to the gradient; for two cotangents, the second one the negative of the first.
template <typename T, typename RunOp>
void check_rows(const RunOp& run_op, const MlpJetBackward<T>& back, const std::vector<T>& v,
                const std::vector<T>& gradient) {
  std::vector<T> both(v), sums(gradient.size());
  for (T value : v) both.push_back(-value);
  const int64_t size = static_cast<int64_t>(gradient.size());
  std::vector<T> rows(static_cast<std::size_t>(2 * back.mlp.shape.n * size));
  run_op(MlpJacobian<T>{back.mlp, both.data(), 2, rows.data(), size, back.partition});
  double error = 0, largest = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool second = i / gradient.size() % 2 == 1;
    if (!second) sums[i % gradient.size()] += rows[i];
    if (second) error += std::abs(static_cast<double>(rows[i] + rows[i - gradient.size()]));
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    error = std::max(error, static_cast<double>(std::abs(sums[i] - gradient[i])));
    largest = std::max(largest, static_cast<double>(std::abs(gradient[i])));
  }
  ++num_checks;
  if (!(error <= (sizeof(T) == sizeof(double) ? 1e-12 : 1e-4) * (1 + largest))) {
    std::fprintf(stderr, "mlp_jacobian: expected rows that add up to the gradient, got %g away\n", error);
    std::exit(1);
  }
}

template <typename T, typename RunOp>
void check_jet(const RunOp& run_op, const MlpShape& shape, int64_t parts) {
  const Network<T> network(shape);
  const std::vector<T> v = random_array<T>(shape.streams.count() * shape.n * shape.outputs());
  std::vector<T> gradient(network.parameters.size());
  MlpJetBackward<T> back{};
  back.mlp = network.at(network.parameters);
  back.v_out = v.data();
  back.gradient = gradient.data();
  back.want_B = true;
  back.partition = {parts};
  run_op(back);
  check_adjoint("mlp_jet", network.parameters, v, gradient, [&](const std::vector<T>& at) {
    std::vector<T> out(v.size());
    MlpJet<T> op{};
    op.mlp = network.at(at);
    op.out = out.data();
    op.partition = {parts};
    run_op(op);
    return out;
  });
  std::vector<T> without_B(static_cast<std::size_t>(shape.num_parameters()));
  back.gradient = without_B.data();
  back.want_B = false;
  run_op(back);
  check_rows(run_op, back, v, without_B);
}

template <int dim, typename T, typename RunOp>
void check_loss(const RunOp& run_op, int64_t n, bool time, bool per_point, int64_t parts) {
  JetStreams streams{dim + time, true, {}, {}};
  for (int j = 0; j < streams.num_first; ++j) {
    streams.first[j] = j;
    streams.weight[j] = time && j == 0 ? 0.0 : 1.0;
  }
  const Network<T> network(make_shape(n, 5, {9, 20, dim + 1}, streams, Activation::tanh));
  const std::vector<T> nu = random_array<T>(per_point ? n : 1), forcing = random_array<T>(per_point ? n * dim : dim);
  const std::vector<T> base = random_array<T>(n * dim * (dim + 1));
  const std::vector<T> point_weights = random_array<T>(n), term_weights = random_array<T>(dim + 1);
  std::vector<T> gradient(network.parameters.size() + nu.size()), residual(static_cast<std::size_t>(n * (dim + 1)));
  std::vector<T> terms(static_cast<std::size_t>(dim + 1)), total(1);
  MeanSquare<NavierStokes<dim, T>> op{};
  op.equation = {{nu.data(), 1, per_point}, {forcing.data(), dim, per_point}, !time};
  if (per_point) op.equation.base = {base.data(), dim * (dim + 1), true};
  op.term_weights = term_weights.data();
  op.point_weights = per_point ? point_weights.data() : nullptr;
  op.count = static_cast<double>(n);
  op.total = total.data();
  op.terms = terms.data();
  op.want_B = op.want_learned = true;
  op.partition = {parts};
  auto loss = [&](const std::vector<T>& at) {
    op.mlp = network.at(at);
    op.residual = op.gradient = nullptr;
    run_op(op);
    return total;
  };
  op.mlp = network.at(network.parameters);
  op.residual = residual.data();
  op.gradient = gradient.data();
  run_op(op);
  gradient.resize(network.parameters.size());
  check_adjoint("navier_stokes_loss", network.parameters, {T(1)}, gradient, loss);
}

template <typename T, typename RunOp>
void check_all(const RunOp& run_op) {
  const JetStreams value{0, false, {}, {}}, gradient{2, false, {1, 0}, {}}, unsteady{3, true, {0, 1, 2}, {0, 1, 1}};
  const JetStreams weighted{5, true, {4, 0, 1, 2, 3}, {0.5, 0, 2, 1, -1}};
  for (int64_t parts : {0, 1, 3})
    for (int64_t n : {1, 7, 65}) {
      check_jet<T>(run_op, make_shape(n, 1, {1}, value, Activation::tanh), parts);
      check_jet<T>(run_op, make_shape(n, 8, {16, 33, 2}, gradient, Activation::sine), parts);
      check_jet<T>(run_op, make_shape(n, 17, {20, 3}, unsteady, Activation::gelu), parts);
      check_jet<T>(run_op, make_shape(n, 3, {7, 31, 32, 40}, weighted, Activation::silu), parts);
      for (bool time : {false, true}) {
        check_loss<2, T>(run_op, n, time, n > 1, parts);
        check_loss<3, T>(run_op, n, time, n > 1, parts);
      }
    }
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::on_every_isa([](auto run_op) {
    pinn::check_all<float>(run_op);
    pinn::check_all<double>(run_op);
  });
  return 0;
}
