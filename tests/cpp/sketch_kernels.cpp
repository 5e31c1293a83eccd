// Philox against the vectors of Random123, and sketches of rows against plain loops: the CPU kernels on every
// instruction set that this CPU has, and the source of the CUDA kernels on the host (cuda_on_host.h).
//
// Each array is a heap block of exactly its size, so that the sanitizers find one number too many.
#include "cuda_on_host.h"

// after cuda_on_host.h
#include "adjoint.h"
#include "selection/sketch_kernels_cuda.h"

namespace pinn {
namespace {

int num_sketches = 0;

void check_philox() {
  const std::uint32_t known[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u},
      {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu},
      {0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu,
       0x5001e420u, 0x24126ea1u}};
  for (const auto& row : known) {
    const PhiloxWords words = philox4x32({{row[0], row[1], row[2], row[3]}}, row[4], row[5]);
    for (int i = 0; i < 4; ++i)
      if (words.word[i] != row[6 + i]) {
        std::fprintf(stderr, "philox4x32: expected %08x, got %08x\n", row[6 + i], words.word[i]);
        std::exit(1);
      }
  }
}

// S A in double precision.
template <typename T>
std::vector<double> expected_sketch(const SketchRows<T>& op, const std::vector<T>& start) {
  const ColumnOfSketch column(op.sketch);
  std::vector<double> out(start.begin(), start.end());
  std::vector<double> s(static_cast<std::size_t>(op.sketch.l + 3));
  for (int64_t row = 0; row < op.r; ++row) {
    std::fill(s.begin(), s.end(), 0.0);
    if (op.sketch.kind == SketchKind::gaussian) {
      for (int64_t i = 0; i < op.sketch.l; i += 4) {
        double entry[4];
        column.gaussian(op.row_offset + row, i / 4, entry);
        std::copy(entry, entry + 4, s.begin() + i);
      }
    } else {
      int64_t place[kMaxSigns];
      double entry[kMaxSigns];
      column.sparse_sign(op.row_offset + row, place, entry);
      for (int q = 0; q < column.num_signs; ++q) s[static_cast<std::size_t>(place[q])] += entry[q];
    }
    for (int64_t i = 0; i < op.sketch.l; ++i)
      for (int64_t j = 0; j < op.n; ++j)
        out[static_cast<std::size_t>(i * op.n + j)] +=
            s[static_cast<std::size_t>(i)] * static_cast<double>(op.a[row * op.stride + j]);
  }
  return out;
}

template <typename T, typename RunOp>
void check_sketch(const RunOp& run_op, SketchKind kind, int64_t l, int64_t r, int64_t n, int64_t gap) {
  const std::vector<T> a = random_array<T>(r > 0 ? (r - 1) * (n + gap) + n : 0);
  for (bool accumulate : {false, true}) {
    std::vector<T> out = random_array<T>(l * n), workspace(static_cast<std::size_t>(std::min(r, kSketchChunk) * l));
    const SketchRows<T> op{a.data(),  out.data(), workspace.data(), {kind, (1ull << 40) + 7, l},
                           r,         n,          n + gap,          (int64_t{1} << 33) + 1,
                           accumulate};
    const std::vector<double> expected = expected_sketch(op, accumulate ? out : std::vector<T>(out.size()));
    run_op(op);
    // entries below 3 in size, r products
    const double bound = 3.0 * (4.0 + static_cast<double>(r)) * static_cast<double>(std::numeric_limits<T>::epsilon());
    for (std::size_t i = 0; i < out.size(); ++i)
      if (!(std::fabs(static_cast<double>(out[i]) - expected[i]) <= bound)) {
        std::fprintf(stderr, "sketch_rows l %d r %d n %d: expected %g within %g, got %g\n", static_cast<int>(l),
                     static_cast<int>(r), static_cast<int>(n), expected[i], bound, static_cast<double>(out[i]));
        std::exit(1);
      }
    ++num_sketches;
  }
}

template <typename T, typename RunOp>
void check_all(const RunOp& run_op, const std::vector<int64_t>& columns) {
  for (SketchKind kind : {SketchKind::gaussian, SketchKind::sparse_sign})
    for (int64_t l : {1, 5, 8, 9, 22, 70})
      for (int64_t n : columns) {
        check_sketch<T>(run_op, kind, l, 0, n, 0);
        check_sketch<T>(run_op, kind, l, 1, n, 3);
        check_sketch<T>(run_op, kind, l, 21, n, 0);
      }
  check_sketch<T>(run_op, SketchKind::gaussian, 3, kSketchChunk + 9, 5, 1);
  check_sketch<T>(run_op, SketchKind::sparse_sign, 12, kSketchChunk + 9, 5, 1);
}

}  // namespace
}  // namespace pinn

int main() {
  pinn::check_philox();
  pinn::on_every_isa([](auto run_op) {
    pinn::check_all<float>(run_op, {0, 1, 7, 16, 48, 130, 1000});
    pinn::check_all<double>(run_op, {0, 1, 7, 16, 48, 130, 1000});
  });
  for (bool backwards : {false, true}) {
    pinn::cuda_on_host::machine.backwards = backwards;
    const auto on_host = [](const auto& op) { pinn::sketch_cuda::run_sketch(op, pinn::cuda_on_host::Launch{}); };
    pinn::check_all<float>(on_host, {0, 1, 300, 513});
    pinn::check_all<double>(on_host, {0, 1, 300, 513});
  }
  std::printf("%d sketches agree\n", pinn::num_sketches);
  return 0;
}
