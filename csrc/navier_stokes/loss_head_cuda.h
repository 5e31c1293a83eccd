// The head of the Navier-Stokes loss in the fused kernel (mlp/fused_kernel_cuda.h), and the sum of its terms.
//
// The threads 0 to 15 of a block take a point each. Their sums over the tiles are in double:
//   tally   [0, dim]: point_weight residual_i^2      kTallyNu: the cotangent of nu, where nu is one number
#pragma once

#include "mlp/fused_run_cuda.h"
#include "navier_stokes/loss.h"
#include "navier_stokes/residual_point.h"

namespace pinn::fused_cuda {

inline constexpr int kTallyNu = 4;

template <int dim>
struct LossHead {
  NavierStokesLoss<float> loss;
  int num_parameters;  // numbers of the gradient before that of nu

  template <typename Streams>
  static constexpr bool serves = Streams::has_laplacian && (Streams::num_first == dim || Streams::num_first == dim + 1);

  PINN_HD bool wants_outputs() const { return true; }

  template <typename Streams>
  __device__ __forceinline__ void apply(const Tile& tile, const Streams&, float* y, double* tally) const {
    const int p = static_cast<int>(threadIdx.x);
    if (p >= kTilePoints) return;
    const auto entry = [&](int s, int c) -> float& { return y[(s * kTilePoints + p) * kMaxOutputs + c]; };
    FlowJet<dim, float> q, v_q;
    for (int i = 0; i < dim; ++i) q.rate[i] = 0;
    for_each_entry(q, Streams::num_first > dim, loss.size.steady,
                   [&](int s, int c, float& number) { number = entry(s, c); });
    for (int s = 0; s < Streams::count; ++s)  // what the residual does not read has no cotangent
      for (int c = 0; c < kMaxOutputs; ++c) entry(s, c) = 0;
    if (p >= tile.count) return;
    const int64_t i = tile.first + p;
    float v[dim + 1];
    const float nu = loss.nu[loss.size.nu_per_point ? i : 0];
    residual_and_cotangent(i, q, nu, v, tally + p * kTally);
    if (loss.gradient == nullptr) return;
    write_nu(i, residual_backward_point<dim>(q, nu, v, v_q), tally + p * kTally);
    for_each_entry(v_q, Streams::num_first > dim, loss.size.steady,
                   [&](int s, int c, float& number) { entry(s, c) = number; });
  }

  __device__ __forceinline__ void residual_and_cotangent(int64_t i, const FlowJet<dim, float>& q, float nu,
                                                         float (&v)[dim + 1], double* tally) const {
    float force[dim], r[dim + 1];
    for (int c = 0; c < dim; ++c)
      force[c] = loss.forcing == nullptr ? 0.0f : loss.forcing[(loss.size.force_per_point ? i * dim : 0) + c];
    residual_point<dim>(q, nu, force, r);
    const float weight = loss.point_weights == nullptr ? 1.0f : loss.point_weights[i];
    const float scale = static_cast<float>(2 / loss.count) * weight;
    for (int c = 0; c <= dim; ++c) {
      if (loss.residual != nullptr) loss.residual[i * (dim + 1) + c] = r[c];
      tally[c] += static_cast<double>(weight) * static_cast<double>(r[c]) * static_cast<double>(r[c]);
      v[c] = scale * loss.term_weights[c] * r[c];
    }
  }

  __device__ __forceinline__ void write_nu(int64_t i, float v_nu, double* tally) const {
    if (!loss.want_nu) return;
    if (loss.size.nu_per_point)
      loss.gradient[num_parameters + i] = v_nu;
    else
      tally[kTallyNu] += static_cast<double>(v_nu);
  }
};

// One warp: each lane sums every 32nd block, then the lanes are added in order.
template <int dim>
__global__ void __launch_bounds__(kWarp) sum_terms_kernel(const __grid_constant__ Plan plan, const LossHead<dim> head) {
  double* sums = static_cast<double*>(dynamic_shared());  // [kWarp][kTally]
  const NavierStokesLoss<float>& loss = head.loss;
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < kTally; ++i) {
    double sum = 0;
    for (int b = lane; b < plan.blocks; b += kWarp) sum += plan.tallies[b * kTally + i];
    sums[lane * kTally + i] = sum;
  }
  __syncthreads();
  if (lane > 0) return;
  double total = 0;
  for (int i = 0; i < kTally; ++i) {
    double sum = 0;
    for (int j = 0; j < kWarp; ++j) sum += sums[j * kTally + i];
    if (i <= dim) {
      loss.terms[i] = static_cast<float>(sum / loss.count);
      total += static_cast<double>(loss.term_weights[i]) * (sum / loss.count);
    }
    if (i == kTallyNu && loss.gradient != nullptr && loss.want_nu && !loss.size.nu_per_point)
      loss.gradient[head.num_parameters] = static_cast<float>(sum);
  }
  loss.total[0] = static_cast<float>(total);
}

template <int dim, typename Launch>
void run_loss(const NavierStokesLoss<float>& a, const Plan& plan, const Launch& launch) {
  const LossHead<dim> head{a, plan.num_parameters + (plan.want_B ? plan.d * plan.m : 0)};
  run_fused("navier_stokes_loss", a.mlp, plan, head, a.gradient, launch);
  launch("navier_stokes_loss", &sum_terms_kernel<dim>, 1, kWarp, static_cast<int>(kWarp * kTally * sizeof(double)),
         plan, head);
}

template <typename Launch>
void run_fused(const NavierStokesLoss<float>& a, const Device& device, const Launch& launch) {
  check_served("navier_stokes_loss", a.mlp.shape);
  const bool gradient = a.gradient != nullptr;
  const Plan plan = make_plan(a.mlp.shape, gradient, gradient && a.want_B, device, a.sharing.parts, a.workspace);
  a.size.dim == 2 ? run_loss<2>(a, plan, launch) : run_loss<3>(a, plan, launch);
}

}  // namespace pinn::fused_cuda
