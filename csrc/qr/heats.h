// What heats of the tournament have in common on all devices.
#pragma once

#include <cstdint>

namespace pinn {

// Candidates that one exact choice takes in a moment.
inline constexpr std::int64_t kLastHeat = 8192;

// Beside its winners a heat sends on its longest columns, two for each place, but not more than 32: one that was near a
// winner of its own heat may be far from those of the others. (12 of 65,536 in heats of 2,048, ten random matrices: the
// log volume falls short of the exact one by 0.29 without them, by 0.09 with them.)
constexpr std::int64_t num_longest(std::int64_t k) { return 2 * k < 32 ? 2 * k : 32; }

}  // namespace pinn
