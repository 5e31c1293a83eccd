// The choice of the CPU path: once, at the first kernel or at the import, by what the CPU has or by PINN_EXT_ISA.
#include "core/isa.h"

#include <cstdlib>

#include "core/error.h"

namespace pinn {
namespace {

bool cpu_supports(Isa isa) {
#ifdef PINN_X86_PATHS
  switch (isa) {
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::generic:
      return true;
  }
#endif
  return isa == Isa::generic;
}

Isa best_isa() {
  Isa best = Isa::generic;
  for (Isa isa : compiled_isas())
    if (cpu_supports(isa)) best = isa;
  return best;
}

Isa choose_isa() {
  const char* forced = std::getenv("PINN_EXT_ISA");
  if (forced == nullptr || *forced == '\0') return best_isa();
  std::string usable;
  for (Isa isa : compiled_isas()) {
    if (!cpu_supports(isa)) continue;
    if (forced == std::string(isa_name(isa))) return isa;
    usable += (usable.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  throw Error("PINN_EXT_ISA: expected one of " + usable + " on this CPU, got '" + forced + "'");
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::generic:
      return "generic";
  }
  return "generic";
}

std::vector<Isa> compiled_isas() {
#ifdef PINN_X86_PATHS
  return {Isa::generic, Isa::avx2, Isa::avx512};
#else
  return {Isa::generic};
#endif
}

Isa active_isa() {
  static const Isa isa = choose_isa();
  return isa;
}

}  // namespace pinn
