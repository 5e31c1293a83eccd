// Sketches of rows as Python sees them.
#include "bindings/register.h"
#include "qr/sketch.h"

namespace pinn {

void register_sketch(py::module_& m) {
  py::enum_<SketchKind>(m, "SketchKind")
      .value("gaussian", SketchKind::gaussian)
      .value("sparse_sign", SketchKind::sparse_sign);
  m.attr("SKETCH_CHUNK") = kSketchChunk;

  m.def("sketch_rows", [](bool float64, Handle stream, Address a, Address out, Address workspace, SketchKind kind,
                          std::uint64_t seed, std::int64_t l, std::int64_t r, std::int64_t n, std::int64_t stride,
                          std::int64_t row_offset, bool accumulate) {
    run_typed(float64, stream, [&](auto t) {
      using T = decltype(t);
      return SketchRows<T>{pointer<T>(a), pointer<T>(out), pointer<T>(workspace), {kind, seed, l}, r, n, stride,
                           row_offset,    accumulate};
    });
  });
}

}  // namespace pinn
