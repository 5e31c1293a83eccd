// The tensor core's TF32 product, which has no spelling in C++.
//
//   c [16, 8] += a [16, 8] b [8, 8],   operands rounded to TF32 (10 bits of mantissa), sums in float32
//
// One warp; with g = lane / 4 and t = lane % 4 (PTX ISA, mma.m16n8k8):
//   a   (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
//   b   (t, g), (t + 4, g)
//   c   (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
// c may be read after mma_wait(). The host compiler sees no CUDA: tests/cpp/cuda_on_host.h declares the same names
// before this file.
#pragma once

#include "core/cuda_block.h"

#ifdef __CUDACC__

namespace pinn::fused_cuda {

// The low 13 bits of an operand are ignored.
__device__ __forceinline__ void mma_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
        "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

__device__ __forceinline__ void mma_wait() {}  // the device waits by itself

}  // namespace pinn::fused_cuda

#endif
