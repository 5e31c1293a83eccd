// The twins of tournament_cuda.cu in a build without a CUDA compiler.
#include "core/error.h"
#include "qr/qr.h"

namespace pinn {

bool cuda_tournament_serves(const PivotSize&, bool) { return false; }
std::int64_t cuda_tournament_workspace_bytes(const PivotSize&, bool) { throw_no_cuda(); }

template <typename T>
void run_on_cuda(const PivotTournament<T>&, Stream) {
  throw_no_cuda();
}

template void run_on_cuda(const PivotTournament<float>&, Stream);
template void run_on_cuda(const PivotTournament<double>&, Stream);

}  // namespace pinn
