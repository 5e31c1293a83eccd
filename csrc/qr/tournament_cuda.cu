// The tournament on the GPU (heat_run_cuda.h).
#include "core/cuda_launch.h"
#include "qr/heat_run_cuda.h"

namespace pinn {

namespace {

template <typename T>
pivot_cuda::TournamentPlan plan_on_this_device(const PivotSize& size) {
  return pivot_cuda::plan_tournament<T>(size, cuda_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}

// f(number of the type).
template <typename F>
auto with_type(bool float64, const F& f) {
  return float64 ? f(double{}) : f(float{});
}

}  // namespace

// Where it serves.
template <typename T>
void run_on_cuda(const PivotTournament<T>& op, Stream stream) {
  pivot_cuda::run_tournament(op.choice, plan_on_this_device<T>(op.choice.size), CudaLaunch{cuda_stream(stream)});
}

bool cuda_tournament_serves(const PivotSize& size, bool float64) {
  return with_type(float64, [&](auto t) { return plan_on_this_device<decltype(t)>(size).serves; });
}

std::int64_t cuda_tournament_workspace_bytes(const PivotSize& size, bool float64) {
  return with_type(float64, [&](auto t) {
    using T = decltype(t);
    // Without the arrays that are given, but with room for what goes with each.
    PivotedQr<T> op{};
    op.size = size;
    return pivot_cuda::place_tournament(op, plan_on_this_device<T>(size)).bytes;
  });
}

template void run_on_cuda(const PivotTournament<float>&, Stream);
template void run_on_cuda(const PivotTournament<double>&, Stream);

}  // namespace pinn
