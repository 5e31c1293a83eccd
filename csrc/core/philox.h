// Random numbers as functions of a counter: Philox4x32-10, and uniform and normal numbers out of its words.
//
//   words = philox(counter, key),   u = (word + 1/2) / 2^32,   normal = sqrt(-2 log u) (cos, sin)(2 pi u')
//
// No state: a number depends on what the caller puts into the counter (an index, a step) and on the key (a seed), and
// not on who draws it, when, or after what. Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC'11; Box and Muller, Ann. Math. Stat. 29 (1958) 610. The words are the same everywhere; the normal numbers are
// those of the platform's log, cos and sin in double precision.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "core/math.h"

namespace pinn {

struct PhiloxWords {
  std::uint32_t word[4];
};

// Of word a and multiplier b: the high and the low half of their product.
struct PhiloxProduct {
  std::uint32_t high, low;
};

PINN_HD PhiloxProduct philox_product(std::uint32_t a, std::uint32_t b) {
  const std::uint64_t product = static_cast<std::uint64_t>(a) * b;
  return {static_cast<std::uint32_t>(product >> 32), static_cast<std::uint32_t>(product)};
}

PINN_HD PhiloxWords philox4x32(PhiloxWords counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const PhiloxProduct p0 = philox_product(counter.word[0], 0xD2511F53u);
    const PhiloxProduct p1 = philox_product(counter.word[2], 0xCD9E8D57u);
    counter = {{p1.high ^ counter.word[1] ^ key0, p1.low, p0.high ^ counter.word[3] ^ key1, p0.low}};
    key0 += 0x9E3779B9u;  // Weyl sequences: the golden ratio, and sqrt(3) - 1
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// Four words for a place (index, part, stream) under a seed.
PINN_HD PhiloxWords random_words(std::uint64_t seed, std::uint64_t index, std::uint32_t part, std::uint32_t stream) {
  const PhiloxWords counter = {
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), part, stream}};
  return philox4x32(counter, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
}

// In (0, 1), never 0 or 1, exactly (word + 1/2) / 2^32.
PINN_HD double uniform_of(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

// 0 <= index < bound; off from equal chances by bound / 2^32 at most.
PINN_HD std::uint32_t index_of(std::uint32_t word, std::uint32_t bound) { return philox_product(word, bound).high; }

// Two independent standard normal numbers; 2^-33 is the smallest u, so that none is beyond 6.8.
PINN_HD void normal_pair_of(std::uint32_t word0, std::uint32_t word1, double (&normal)[2]) {
  const double radius = ::sqrt(-2.0 * ::log(uniform_of(word0)));
  const double angle = kTwoPi * uniform_of(word1);
  normal[0] = radius * ::cos(angle);
  normal[1] = radius * ::sin(angle);
}

}  // namespace pinn
