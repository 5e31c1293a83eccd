// The twin of loss_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "navier_stokes/loss.h"

namespace pinn {

template <typename T>
void run_on_cuda(const NavierStokesLoss<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const NavierStokesLoss<float>&, Stream);
template void run_on_cuda(const NavierStokesLoss<double>&, Stream);

}  // namespace pinn
