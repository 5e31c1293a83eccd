// The mean square of a residual in the fused kernel (fused_kernel_cuda.h), and the sum of its terms.
//
// The threads 0 to 15 of a block take a point each. Their sums over the tiles are in double: the columns of the
// residual, squared and weighted, then the cotangents of a learned coefficient that is the same for all points.
//
// An equation's *_cuda.cu includes this and instantiates run_on_cuda.
#pragma once

#include "mlp/fused_run_cuda.h"
#include "mlp/mean_square.h"

#ifdef __CUDACC__
#include "mlp/fused_launch_cuda.h"
#endif

namespace pinn::fused_cuda {

template <typename Residual>
struct MeanSquareHead {
  static constexpr int kColumns = Residual::kColumns, kLearned = Residual::kLearned;
  static_assert(kColumns + kLearned <= kSums, "the kernel keeps so many sums for a point");

  MeanSquare<Residual> op;
  int before_learned;  // numbers of the gradient

  template <typename Streams>
  static constexpr bool supports = Residual::template supports<Streams>;

  PINN_HD bool wants_outputs() const { return true; }

  template <typename Streams>
  __device__ __forceinline__ void apply(const Tile& tile, const Streams& streams, float* y, double* sums) const {
    const int p = static_cast<int>(threadIdx.x);
    if (p >= kTilePoints) return;
    const auto entry = [&](int s, int c) -> float& { return y[(s * kTilePoints + p) * kMaxOutputs + c]; };
    typename Residual::template Jet<float> q{}, v_q;
    op.equation.for_each_entry(q, streams, [&](int s, int c, float& number) { number = entry(s, c); });
    for (int s = 0; s < Streams::count; ++s)  // what the residual does not read has no cotangent
      for (int c = 0; c < kMaxOutputs; ++c) entry(s, c) = 0;
    if (p >= tile.count) return;
    const int64_t i = tile.first + p;
    const auto k =
        op.equation.template coefficients<float>([&](const PerPoint<float>& a, int column) { return a.at(i, column); });
    float r[kColumns], v[kColumns], v_learned[kLearned + 1];
    op.equation.point(q, k, r);
    square(i, r, v, sums + p * kSums);
    if (op.gradient == nullptr) return;
    op.equation.backward_point(q, k, v, v_q, v_learned);
    write_learned(i, v_learned, sums + p * kSums);
    op.equation.for_each_entry(v_q, streams, [&](int s, int c, float& number) { entry(s, c) = number; });
  }

  // Adds the squares to the sums; v is the cotangent of the residual.
  __device__ __forceinline__ void square(int64_t i, const float (&r)[kColumns], float (&v)[kColumns],
                                         double* sums) const {
    const float weight = op.point_weights == nullptr ? 1.0f : op.point_weights[i];
    const float scale = static_cast<float>(2 / op.count) * weight;
    for (int c = 0; c < kColumns; ++c) {
      if (op.residual != nullptr) op.residual[i * kColumns + c] = r[c];
      sums[c] += static_cast<double>(weight) * static_cast<double>(r[c]) * static_cast<double>(r[c]);
      v[c] = scale * op.term_weights[c] * r[c];
    }
  }

  __device__ __forceinline__ void write_learned(int64_t i, const float (&v)[kLearned + 1], double* sums) const {
    if (!op.want_learned) return;
    for (int c = 0; c < kLearned; ++c)
      if (op.equation.learned().per_point)
        op.gradient[before_learned + i * kLearned + c] = v[c];
      else
        sums[kColumns + c] += static_cast<double>(v[c]);
  }
};

// One warp: each lane sums every 32nd block, then the lanes are added in order.
template <typename Residual>
__global__ void __launch_bounds__(kWarp)
    sum_terms_kernel(const __grid_constant__ Plan plan, const MeanSquareHead<Residual> head) {
  double* lanes = static_cast<double*>(dynamic_shared());  // [kWarp][kSums]
  const MeanSquare<Residual>& op = head.op;
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < kSums; ++i) {
    double sum = 0;
    for (int b = lane; b < plan.blocks; b += kWarp) sum += plan.sums[b * kSums + i];
    lanes[lane * kSums + i] = sum;
  }
  __syncthreads();
  if (lane > 0) return;
  const bool learned = op.gradient != nullptr && op.want_learned && !op.equation.learned().per_point;
  double total = 0;
  for (int i = 0; i < Residual::kColumns + Residual::kLearned; ++i) {
    double sum = 0;
    for (int j = 0; j < kWarp; ++j) sum += lanes[j * kSums + i];
    if (i < Residual::kColumns) {
      op.terms[i] = static_cast<float>(sum / op.count);
      total += static_cast<double>(op.term_weights[i]) * (sum / op.count);
    } else if (learned) {
      op.gradient[head.before_learned + i - Residual::kColumns] = static_cast<float>(sum);
    }
  }
  op.total[0] = static_cast<float>(total);
}

template <typename Residual, typename Launch>
void run_fused(const MeanSquare<Residual>& a, const Device& device, const Launch& launch) {
  check_supported(Residual::kName, a.mlp.shape);
  const bool gradient = a.gradient != nullptr;
  const Plan plan = make_plan(a.mlp.shape, gradient, gradient && a.want_B, device, a.partition.parts, a.workspace);
  const MeanSquareHead<Residual> head{a, static_cast<int>(a.before_learned())};
  run_fused(Residual::kName, a.mlp, plan, head, a.gradient, launch);
  launch(Residual::kName, &sum_terms_kernel<Residual>, 1, kWarp, static_cast<int>(kWarp * kSums * sizeof(double)), plan,
         head);
}

}  // namespace pinn::fused_cuda

#ifdef __CUDACC__

namespace pinn {

template <typename Residual>
void run_on_cuda(const MeanSquare<Residual>& a, Stream stream) {
  if constexpr (std::is_same_v<typename Residual::Scalar, float>)
    fused_cuda::run_fused(a, fused_cuda::current_device(), CudaLaunch{cuda_stream(stream)});
  else
    fused_cuda::throw_not_supported(Residual::kName);
}

}  // namespace pinn

#endif
