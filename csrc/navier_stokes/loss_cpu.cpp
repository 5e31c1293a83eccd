// The Navier-Stokes loss on the CPU: the head of a tile is the residual, its mean square and its adjoint, points in
// vectors. Sums over tiles and parts are kept in double: a running sum of many points in float would lose digits.
#include <algorithm>
#include <array>
#include <vector>

#include "mlp/fused_mlp.h"
#include "navier_stokes/loss.h"
#include "navier_stokes/residual_point.h"

namespace pinn {
namespace {

using std::int64_t;

// What a part sums, on a cache line of its own.
struct alignas(64) PartSums {
  std::array<double, 4> squares{};  // of each column of the residual, weighted
  double v_nu = 0;
};

template <int dim, typename Layout, typename T>
class LossHead {
 public:
  using V = typename Layout::V;

  LossHead(const NavierStokesLoss<T>& op, PartSums* sums, T* v_nu_points)
      : op_(op), sums_(sums), v_nu_points_(v_nu_points) {}

  void operator()(int64_t part, const Tile& tile, const T* y, T* v_y) const {
    V squares[dim + 1], v_nu(T(0));
    for (V& s : squares) s = V(T(0));
    const bool back = op_.gradient != nullptr;
    // What the residual does not read has no cotangent.
    if (back) std::fill_n(v_y, Layout::jet_size(dim + 1, tile.rows), T(0));
    for (int64_t i = 0; i < tile.t; i += V::size) {
      const int64_t left = tile.t - i, point = tile.first + i;
      const FlowJet<dim, V> q = load(tile, y, i);
      const V nu = op_.size.nu_per_point ? V::load(op_.nu + point, left) : V(op_.nu[0]);
      V force[dim], residual[dim + 1], v[dim + 1];
      for (int c = 0; c < dim; ++c) force[c] = load_force(point, c, left);
      residual_point<dim>(q, nu, force, residual);
      // Lanes beyond the last point weigh nothing.
      const V weight =
          op_.point_weights != nullptr ? V::load(op_.point_weights + point, left) : V::load(kOnes.data(), left);
      for (int c = 0; c <= dim; ++c) {
        if (op_.residual != nullptr) residual[c].scatter(op_.residual + point * (dim + 1) + c, dim + 1, left);
        const V weighted = weight * residual[c];
        squares[c] += weighted * residual[c];
        v[c] = V(static_cast<T>(2.0 / op_.count) * op_.term_weights[c]) * weighted;
      }
      if (!back) continue;
      FlowJet<dim, V> v_q;
      const V v_nu_here = residual_backward_point<dim>(q, nu, v, v_q);
      if (v_nu_points_ != nullptr) v_nu_here.store(v_nu_points_ + point, left);
      v_nu += v_nu_here;
      for_each_entry(v_q, op_.size.time_stream, op_.size.steady, [&](int stream, int column, V& entry) {
        Layout::store_points(tile, entry, v_y, stream, column, i);
      });
    }
    PartSums& sums = sums_[part];
    for (int c = 0; c <= dim; ++c) sums.squares[static_cast<std::size_t>(c)] += static_cast<double>(squares[c].sum());
    sums.v_nu += static_cast<double>(v_nu.sum());
  }

 private:
  static constexpr auto kOnes = [] {
    std::array<T, static_cast<std::size_t>(V::size)> ones{};
    for (T& one : ones) one = T(1);
    return ones;
  }();

  FlowJet<dim, V> load(const Tile& tile, const T* y, int64_t i) const {
    FlowJet<dim, V> q;
    for (V& rate : q.rate) rate = V(T(0));
    for_each_entry(q, op_.size.time_stream, op_.size.steady,
                   [&](int stream, int column, V& entry) { entry = Layout::load_points(tile, y, stream, column, i); });
    return q;
  }

  V load_force(int64_t point, int c, int64_t left) const {
    if (op_.forcing == nullptr) return V(T(0));
    if (!op_.size.force_per_point) return V(op_.forcing[c]);
    return V::gather(op_.forcing + point * dim + c, dim, left);
  }

  const NavierStokesLoss<T>& op_;
  PartSums* sums_;
  T* v_nu_points_;  // [n], or null: one sum, or none
};

// Total and terms from the sums of all parts, in order; returns the sum of v_nu.
template <int dim, typename T>
double write_terms(const NavierStokesLoss<T>& a, const std::vector<PartSums>& parts) {
  PartSums sum;
  for (const PartSums& part : parts) {
    for (std::size_t c = 0; c <= dim; ++c) sum.squares[c] += part.squares[c];
    sum.v_nu += part.v_nu;
  }
  double total = 0;
  for (int c = 0; c <= dim; ++c) {
    const double term = sum.squares[static_cast<std::size_t>(c)] / a.count;
    a.terms[c] = static_cast<T>(term);
    total += static_cast<double>(a.term_weights[c]) * term;
  }
  *a.total = static_cast<T>(total);
  return sum.v_nu;
}

template <int dim, Isa isa, typename T>
void loss(const NavierStokesLoss<T>& a) {
  const Wanted wanted = a.gradient == nullptr ? Wanted::value : a.want_B ? Wanted::gradient_with_B : Wanted::gradient;
  T* v_nu = nullptr;  // behind the parameters (and B)
  if (a.gradient != nullptr && a.want_nu)
    v_nu = a.gradient + a.mlp.shape.num_parameters() + (a.want_B ? a.mlp.shape.d * a.mlp.shape.m : 0);
  with_fused_mlp<isa, T>(a.mlp, wanted, a.sharing, [&](auto& fused) {
    using Layout = typename std::decay_t<decltype(fused)>::Layout;
    std::vector<PartSums> parts(static_cast<std::size_t>(fused.parts()));
    fused.run(LossHead<dim, Layout, T>(a, parts.data(), a.size.nu_per_point ? v_nu : nullptr));
    const double v_nu_sum = write_terms<dim>(a, parts);
    if (a.gradient == nullptr) return;
    fused.write_gradient(a.gradient);
    if (v_nu != nullptr && !a.size.nu_per_point) *v_nu = static_cast<T>(v_nu_sum);
  });
}

}  // namespace

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const NavierStokesLoss<T>& a) {
  if (a.size.dim == 2)
    loss<2, isa>(a);
  else
    loss<3, isa>(a);
}

template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesLoss<float>&);
template void run_on_cpu(IsaConstant<kIsa>, const NavierStokesLoss<double>&);

}  // namespace pinn
