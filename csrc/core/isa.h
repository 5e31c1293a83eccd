// Instruction sets: which CPU paths were compiled in, and which one runs.
//
// Every *_cpu.cpp is compiled once per instruction set with PINN_ISA set by CMake. All that such a file defines is a
// template over Isa, so that no function compiled for AVX-512 can be picked by the linker for an older CPU.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

namespace pinn {

enum class Isa { generic, avx2, avx512 };

const char* isa_name(Isa isa);

// The paths in this build, slowest first.
std::vector<Isa> compiled_isas();

// The path in use: the best that this CPU has, or the one that the environment variable PINN_EXT_ISA names.
// Throws Error where the variable names a path that is unknown, not compiled in, or not supported by this CPU.
Isa active_isa();

template <Isa isa>
using IsaConstant = std::integral_constant<Isa, isa>;

// Calls f(IsaConstant<isa>{}) with the active instruction set.
template <typename F>
void with_active_isa(F&& f) {
  switch (active_isa()) {
#ifdef PINN_X86_PATHS
    case Isa::avx512:
      return f(IsaConstant<Isa::avx512>{});
    case Isa::avx2:
      return f(IsaConstant<Isa::avx2>{});
#endif
    default:
      return f(IsaConstant<Isa::generic>{});
  }
}

}  // namespace pinn
