// The loss of Burgers' equation on the CPU.
#include "burgers_point.h"
#include "mlp/mean_square_cpu.h"

namespace pinn {

template void run_on_cpu(IsaConstant<kIsa>, const MeanSquare<Burgers<float>>&);
template void run_on_cpu(IsaConstant<kIsa>, const MeanSquare<Burgers<double>>&);

}  // namespace pinn
