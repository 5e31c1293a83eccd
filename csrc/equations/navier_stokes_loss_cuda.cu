// The Navier-Stokes loss of a network on the GPU.
#include "equations/navier_stokes_point.h"
#include "mlp/mean_square_cuda.h"

namespace pinn {

template void run_on_cuda(const MeanSquare<NavierStokes<2, float>>&, Stream);
template void run_on_cuda(const MeanSquare<NavierStokes<2, double>>&, Stream);
template void run_on_cuda(const MeanSquare<NavierStokes<3, float>>&, Stream);
template void run_on_cuda(const MeanSquare<NavierStokes<3, double>>&, Stream);

}  // namespace pinn
