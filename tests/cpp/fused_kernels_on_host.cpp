// The source of the fused CUDA kernels, run on the host (cuda_on_host.h) under the sanitizers, against plain loops in
// double precision (mlp_reference.h).
//
// Every case runs with the threads forwards and backwards, which have to give the same bits. The last checks are of the
// emulation: a kernel that lacks a barrier and a tensor core with its numbers in the wrong places must be found out.
#include "fused_on_host.h"

namespace pinn {
namespace {

void check_jet(const char* name, const Network& net, const Device& device, bool want_B) {
  const MlpShape& shape = net.shape;
  const int64_t c = shape.outputs(), streams = shape.streams.count(), size = streams * shape.n * c;
  const CastNetwork<float> network(net);
  const Numbers v = random_numbers(size, 1);
  const Floats v_out = cast<float>(v);
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

template <typename T>
using Flow2 = NavierStokes<2, T>;
template <typename T>
using Flow3 = NavierStokes<3, T>;

struct Run {
  const char* name;
  std::vector<int64_t> hidden;
  int64_t m, n;
  LossCase c;
  Activation activation;
  Device device;
};

template <template <typename> class Equation>
void check_loss_of(const Run& run) {
  const auto problem = loss_problem<Equation>(run.hidden, run.m, run.n, run.c, run.activation);
  const bool small = problem.net.shape.num_parameters() < 10000;
  if (small) check_reference(problem);
  check_loss(run.name, problem, run.device, true);
  if (small) check_loss(run.name, problem, run.device, false);
}

void check_losses() {
  const LossCase flat{true, false, true, false, false, false, false, true};
  const LossCase steady{false, true, false, true, true, true, true, false};
  const LossCase dropped{true, true, true, true, true, false, true, true};
  const LossCase deep{true, false, true, false, true, true, false, true};
  const LossCase deep_steady{false, true, false, true, false, false, true, true};
  for (const Run& run : {
           Run{"1 linear layer", {}, 10, 19, flat, Activation::tanh, kDevice},
           Run{"width 20", {20}, 7, 37, flat, Activation::tanh, kDevice},
           Run{"width 37", {37, 37}, 16, 130, steady, Activation::sine, kDevice},
           Run{"one point", {37, 20, 37}, 10, 1, dropped, Activation::silu, kDevice},
           Run{"one buffer", {64, 37}, 20, 40, flat, Activation::sine, kOneBuffer},
           Run{"no buffer", {37, 64}, 20, 40, dropped, Activation::gelu, kNoBuffer},
           Run{"width 256", {256}, 128, 17, flat, Activation::tanh, kDevice},
       })
    check_loss_of<Flow2>(run);
  for (const Run& run : {
           Run{"width 64", {64, 64, 64}, 32, 50, deep, Activation::gelu, kDevice},
           Run{"width 100", {100, 20, 100}, 50, 33, deep_steady, Activation::tanh, kDevice},
       })
    check_loss_of<Flow3>(run);
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
      const Activation activation = static_cast<Activation>(first % kNumActivations);
      check_jet("mlp_jet", random_network({20, 40, 24, 8}, 35, 4, streams, activation), kDevice, laplacian);
    }
}

void check_empty() {
  const LossCase c{true, false, true, false, false, false, false, false};
  auto problem = loss_problem<Flow2>({20}, 7, 1, c, Activation::tanh);
  problem.net.shape.n = 0;
  const Floats got = run_on_device(problem, kDevice, true);
  ++num_checks;
  for (float number : got)
    if (number != 0) fail("no points", "all", static_cast<double>(number));
}

// What is not finite must not get lost in a split (fused_product_cuda.h), whatever bits a NaN has.
void check_not_finite() {
  const LossCase c{true, false, true, false, false, false, false, false};
  auto problem = loss_problem<Flow2>({20}, 7, 1, c, Activation::tanh);
  for (std::uint32_t bits : {0x7fffffffu, 0xffffffffu, 0x7fc00000u, 0x7f800001u, 0x7f800000u, 0xff800000u}) {
    problem.net.weight[1][3] = static_cast<double>(__uint_as_float(bits));
    const Floats got = run_on_device(problem, kDevice, false);
    ++num_checks;
    if (std::isfinite(got[6])) fail("not finite", "total", 0);  // after residual [1, 3] and terms [3]
  }
}

// Whether a fault changes the result, with the threads forwards or backwards.
bool notices(const cuda_on_host::Faults& faults) {
  const LossCase c{true, false, true, false, false, false, false, true};
  static const auto problem = loss_problem<Flow2>({64, 40}, 20, 20, c, Activation::sine);
  static const Floats right = run_on_device(problem, kOneBlock, true);
  cuda_on_host::machine.faults = faults;
  bool noticed = false;
  for (bool backwards : {false, true}) {
    cuda_on_host::machine.backwards = backwards;
    const Floats got = run_on_device(problem, kOneBlock, true);
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
