// PINN_HD: a function that the CPU loops and the CUDA kernels share.
#pragma once

#ifdef __CUDACC__
#define PINN_HD __host__ __device__ __forceinline__
#else
#define PINN_HD [[gnu::always_inline]] inline
#endif
