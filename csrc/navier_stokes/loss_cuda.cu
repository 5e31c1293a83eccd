// The Navier-Stokes loss of a network and its gradients on the GPU: one kernel for all layers, forward and back
// (mlp/fused_kernel_cuda.h), with the residual in between (loss_head_cuda.h).
#include "mlp/fused_launch_cuda.h"
#include "navier_stokes/loss.h"
#include "navier_stokes/loss_head_cuda.h"

namespace pinn {

template <>
void run_on_cuda(const NavierStokesLoss<float>& a, Stream stream) {
  fused_cuda::run_fused(a, fused_cuda::current_device(), CudaLaunch{cuda_stream(stream)});
}

template <>
void run_on_cuda(const NavierStokesLoss<double>&, Stream) {
  fused_cuda::throw_not_served("navier_stokes_loss");
}

}  // namespace pinn
