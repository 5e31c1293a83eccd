// The breakage residual and its adjoint: the CPU kernels on every instruction set that this CPU has, and the source of
// the CUDA kernels on the host (cuda_on_host.h), which must agree.
//
// Each array is a heap block of exactly its size, so that the sanitizers find one number too many.
#include "cuda_on_host.h"

// after cuda_on_host.h
#include "adjoint.h"
#include "equations/breakage_scan_cuda.h"

namespace pinn {
namespace {

// One time after the other, as threads of a GPU would.
struct OnHost {
  template <typename T>
  void operator()(const BreakageResidual<T>& a) const {
    for (int64_t time = 0; time < a.grid.times; ++time) breakage_residual_of_time(a, time);
  }
  template <typename T>
  void operator()(const BreakageResidualBackward<T>& a) const {
    for (int64_t time = 0; time < a.grid.times; ++time) breakage_backward_of_time(a, time);
  }
};

template <typename T>
struct Inputs {
  int64_t times, nodes;
  std::vector<T> g = random_array<T>(times * nodes), g_t = random_array<T>(times * nodes);
  std::vector<T> rate = random_array<T>(nodes), weight = random_array<T>(nodes), scale = random_array<T>(nodes);
  std::vector<T> step = random_array<T>(nodes - 1), log_tail = random_array<T>(times % 2 ? times : 0);

  BreakageGrid<T> grid() const {
    return {g.data(), weight.data(), scale.data(), step.data(), log_tail.empty() ? nullptr : log_tail.data(),
            times,    nodes};
  }
  template <typename RunOp>
  std::vector<T> residual(const RunOp& run_op) const {
    std::vector<T> out(g.size());
    run_op(BreakageResidual<T>{grid(), g_t.data(), rate.data(), out.data()});
    return out;
  }
};

template <typename T>
struct Gradients {
  std::vector<T> g, log_tail, weight, scale;

  template <typename RunOp>
  Gradients(const RunOp& run_op, const Inputs<T>& in, const std::vector<T>& v)
      : g(in.g.size()), log_tail(in.log_tail.size()), weight(in.g.size()), scale(in.g.size()) {
    run_op(BreakageResidualBackward<T>{in.grid(), v.data(), g.data(), log_tail.empty() ? nullptr : log_tail.data(),
                                       weight.data(), scale.data()});
  }
};

// Two orders of the same few operations for each piece; a scan of 600 nodes sums positive parts of some ten in size.
template <typename T>
void check_agreement(const std::vector<T>& a, const std::vector<T>& b) {
  double size = 1;
  for (T value : b) size = std::max(size, std::fabs(static_cast<double>(value)));
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(static_cast<double>(a[i] - b[i])) <=
          1000 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size)) {
      std::fprintf(stderr, "breakage_residual: expected %g, got %g\n", static_cast<double>(b[i]),
                   static_cast<double>(a[i]));
      std::exit(1);
    }
}

template <typename T, typename RunOp>
void check_breakage(const RunOp& run_op, int64_t times, int64_t nodes) {
  Inputs<T> in{times, nodes};
  for (T& h : in.step) h = T(0.1) + std::abs(h);
  const std::vector<T> v = random_array<T>(times * nodes);
  const Gradients<T> found(run_op, in, v);
  const auto check = [&](const char* name, std::vector<T> Inputs<T>::* input, const std::vector<T>& gradient) {
    check_adjoint(name, in.*input, v, gradient, [&](const std::vector<T>& at) {
      Inputs<T> moved = in;
      moved.*input = at;
      return moved.residual(run_op);
    });
  };
  check("breakage_residual by g", &Inputs<T>::g, found.g);
  check("breakage_residual by weight", &Inputs<T>::weight, total(found.weight, nodes));
  check("breakage_residual by scale", &Inputs<T>::scale, total(found.scale, nodes));
  check("breakage_residual by log_tail", &Inputs<T>::log_tail, found.log_tail);
  std::vector<T> v_g(v.size());
  run_op(BreakageResidualBackward<T>{in.grid(), v.data(), v_g.data(), nullptr, nullptr, nullptr});
  check_agreement(v_g, found.g);
  check_agreement(in.residual(run_op), in.residual(OnHost{}));
  check_agreement(found.g, Gradients<T>(OnHost{}, in, v).g);
}

template <typename T, typename RunOp>
void check_all(const RunOp& run_op) {
  for (int64_t nodes : {1, 2, 15, 16, 17, 255, 256, 257, 600})
    for (int64_t times : {0, 1, 2, 3}) check_breakage<T>(run_op, times, nodes);
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::on_every_isa([](auto run_op) {
    pinn::check_all<float>(run_op);
    pinn::check_all<double>(run_op);
  });
  pinn::check_all<float>(pinn::OnHost{});
  pinn::check_all<double>(pinn::OnHost{});
  std::printf("%d checks hold\n", pinn::num_checks);
  return 0;
}
