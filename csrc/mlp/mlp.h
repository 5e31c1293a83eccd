// A whole network on jets.
//
//   h_0 = [cos(2 pi x B), sin(2 pi x B)],   h_{l+1} = f(h_l W_l^T + b_l),   y = h_L W_L^T + b_L
//
// and the value of y with its derivatives by x, as a jet. The points go through all layers in tiles that stay in the
// cache, forward and, where gradients are wanted, back; nothing that grows with the number of points is kept, so the
// backward pass of MlpJet computes the forward pass of each tile again.
//
// The gradient of all parameters is one array: for each linear layer its weight [out, in] and its bias [out], then B
// [d, m] where it is wanted (and whatever else an operation adds). Each part of the points sums its own partial
// gradient; the partial gradients are added in order, so that the same number of parts gives the same bits on any
// number of threads.
#pragma once

#include "core/run.h"
#include "jets/activation.h"
#include "jets/streams.h"

namespace pinn {

inline constexpr int kMaxLinearLayers = 32;

struct MlpShape {
  std::int64_t n, d, m;
  int num_linear;                            // linear layers, the last one without an activation
  std::int64_t width[kMaxLinearLayers + 1];  // 2m, the hidden widths, c
  JetStreams streams;
  Activation activation;

  PINN_HD std::int64_t outputs() const { return width[num_linear]; }
  PINN_HD std::int64_t num_parameters() const {  // of the linear layers
    std::int64_t count = 0;
    for (int l = 0; l < num_linear; ++l) count += width[l + 1] * (width[l] + 1);
    return count;
  }
};

template <typename T>
struct Mlp {
  const T* x;                         // [n, d]
  const T* B;                         // [d, m]
  const T* weight[kMaxLinearLayers];  // [width[l + 1], width[l]]
  const T* bias[kMaxLinearLayers];    // [width[l + 1]]
  MlpShape shape;
};

// How the points are shared out. parts = 0: as many as threads and work make worthwhile.
struct Partition {
  std::int64_t parts;
};

template <typename T>
struct MlpJet {
  Mlp<T> mlp;
  // outputs
  T* out;  // [streams, n, c]
  Partition partition;
  void* workspace;  // CUDA: cuda_workspace_bytes(...) bytes; CPU: null
};

template <typename T>
struct MlpJetBackward {
  Mlp<T> mlp;
  const T* v_out;  // [streams, n, c]
  // outputs
  T* gradient;  // [num_parameters (+ d m)]
  bool want_B;
  Partition partition;
  void* workspace;  // CUDA: cuda_workspace_bytes(...) bytes; CPU: null
};

// The gradient of the parameters for each point by itself, once for each cotangent of its jet: the rows of a Jacobian.
// On the CPU alone.
template <typename T>
struct MlpJacobian {
  Mlp<T> mlp;
  const T* v_out;        // [columns, streams, n, c]
  std::int64_t columns;  // cotangents of each point
  // outputs
  T* rows;              // [n, columns], each num_parameters() numbers in the order above,
  std::int64_t stride;  // from one row to the next, >= num_parameters()
  Partition partition;
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJet<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJetBackward<T>&);
template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const MlpJacobian<T>&);

// Whether the fused CUDA kernels take this network on the current device.
bool cuda_fused_supports(const MlpShape&, bool float64);

// What they need beside inputs and outputs, on the current device; `gradient`: of a pass that goes back too.
std::int64_t cuda_workspace_bytes(const MlpShape&, bool gradient, bool want_B);

template <typename T>
void run_on_cuda(const MlpJet<T>&, Stream);
template <typename T>
void run_on_cuda(const MlpJetBackward<T>&, Stream);

}  // namespace pinn
