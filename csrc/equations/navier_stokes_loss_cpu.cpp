// The Navier-Stokes loss of a network on the CPU.
#include "equations/navier_stokes_point.h"
#include "mlp/mean_square_cpu.h"

namespace pinn {

template void run_on_cpu(IsaConstant<kIsa>, const MeanSquare<NavierStokes<2, float>>&);
template void run_on_cpu(IsaConstant<kIsa>, const MeanSquare<NavierStokes<2, double>>&);
template void run_on_cpu(IsaConstant<kIsa>, const MeanSquare<NavierStokes<3, float>>&);
template void run_on_cpu(IsaConstant<kIsa>, const MeanSquare<NavierStokes<3, double>>&);

}  // namespace pinn
