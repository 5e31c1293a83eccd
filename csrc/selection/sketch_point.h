// One column of the sketching matrix S [l, R], which is what one row of A is multiplied with; host and device.
//
//   gaussian      all l entries N(0, 1 / l)
//   sparse_sign   min(8, l) entries +-1 / sqrt(min(8, l)) at distinct places, the others zero
//
// E |S x|^2 = |x|^2 for both. Eight signs in each column are what Tropp, Yurtsever, Udell and Cevher, "Streaming
// low-rank matrix approximation with an application to scientific simulation", SIAM J. Sci. Comput. 41 (2019) A2430,
// section 3.3, advise.
#pragma once

#include "core/philox.h"
#include "selection/sketch.h"

namespace pinn {

inline constexpr int kMaxSigns = 8;

struct ColumnOfSketch {
  Sketch sketch;
  double scale;
  int num_signs;

  PINN_HD explicit ColumnOfSketch(const Sketch& s) : sketch(s) {
    num_signs = s.l < kMaxSigns ? static_cast<int>(s.l) : kMaxSigns;
    scale = 1.0 / ::sqrt(s.kind == SketchKind::gaussian ? static_cast<double>(s.l) : static_cast<double>(num_signs));
  }

  PINN_HD PhiloxWords words(std::int64_t row, std::int64_t part) const {
    return random_words(sketch.seed, static_cast<std::uint64_t>(row), static_cast<std::uint32_t>(part),
                        static_cast<std::uint32_t>(sketch.kind));
  }

  // Entries 4 part to 4 part + 3 of a gaussian column.
  PINN_HD void gaussian(std::int64_t row, std::int64_t part, double (&entry)[4]) const {
    const PhiloxWords w = words(row, part);
    for (int pair = 0; pair < 2; ++pair) {
      double normal[2];
      normal_pair_of(w.word[2 * pair], w.word[2 * pair + 1], normal);
      entry[2 * pair] = scale * normal[0];
      entry[2 * pair + 1] = scale * normal[1];
    }
  }

  // The places of the signs, distinct and each set of places equally likely (Floyd, Commun. ACM 30 (1987) 754), and
  // the entries there. A word's high bits choose the place, its lowest one the sign.
  PINN_HD void sparse_sign(std::int64_t row, std::int64_t (&place)[kMaxSigns], double (&entry)[kMaxSigns]) const {
    PhiloxWords w{};
    for (int q = 0; q < num_signs; ++q) {
      if (q % 4 == 0) w = words(row, q / 4);
      const std::uint32_t word = w.word[q % 4];
      const std::int64_t last = sketch.l - num_signs + q;
      place[q] = index_of(word, static_cast<std::uint32_t>(last + 1));
      for (int p = 0; p < q; ++p)
        if (place[p] == place[q]) {
          place[q] = last;
          break;
        }
      entry[q] = (word & 1u) != 0 ? scale : -scale;
    }
  }
};

}  // namespace pinn
