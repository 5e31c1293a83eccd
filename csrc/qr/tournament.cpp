// The tournament on the CPU, with the kernels of an instruction set.
#include "qr/tournament.h"

namespace pinn {

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const PivotTournament<T>& op) {
  pivots::Tournament<T>(op.choice, pivots::kernels<T>(IsaConstant<isa>{})).run();
}

#define PINN_PIVOT_TOURNAMENT(isa)                                                \
  template void run_on_cpu(IsaConstant<Isa::isa>, const PivotTournament<float>&); \
  template void run_on_cpu(IsaConstant<Isa::isa>, const PivotTournament<double>&);
PINN_PIVOT_TOURNAMENT(generic)
#ifdef PINN_X86_PATHS
PINN_PIVOT_TOURNAMENT(avx2)
PINN_PIVOT_TOURNAMENT(avx512)
#endif

}  // namespace pinn
