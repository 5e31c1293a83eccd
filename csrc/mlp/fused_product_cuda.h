// Matrix products of a tile on the tensor cores, to the accuracy of float32 (3xTF32).
//
//   rows      y [16 M, 8 N] += x [16 M, k] w^T       x in a buffer, w packed; one warp
//   weights   partial [32, 32] += v^T h                summed over all rows of a tile; one warp
//
// A float32 is a large part of 11 bits and a small part: x = x' + x''. Of the four products of two such sums the last,
// x'' y'', is below rounding; the others are summed from small to large. The tensor core rounds its sums towards zero,
// which over a whole row of weights would cost a digit: it sums 16 places, and ordinary float32 sums those (Ootomo and
// Yokota, IJHPCA 36 (2022) 475).
//
// The index that is summed over may be permuted if both operands agree. x is read in pairs: of 8 columns, (2t, 2t + 1)
// take the places (t, t + 4) of the tensor core; the packed weights (fused_pack_cuda.h) have the same order.
#pragma once

#include "mlp/fused_plan.h"
#include "mlp/tensor_core_cuda.h"

namespace pinn::fused_cuda {

// Rounded to 11 bits, ties away from zero. What is not finite may come out finite: then the small part is NaN.
__device__ __forceinline__ float large_part(float x) {
  return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u);
}

template <int count>
struct Split {
  float large[count], small[count];

  __device__ __forceinline__ void set(int i, float x) {
    large[i] = large_part(x);
    small[i] = x - large[i];
  }
};

template <int N>
__device__ __forceinline__ void multiply_add(float (&c)[N][4], const Split<4>& a, const Split<2> (&b)[N]) {
#pragma unroll
  for (int j = 0; j < N; ++j) mma_tf32(c[j], a.small, b[j].large);
#pragma unroll
  for (int j = 0; j < N; ++j) mma_tf32(c[j], a.large, b[j].small);
#pragma unroll
  for (int j = 0; j < N; ++j) mma_tf32(c[j], a.large, b[j].large);
}

template <int N>
__device__ __forceinline__ void add_part(const float (&part)[N][4], float (&acc)[N][4]) {
  mma_wait();
#pragma unroll
  for (int j = 0; j < N; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) acc[j][e] += part[j][e];
}

__device__ __forceinline__ Split<4> load_rows(const float* at, int stride) {  // at: row g, column 2t
  const float2 above = *reinterpret_cast<const float2*>(at), below = *reinterpret_cast<const float2*>(at + 8 * stride);
  Split<4> a;
  a.set(0, above.x);
  a.set(1, below.x);
  a.set(2, above.y);
  a.set(3, below.y);
  return a;
}

// packed: the first of N column blocks, [N][steps][lane][4]. The weights of the next step are loaded while this
// one is computed.
template <int M, int N>
__device__ __forceinline__ void multiply_rows(const float* x, int stride, const float* packed, int steps, int lane,
                                              float (&acc)[M][N][4]) {
  const float* at = x + lane / 4 * stride + lane % 4 * 2;
  const float4* weights = reinterpret_cast<const float4*>(packed) + lane;
  float4 next[N];
#pragma unroll
  for (int j = 0; j < N; ++j) next[j] = weights[j * steps * kWarp];
#pragma unroll 1  // more would spill registers
  for (int q = 0; q < steps; ++q, at += 16) {
    float4 now[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      now[j] = next[j];
      if (q + 1 < steps) next[j] = weights[(j * steps + q + 1) * kWarp];
    }
    Split<2> b[2][N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      b[0][j].set(0, now[j].x);
      b[0][j].set(1, now[j].y);
      b[1][j].set(0, now[j].z);
      b[1][j].set(1, now[j].w);
    }
#pragma unroll
    for (int s = 0; s < M; ++s) {
      float part[N][4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half)
        multiply_add<N>(part, load_rows(at + 16 * s * stride + 8 * half, stride), b[half]);
      add_part(part, acc[s]);
    }
  }
}

// To 16 M rows of 8 N columns, x at the first.
template <int M, int N>
__device__ __forceinline__ void store_rows(const float (&acc)[M][N][4], float* x, int stride, int lane) {
  float* at = x + lane / 4 * stride + lane % 4 * 2;
#pragma unroll
  for (int s = 0; s < M; ++s)
#pragma unroll
    for (int j = 0; j < N; ++j) {
      float* to = at + 16 * s * stride + 8 * j;
      *reinterpret_cast<float2*>(to) = {acc[s][j][0], acc[s][j][1]};
      *reinterpret_cast<float2*>(to + 8 * stride) = {acc[s][j][2], acc[s][j][3]};
    }
}

// The order of a square of a weight gradient in a partial one, [row block 2][column block 4][lane][4]: that of the
// registers.
struct Position {
  int row, column;
};
PINN_HD Position position_in_square(int index) {
  const int row_block = index / 512, column_block = index / 128 % 4, lane = index / 4 % kWarp, e = index % 4;
  return {16 * row_block + lane / 4 + e / 2 * 8, 8 * column_block + lane % 4 * 2 + e % 2};
}

__device__ __forceinline__ Split<4> load_columns(const float* at, int stride) {  // at: row t, column g
  Split<4> a;
  a.set(0, at[0]);
  a.set(1, at[8]);
  a.set(2, at[4 * stride]);
  a.set(3, at[4 * stride + 8]);
  return a;
}

// v: the first of 32 columns, h too. Where `add` is false the partial gradient holds nothing yet.
__device__ __forceinline__ void add_square(const float* v, const float* h, int stride, int rows, int lane, bool add,
                                           float* partial) {
  float acc[2][4][4] = {};
  const int at = lane % 4 * stride + lane / 4;
#pragma unroll 1  // more would spill registers
  for (int row = 0; row < rows; row += 16) {
    const float *v_at = v + row * stride + at, *h_at = h + row * stride + at;
    Split<2> b[2][4];
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        b[half][j].set(0, h_at[8 * j + 8 * half * stride]);
        b[half][j].set(1, h_at[8 * j + (8 * half + 4) * stride]);
      }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float part[4][4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half)
        multiply_add<4>(part, load_columns(v_at + 16 * i + 8 * half * stride, stride), b[half]);
      add_part(part, acc[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float4* to = reinterpret_cast<float4*>(partial) + (4 * i + j) * kWarp + lane;
      const float4 old = add ? *to : float4{0, 0, 0, 0};
      *to = {old.x + acc[i][j][0], old.y + acc[i][j][1], old.z + acc[i][j][2], old.w + acc[i][j][3]};
    }
}

}  // namespace pinn::fused_cuda
