// Memory that a thread keeps from one call to the next: fresh memory costs a page fault for every 4 KiB.
#pragma once

#include <cstddef>

namespace pinn {

// At least `bytes` bytes, aligned to 64, their contents undefined. One block for each calling thread, as large as the
// largest request so far, freed with the thread; a second call takes the place of the first.
// Throws std::bad_alloc.
void* workspace(std::size_t bytes);

}  // namespace pinn
