// Pivoted QR on the CPU: the choice, with the kernels of an instruction set.
#include "qr/choice.h"

namespace pinn {

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const PivotedQr<T>& op) {
  pivots::Choice<T>(op, op.size.n * op.size.c, pivots::kernels<T>(IsaConstant<isa>{}), true).run();
}

#define PINN_PIVOTED_QR(isa)                                                \
  template void run_on_cpu(IsaConstant<Isa::isa>, const PivotedQr<float>&); \
  template void run_on_cpu(IsaConstant<Isa::isa>, const PivotedQr<double>&);
PINN_PIVOTED_QR(generic)
#ifdef PINN_X86_PATHS
PINN_PIVOTED_QR(avx2)
PINN_PIVOTED_QR(avx512)
#endif

}  // namespace pinn
