// The greedy choice by lazy norms: which candidate has the largest score now.
//
// One step: the kept ones of some blocks are brought up to date and the few that might be the best are taken exactly;
// then every block whose rest may still hold a better one is refreshed, all of them at once, and their kept ones
// compared. A block is refreshed at most once in a step: candidates that S cannot tell from its kept ones may stay out.
//
// Blocks, their order and all sums are a function of the sizes alone: every number of threads gives the same choice.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "core/workspace.h"
#include "qr/survey.h"

namespace pinn::pivots {

template <typename In, typename S>
struct Passes {
  void (*refresh)(const Survey<In, S>&, int64_t block, int64_t thread, double best);
  void (*follow)(const Survey<In, S>&, int64_t block);
};

struct Best {
  double score = -std::numeric_limits<double>::infinity();
  int64_t candidate = -1;

  bool beaten_by(double other, int64_t by) const { return other > score || (other == score && by < candidate); }
};

template <typename In, typename S>
class Greedy {
 public:
  // survey: with what it reads filled in; its state is made here, in the workspace of this thread.
  Greedy(const Survey<In, S>& survey, const Passes<In, S>& passes, bool threads)
      : survey_(survey), passes_(passes), threads_(threads) {
    constexpr int64_t kLine = 64;  // candidates; a multiple of the tile
    const int64_t n = survey.columns.n, blocks = (n + kBlocks - 1) / kBlocks;
    survey_.width = std::clamp((blocks + kLine - 1) / kLine * kLine, kNarrowest, kWidest);
    survey_.keep = std::min(kKept, survey_.width);
    std::size_t bytes = 0;
    place_state(nullptr, bytes);
    char* const memory = static_cast<char*>(workspace(bytes));
    bytes = 0;
    place_state(memory, bytes);
    for (int64_t b = 0; b < survey_.num_blocks(); ++b) {
      survey_.applied[b] = -1;
      survey_.kept_count[b] = 0;
      survey_.outside[b] = std::numeric_limits<S>::infinity();
      survey_.inside[b] = -std::numeric_limits<S>::infinity();
    }
    settled_.assign(static_cast<std::size_t>(survey_.num_blocks()), -1);
  }

  Survey<In, S>& survey() { return survey_; }
  int64_t num_looked_at() const { return looked_at_; }

  // Reads everything once.
  void measure() {
    start_list();
    for (int64_t b = 0; b < survey_.num_blocks(); ++b) list_.push_back(b);
    refresh(-std::numeric_limits<double>::infinity());
  }
  bool finite() const {
    return std::all_of(survey_.finite, survey_.finite + survey_.num_blocks(), [](auto flag) { return flag != 0; });
  }
  // Largest measured value of a candidate that was allowed.
  double largest() const {
    return static_cast<double>(*std::max_element(survey_.largest, survey_.largest + survey_.num_blocks()));
  }

  // The best candidate by `exact` scores, after survey().direction got all directions. candidate -1: there is none.
  Best best(const std::function<double(int64_t)>& exact) {
    ++step_;
    Best best;
    settle(best, exact);
    start_list();
    for (int64_t b = 0; b < survey_.num_blocks(); ++b)
      if (best.beaten_by(static_cast<double>(survey_.outside[b]), b * survey_.width) &&
          survey_.outside[b] > -std::numeric_limits<S>::infinity())
        list_.push_back(b);
    if (list_.empty()) return best;
    refresh(best.score);
    for (int64_t b : list_) settled_[static_cast<std::size_t>(b)] = -1;
    settle(best, exact);
    return best;
  }

 private:
  // About so many blocks, so that a rest that has to be read again is a small one, of a width that is worth a pass.
  static constexpr int64_t kBlocks = 64, kNarrowest = 128, kWidest = 1024, kKept = 64;
  static_assert(kKept <= kMostKept);

  void start_list() { list_.clear(); }

  void refresh(double best) {
    for (int64_t b : list_)
      looked_at_ += std::min(survey_.width, survey_.columns.n - b * survey_.width) * survey_.columns.c;
    parallel_for(static_cast<int64_t>(list_.size()), threads_, [&](int64_t i) {
      passes_.refresh(survey_, list_[static_cast<std::size_t>(i)], threads_ ? thread_index() : 0, best);
    });
  }

  // Until no kept one can be better than `best`.
  void settle(Best& best, const std::function<double(int64_t)>& exact) {
    const int64_t num_blocks = survey_.num_blocks();
    for (;;) {
      int64_t top = -1;
      for (int64_t b = 0; b < num_blocks; ++b)
        if (open(b, best) && (top < 0 || survey_.inside[b] > survey_.inside[top])) top = b;
      if (top < 0) return;
      if (best.candidate < 0) {
        // One block first: its best is a bound that spares many others.
        bring_up_to_date(top);
      } else {
        std::vector<int64_t>& late = list_;
        late.clear();
        for (int64_t b = 0; b < num_blocks; ++b)
          if (open(b, best) && survey_.kept_applied[b] < survey_.num_directions) late.push_back(b);
        const int64_t numbers =
            static_cast<int64_t>(late.size()) * survey_.keep * survey_.columns.c * survey_.columns.r;
        parallel_for(static_cast<int64_t>(late.size()), threads_ && numbers >= kMinParallelNumbers,
                     [&](int64_t i) { bring_up_to_date(late[static_cast<std::size_t>(i)]); });
      }
      settle_block(top, best, exact);
    }
  }

  bool open(int64_t b, const Best& best) const {
    return settled_[static_cast<std::size_t>(b)] != step_ && survey_.inside[b] > -std::numeric_limits<S>::infinity() &&
           best.beaten_by(static_cast<double>(survey_.inside[b]), b * survey_.width);
  }

  void bring_up_to_date(int64_t b) {
    if (survey_.kept_applied[b] < survey_.num_directions) passes_.follow(survey_, b);
  }

  // Takes exactly the kept ones of a block that may be better than `best`, the most promising first.
  void settle_block(int64_t b, Best& best, const std::function<double(int64_t)>& exact) {
    const int64_t count = survey_.kept_count[b];
    const int64_t* const kept = survey_.kept + b * survey_.keep;
    const S* const key = survey_.kept_key + b * survey_.keep;
    double* const known = survey_.kept_exact + b * survey_.keep;
    fresh_.assign(static_cast<std::size_t>(count), false);
    for (;;) {
      int64_t next = -1;
      double next_bound = 0;
      for (int64_t p = 0; p < count; ++p) {
        if (fresh_[static_cast<std::size_t>(p)] || survey_.blocked[kept[p]]) continue;
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
      if (!survey_.blocked[kept[p]]) inside = std::max(inside, key[p]);
    survey_.inside[b] = inside;
    settled_[static_cast<std::size_t>(b)] = step_;
  }

  // Lays the arrays of the state one after the other; without memory it only counts.
  void place_state(char* memory, std::size_t& bytes) {
    Survey<In, S>& s = survey_;
    const auto place = [&](auto*& array, int64_t count) {
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(memory + bytes);
      bytes += (static_cast<std::size_t>(count) * sizeof(*array) + 63) / 64 * 64;
    };
    const int64_t columns = s.columns.n * s.columns.c, r = s.columns.r, blocks = s.num_blocks();
    const int64_t threads = threads_ ? max_threads() : 1;
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

  Survey<In, S> survey_;
  Passes<In, S> passes_;
  bool threads_;
  int64_t step_ = 0, looked_at_ = 0;
  std::vector<int64_t> list_, settled_;
  std::vector<char> fresh_;
};

}  // namespace pinn::pivots
