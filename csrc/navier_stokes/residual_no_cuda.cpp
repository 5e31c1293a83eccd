// The twins of residual_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "navier_stokes/residual.h"

namespace pinn {

template <typename T>
void run_on_cuda(const NavierStokesResidual<T>&, Stream) {
  throw_no_cuda();
}
template <typename T>
void run_on_cuda(const NavierStokesResidualBackward<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const NavierStokesResidual<float>&, Stream);
template void run_on_cuda(const NavierStokesResidual<double>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<float>&, Stream);
template void run_on_cuda(const NavierStokesResidualBackward<double>&, Stream);

}  // namespace pinn
