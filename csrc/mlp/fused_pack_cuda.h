// Before and after the fused kernel: the weights in the order of the tensor cores, and the sum of the blocks'
// gradients.
//
//   packed    [columns / 8][steps][lane][4] of w^T (forward) or w (backward), [summed index, column]: the four numbers
//             have the column g and, of the step's 16, the places 2t, 2t + 1, 8 + 2t, 8 + 2t + 1; zeros outside
//   gradient  for each number the sum over blocks of their partial gradients, in fixed order
#pragma once

#include "mlp/fused_plan.h"
#include "mlp/fused_product_cuda.h"

namespace pinn::fused_cuda {

inline constexpr int kPlainThreads = 256;  // of the kernels in this file

struct PackedIndex {
  int summed, column;
};
PINN_HD PackedIndex packed_index(int index, int width) {
  const int steps = (width + 15) / 16, e = index % 4, lane = index / 4 % kWarp, block = index / 128;
  return {block % steps * 16 + e / 2 * 8 + lane % 4 * 2 + e % 2, block / steps * 8 + lane / 4};
}

PINN_HD float packed_weight(const Mlp<float>& mlp, const Plan& plan, int index) {
  int l = 0;
  while (l + 1 < plan.num_linear && plan.layer[l + 1].forward <= index) ++l;
  const LayerPlan& layer = plan.layer[l];
  int in, out;
  if (!plan.gradient || index < layer.backward) {
    const PackedIndex at = packed_index(index - layer.forward, layer.in);
    in = at.summed, out = at.column;
  } else {
    const PackedIndex at = packed_index(index - layer.backward, layer.out);
    in = at.column, out = at.summed;
  }
  return in < layer.in && out < layer.out ? mlp.weight[l][static_cast<int64_t>(out) * layer.in + in] : 0.0f;
}

// Where a number of a partial gradient stands in the gradient, or -1: padding.
PINN_HD int parameter_of(const Plan& plan, int index) {
  if (plan.want_B && index >= plan.v_B)
    return index - plan.v_B < plan.d * plan.m ? plan.num_parameters + index - plan.v_B : -1;
  int l = 0;
  while (l + 1 < plan.num_linear && plan.layer[l + 1].v_weight <= index) ++l;
  const LayerPlan& layer = plan.layer[l];
  if (index >= layer.v_bias) {
    const int o = index - layer.v_bias;
    return o < layer.out ? layer.parameter + layer.in * layer.out + o : -1;
  }
  const int local = index - layer.v_weight, across = layer.in_padded / kPad, square = local / (kPad * kPad);
  const Position at = position_in_square(local % (kPad * kPad));
  const int o = square / across * kPad + at.row, i = square % across * kPad + at.column;
  return o < layer.out && i < layer.in ? layer.parameter + o * layer.in + i : -1;
}

static __global__ void __launch_bounds__(kPlainThreads)
    pack_weights_kernel(const __grid_constant__ Mlp<float> mlp, const __grid_constant__ Plan plan) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kPlainThreads + threadIdx.x;
  if (i < plan.packed_size) plan.packed[i] = packed_weight(mlp, plan, static_cast<int>(i));
}

// A block sums 32 numbers, a warp of it every 8th partial gradient; the warps are added in order.
static __global__ void __launch_bounds__(kPlainThreads)
    sum_partials_kernel(const __grid_constant__ Plan plan, float* gradient) {
  constexpr int warps = kPlainThreads / kWarp;
  double* sums = static_cast<double*>(dynamic_shared());  // [warps][kWarp]
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int i = static_cast<int>(blockIdx.x) * kWarp + lane;  // partial_size is a multiple of kWarp
  double sum = 0;
#pragma unroll 8
  for (int b = warp; b < plan.blocks; b += warps)
    sum += static_cast<double>(plan.partials[static_cast<int64_t>(b) * plan.partial_size + i]);
  sums[threadIdx.x] = sum;
  __syncthreads();
  const int to = warp == 0 ? parameter_of(plan, i) : -1;
  if (to < 0) return;
  for (int w = 1; w < warps; ++w) sum += sums[w * kWarp + lane];
  gradient[to] = static_cast<float>(sum);
}

}  // namespace pinn::fused_cuda
