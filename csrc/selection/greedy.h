// The greedy choice by lazy norms: which candidate has the largest score now.
//
// One step: the kept candidates of some blocks are updated, and the few that might be the best are taken exactly; then
// every block whose rest may still hold a better one is recomputed, all of them at once, and their kept candidates
// compared. A block is recomputed at most once in a step: candidates that S cannot tell from its kept ones may stay
// out.
//
// Blocks, their order and all sums are a function of the sizes alone: every number of threads gives the same choice.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "core/workspace.h"
#include "selection/norm_bounds.h"

namespace pinn::pivots {

struct Best {
  double score = -std::numeric_limits<double>::infinity();
  int64_t candidate = -1;

  bool beaten_by(double other, int64_t by) const { return other > score || (other == score && by < candidate); }
};

template <Isa isa, typename In, typename S>
class Greedy {
 public:
  // bounds: with what it reads filled in; its state is made here, in the workspace of this thread.
  explicit Greedy(const NormBounds<In, S>& bounds) : bounds_(bounds) {
    constexpr int64_t kLine = 64;  // candidates; a multiple of the tile
    const int64_t n = bounds.columns.n, blocks = (n + kBlocks - 1) / kBlocks;
    bounds_.width = std::clamp((blocks + kLine - 1) / kLine * kLine, kNarrowest, kWidest);
    bounds_.keep = std::min(kKept, bounds_.width);
    std::size_t bytes = 0;
    place_state(nullptr, bytes);
    char* const memory = static_cast<char*>(workspace(bytes));
    bytes = 0;
    place_state(memory, bytes);
    for (int64_t b = 0; b < bounds_.num_blocks(); ++b) {
      bounds_.applied[b] = -1;
      bounds_.kept_count[b] = 0;
      bounds_.outside[b] = std::numeric_limits<S>::infinity();
      bounds_.inside[b] = -std::numeric_limits<S>::infinity();
    }
    settled_.assign(static_cast<std::size_t>(bounds_.num_blocks()), -1);
  }

  NormBounds<In, S>& bounds() { return bounds_; }

  // Reads everything once.
  void measure() {
    list_.clear();
    for (int64_t b = 0; b < bounds_.num_blocks(); ++b) list_.push_back(b);
    recompute(-std::numeric_limits<double>::infinity());
  }
  bool finite() const {
    return std::all_of(bounds_.finite, bounds_.finite + bounds_.num_blocks(), [](auto flag) { return flag != 0; });
  }
  // Largest measured value of a candidate that was allowed.
  double largest() const {
    return static_cast<double>(*std::max_element(bounds_.largest, bounds_.largest + bounds_.num_blocks()));
  }

  // The best candidate by `exact` scores, after bounds().direction got all directions. candidate -1: there is none.
  template <typename Exact>
  Best best(const Exact& exact) {
    ++step_;
    Best best;
    settle(best, exact);
    list_.clear();
    for (int64_t b = 0; b < bounds_.num_blocks(); ++b)
      if (best.beaten_by(static_cast<double>(bounds_.outside[b]), b * bounds_.width) &&
          bounds_.outside[b] > -std::numeric_limits<S>::infinity())
        list_.push_back(b);
    if (list_.empty()) return best;
    recompute(best.score);
    for (int64_t b : list_) settled_[static_cast<std::size_t>(b)] = -1;
    settle(best, exact);
    return best;
  }

 private:
  // About so many blocks, so that a rest that has to be read again is a small one, of a width that is worth a pass.
  static constexpr int64_t kBlocks = 64, kNarrowest = 128, kWidest = 1024, kKept = 64;
  static_assert(kKept <= kMaxKept);

  void recompute(double best) {
    parallel_for(static_cast<int64_t>(list_.size()), true, [&](int64_t i) {
      recompute_block(IsaConstant<isa>{}, bounds_, list_[static_cast<std::size_t>(i)], thread_index(), best);
    });
  }

  // Until no kept candidate can be better than `best`.
  template <typename Exact>
  void settle(Best& best, const Exact& exact) {
    const int64_t num_blocks = bounds_.num_blocks();
    for (;;) {
      int64_t top = -1;
      for (int64_t b = 0; b < num_blocks; ++b)
        if (open(b, best) && (top < 0 || bounds_.inside[b] > bounds_.inside[top])) top = b;
      if (top < 0) return;
      if (best.candidate < 0) {
        // One block first: its best is a bound that spares many others.
        update(top);
      } else {
        std::vector<int64_t>& late = list_;
        late.clear();
        for (int64_t b = 0; b < num_blocks; ++b)
          if (open(b, best) && bounds_.kept_applied[b] < bounds_.num_directions) late.push_back(b);
        const int64_t numbers =
            static_cast<int64_t>(late.size()) * bounds_.keep * bounds_.columns.c * bounds_.columns.r;
        parallel_for(static_cast<int64_t>(late.size()), numbers >= kMinParallelNumbers,
                     [&](int64_t i) { update(late[static_cast<std::size_t>(i)]); });
      }
      settle_block(top, best, exact);
    }
  }

  bool open(int64_t b, const Best& best) const {
    return settled_[static_cast<std::size_t>(b)] != step_ && bounds_.inside[b] > -std::numeric_limits<S>::infinity() &&
           best.beaten_by(static_cast<double>(bounds_.inside[b]), b * bounds_.width);
  }

  void update(int64_t b) {
    if (bounds_.kept_applied[b] < bounds_.num_directions) update_candidates(IsaConstant<isa>{}, bounds_, b);
  }

  // Takes exactly the kept candidates of a block that may be better than `best`, the most promising first.
  template <typename Exact>
  void settle_block(int64_t b, Best& best, const Exact& exact) {
    const int64_t count = bounds_.kept_count[b];
    const int64_t* const kept = bounds_.kept + b * bounds_.keep;
    const S* const key = bounds_.kept_key + b * bounds_.keep;
    double* const known = bounds_.kept_exact + b * bounds_.keep;
    fresh_.assign(static_cast<std::size_t>(count), false);
    for (;;) {
      int64_t next = -1;
      double next_bound = 0;
      for (int64_t p = 0; p < count; ++p) {
        if (fresh_[static_cast<std::size_t>(p)] || bounds_.blocked[kept[p]]) continue;
        const double bound = std::min(static_cast<double>(key[p]), known[p]);
        if (!best.beaten_by(bound, kept[p]) || bound == -std::numeric_limits<double>::infinity()) continue;
        if (next < 0 || bound > next_bound) next = p, next_bound = bound;
      }
      if (next < 0) break;
      known[next] = exact(kept[next]);
      fresh_[static_cast<std::size_t>(next)] = true;
      if (known[next] > -std::numeric_limits<double>::infinity() && best.beaten_by(known[next], kept[next]))
        best = {known[next], kept[next]};
    }
    S inside = -std::numeric_limits<S>::infinity();
    for (int64_t p = 0; p < count; ++p)
      if (!bounds_.blocked[kept[p]]) inside = std::max(inside, key[p]);
    bounds_.inside[b] = inside;
    settled_[static_cast<std::size_t>(b)] = step_;
  }

  // Places the arrays of the state one after the other; without memory it only counts.
  void place_state(char* memory, std::size_t& bytes) {
    NormBounds<In, S>& s = bounds_;
    const auto place = [&](auto*& array, int64_t count) {
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(memory + bytes);
      bytes += (static_cast<std::size_t>(count) * sizeof(*array) + 63) / 64 * 64;
    };
    const int64_t columns = s.columns.n * s.columns.c, r = s.columns.r, blocks = s.num_blocks();
    const int64_t threads = max_threads();
    place(s.value, columns);
    place(s.slack, columns);
    place(s.applied, blocks);
    place(s.kept_applied, blocks);
    place(s.kept_count, blocks);
    place(s.outside, blocks);
    place(s.inside, blocks);
    place(s.largest, blocks);
    place(s.finite, blocks);
    place(s.kept, blocks * s.keep);
    place(s.kept_key, blocks * s.keep);
    place(s.kept_exact, blocks * s.keep);
    place(s.kept_value, blocks * s.keep * s.columns.c);
    place(s.kept_slack, blocks * s.keep * s.columns.c);
    place(s.kept_columns, blocks * s.tiles_of(s.keep) * r * kTile<S>);
    place(s.slab, threads * s.slab_tiles() * r * kTile<S>);
    place(s.keys, threads * s.width);
    place(s.column, threads * r);
  }

  NormBounds<In, S> bounds_;
  int64_t step_ = 0;
  std::vector<int64_t> list_, settled_;
  std::vector<char> fresh_;
};

}  // namespace pinn::pivots
