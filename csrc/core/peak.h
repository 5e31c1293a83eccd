// The limit that products are held against: fused multiply-adds that need no memory, on all threads.
#pragma once

#include "core/run.h"

namespace pinn {

template <typename T>
struct FmaPeak {
  double seconds;  // about so long
  // outputs
  double* flop_per_s;
};

template <Isa isa, typename T>
void run_on_cpu(IsaConstant<isa>, const FmaPeak<T>&);

}  // namespace pinn
