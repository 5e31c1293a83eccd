// What was compiled in, as Python sees it.
#include "bindings/register.h"
#include "core/parallel.h"

#ifndef PINN_CUDA_VERSION
#define PINN_CUDA_VERSION ""
#define PINN_CUDA_ARCHITECTURES ""
#endif

namespace pinn {

void register_build_info(py::module_& m) {
  m.def("num_chunks", [](std::int64_t n) { return Chunks(n).count; });
  m.def("build_info", [] {
    py::list isas;
    for (Isa isa : compiled_isas()) isas.append(isa_name(isa));
    py::dict info;
    info["version"] = PINN_EXT_VERSION;
    info["compiler"] = PINN_COMPILER;
    info["instruction_sets"] = isas;
    info["active_instruction_set"] = isa_name(active_isa());
#ifdef _OPENMP
    info["openmp"] = _OPENMP;
#else
    info["openmp"] = py::none();
#endif
    info["threads"] = max_threads();
    info["cuda_version"] = PINN_CUDA_VERSION;
    info["cuda_architectures"] = PINN_CUDA_ARCHITECTURES;
    return info;
  });
}

}  // namespace pinn
