// The tournament: heats of columns that fit the cache choose k candidates each, winners meet in further heats, and an
// exact choice among the last of them decides. A is read once, whatever k is.
//
// All limits hold within a heat, so its winners may stand together; those of different heats are asked again where they
// meet. Should that leave fewer than k, the rest is chosen exactly from all.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "qr/choice.h"
#include "qr/heats.h"

namespace pinn::pivots {

// Candidates that meet: columns of A or copies, and the arguments that belong to them.
template <typename T>
struct Field {
  PivotedQr<T> op;                // of these candidates; k and the forced ones are those of the whole
  std::vector<int64_t> original;  // their numbers in A; empty: all of them, in order
  std::vector<T> columns, weight, cost;
  std::vector<double> position;
  std::vector<int64_t> region;

  int64_t number(int64_t j) const { return original.empty() ? j : original[static_cast<std::size_t>(j)]; }
};

template <typename T>
class Tournament {
 public:
  Tournament(const PivotedQr<T>& op, const Kernels<T>& kernels)
      : op_(op),
        kernels_(kernels),
        columns_{op.a, op.size.r, op.size.n, op.size.c, op.size.n * op.size.c},
        forced_(columns_, std::min(op.size.r, std::max<int64_t>(op.size.num_forced, 1) * op.size.c),
                kernels.project_out) {
    for (int64_t i = 0; i < op.size.num_forced; ++i)
      forced_.append(op.forced[i], op.size.tolerance * std::sqrt(forced_.square(op.forced[i])));
  }

  void run() {
    Field<T> field;
    field.op = op_;
    // The forced ones need no heat.
    forbidden_.assign(at(op_.size.n), 0);
    if (op_.forbidden != nullptr) std::copy_n(op_.forbidden, op_.size.n, forbidden_.begin());
    for (int64_t i = 0; i < op_.size.num_forced; ++i) forbidden_[at(op_.forced[i])] = 1;
    field.op.forbidden = forbidden_.data();
    for (;;) {
      const int64_t heat = heat_size(), before = field.op.size.n;
      if (before <= (field.original.empty() ? heat : kLastHeat)) break;
      Field<T> next;
      if (!play(field, heat, next)) return fail(PivotStatus::not_finite);
      if (next.op.size.n >= before) break;
      std::swap(field, next);
    }
    decide(field);
    op_.report[kLookedAt] += op_.size.n * op_.size.c;
  }

 private:
  static std::size_t at(int64_t i) { return static_cast<std::size_t>(i); }

  // Three quarters of a second-level cache of a megabyte, and several times k.
  int64_t heat_size() const {
    constexpr int64_t kHeatBytes = 3 << 18;
    const int64_t bytes = op_.size.r * op_.size.c * static_cast<int64_t>(sizeof(T)), lot = kTile<T>;
    const int64_t fit = std::min<int64_t>(kHeatBytes / bytes / lot * lot, 4096);
    return std::max(fit, (4 * op_.size.k + lot - 1) / lot * lot);
  }

  void fail(PivotStatus status) {
    op_.report[kStatus] = static_cast<int64_t>(status);
    op_.report[kChosen] = op_.report[kRank] = 0;
    op_.report[kLookedAt] = op_.size.n * op_.size.c;
  }

  // One round: all heats, on all threads; the winners are the next field. False where a number is not finite.
  bool play(const Field<T>& field, int64_t heat, Field<T>& next) {
    const PivotSize& size = field.op.size;
    const int64_t heats = (size.n + heat - 1) / heat, length = size.r * size.c, most = size.k + num_long();
    std::vector<int64_t> winners(at(heats * most)), number(at(heats));
    const std::unique_ptr<T[]> columns(new T[at(heats * most * length)]);  // [winner, r, c]
    std::atomic<bool> finite{true}, memory{true};
    parallel_for(heats, true, [&](int64_t h) {
      try {
        const int64_t begin = h * heat, count = std::min(heat, size.n - begin);
        number[at(h)] =
            play_heat(field, begin, count, winners.data() + h * most, columns.get() + h * most * length, finite);
      } catch (const std::bad_alloc&) {
        memory = false;
      }
    });
    if (!memory) throw std::bad_alloc();
    if (finite) collect(field, winners, number, columns.get(), next);
    return finite;
  }

  int64_t num_long() const { return num_longest(op_.size.k); }

  // The k best of candidates begin to begin + count, and the longest: their numbers in the field and their columns.
  int64_t play_heat(const Field<T>& field, int64_t begin, int64_t count, int64_t* winners, T* columns,
                    std::atomic<bool>& finite) const {
    const PivotedQr<T>& op = field.op;
    const int64_t r = op.size.r, c = op.size.c, k = op.size.k;
    PivotSize size = op.size;
    size.n = count;
    Limits limits(size, op.forbidden == nullptr ? nullptr : op.forbidden + begin,
                  op.position == nullptr ? nullptr : op.position + begin * size.d,
                  op.region == nullptr ? nullptr : op.region + begin, op.quota);
    Heat<T> heat{};
    heat.from = {op.a, r, size.n, c, op.size.n * c};
    heat.begin = begin;
    heat.count = count;
    heat.weight = op.weight;
    heat.cost = op.cost;
    heat.blocked = limits.blocked();
    place_state(heat);
    const double largest = static_cast<double>(kernels_.pack_heat(heat));
    if (!std::isfinite(largest)) return finite = false, 0;
    const double rounding = op.size.tolerance * std::sqrt(largest);
    heat.floor = static_cast<T>(rounding * rounding);
    const Columns<T> packed{heat.columns, r, count, c, kTile<T>, true};
    Basis<T> basis(packed, std::min(r, forced_.size() + k * c), kernels_.project_out);
    basis.start_with(forced_);
    int64_t won = 0;
    const auto send_on = [&](int64_t j) {
      for (int64_t e = 0; e < c; ++e) {
        const T* const in = packed.column(j * c + e);
        for (int64_t i = 0; i < r; ++i) columns[(won * r + i) * c + e] = in[i * kTile<T>];
      }
      winners[won++] = begin + j;
    };
    const auto take = [&](int64_t j) {
      send_on(j);
      limits.take(j);
    };
    const std::vector<int64_t> longest = longest_of(heat);
    // Residuals at rounding level are met one after the other where the rank has ended.
    for (int failures = 0; won < k && failures < 2;) {
      const int64_t j = best_of(heat, basis);
      if (j < 0) break;
      if (basis.append(j, rounding) > 0)
        take(j);
      else
        ++failures, limits.drop(j);
    }
    // Whoever is left, so that there are k to choose from beyond the rank.
    for (int64_t j = 0; j < count && won < k; ++j)
      if (!limits.blocked()[j]) take(j);
    const int64_t* const end = winners + won;
    for (int64_t j : longest)
      if (std::find(static_cast<const int64_t*>(winners), end, begin + j) == end) send_on(j);
    return won;
  }

  // The longest candidates of a heat that nothing has been projected out of yet.
  std::vector<int64_t> longest_of(Heat<T>& heat) const {
    constexpr T none = -std::numeric_limits<T>::infinity();
    heat.num_directions = 0;
    for (int64_t lot = 0; lot < heat.num_lots(); ++lot) {
      heat.applied[lot] = 0;
      kernels_.update_lot(heat, lot);
    }
    // The best of each lot stand for all: of random lots they are the longest.
    std::vector<T> bound(heat.bound, heat.bound + heat.num_lots());
    const int64_t number = std::min(num_long(), heat.num_lots());
    std::nth_element(bound.begin(), bound.begin() + (number - 1), bound.end(), std::greater<T>());
    const T limit = bound[at(number - 1)];
    std::vector<int64_t> result;
    for (int64_t lot = 0; lot < heat.num_lots() && static_cast<int64_t>(result.size()) < number; ++lot)
      if (heat.bound[lot] > none && heat.bound[lot] >= limit) result.push_back(best_in(heat, lot));
    return result;
  }

  // Lazy: the lot that promises most first, then those that might still beat it.
  int64_t best_of(Heat<T>& heat, const Basis<T>& basis) const {
    constexpr T none = -std::numeric_limits<T>::infinity();
    heat.direction = basis.rounded();
    heat.num_directions = basis.size();
    const int64_t lots = heat.num_lots();
    int64_t best = 0;
    for (int64_t lot = 1; lot < lots; ++lot)
      if (heat.bound[lot] > heat.bound[best]) best = lot;
    kernels_.update_lot(heat, best);
    for (int64_t lot = 0; lot < lots; ++lot) {
      // At a draw the earlier lot has the lower candidates.
      if (lot == best || !(heat.bound[lot] > heat.bound[best] || (lot < best && heat.bound[lot] == heat.bound[best])))
        continue;
      kernels_.update_lot(heat, lot);
      if (heat.bound[lot] > heat.bound[best] || (lot < best && heat.bound[lot] == heat.bound[best])) best = lot;
    }
    if (!(heat.bound[best] > none)) return -1;
    return best_in(heat, best);
  }

  // The first candidate of a lot that has its largest score.
  static int64_t best_in(const Heat<T>& heat, int64_t lot) {
    int64_t j = lot * kTile<T>;
    while (heat.key[j] != heat.bound[lot]) ++j;
    return j;
  }

  void place_state(Heat<T>& heat) const {
    const int64_t r = heat.from.r, c = heat.from.c, lots = heat.num_lots(), tile = kTile<T>;
    const int64_t columns = lots * c * tile;
    const std::size_t numbers = at(columns * r + columns + lots * tile + lots + tile);
    char* const memory = static_cast<char*>(workspace(numbers * sizeof(T) + at(lots + 8) * sizeof(int64_t)));
    heat.applied = reinterpret_cast<int64_t*>(memory);
    heat.columns = reinterpret_cast<T*>(memory + (at(lots) * sizeof(int64_t) + 63) / 64 * 64);
    heat.value = heat.columns + columns * r;
    heat.key = heat.value + columns;
    heat.bound = heat.key + lots * tile;
  }

  void collect(const Field<T>& field, const std::vector<int64_t>& winners, const std::vector<int64_t>& number,
               const T* columns, Field<T>& next) const {
    const PivotSize& size = field.op.size;
    const int64_t r = size.r, c = size.c, most = size.k + num_long();
    std::vector<std::pair<int64_t, int64_t>> order;  // candidate of the field, its place among the columns
    for (int64_t h = 0; h < static_cast<int64_t>(number.size()); ++h)
      for (int64_t s = h * most; s < h * most + number[at(h)]; ++s) order.emplace_back(winners[at(s)], s);
    std::sort(order.begin(), order.end());  // so that ties go to the lowest
    const int64_t n = static_cast<int64_t>(order.size());
    for (const auto& [from, place] : order) next.original.push_back(field.number(from));
    next.columns.resize(at(r * n * c));
    constexpr int64_t kTogether = 64;  // columns that lie in the first-level cache
    parallel_for((n + kTogether - 1) / kTogether, n * r * c >= kMinParallelNumbers, [&](int64_t part) {
      for (int64_t i = 0; i < r; ++i)
        for (int64_t j = part * kTogether; j < std::min((part + 1) * kTogether, n); ++j)
          for (int64_t e = 0; e < c; ++e)
            next.columns[at((i * n + j) * c + e)] = columns[(order[at(j)].second * r + i) * c + e];
    });
    bring_arguments(next);
  }

  // The arguments of a field whose candidates and columns are there.
  void bring_arguments(Field<T>& field) const {
    field.op = op_;
    field.op.size.n = static_cast<int64_t>(field.original.size());
    field.op.a = field.columns.data();
    field.op.forbidden = nullptr;
    field.op.weight = gather(op_.weight, 1, field.original, field.weight);
    field.op.cost = gather(op_.cost, 1, field.original, field.cost);
    field.op.position = gather(op_.position, op_.size.d, field.original, field.position);
    field.op.region = gather(op_.region, 1, field.original, field.region);
  }

  template <typename Number>
  static const Number* gather(const Number* from, int64_t each, const std::vector<int64_t>& which,
                              std::vector<Number>& to) {
    if (from == nullptr) return nullptr;
    for (int64_t j : which) to.insert(to.end(), from + j * each, from + (j + 1) * each);
    return to.data();
  }

  // The exact choice among the last of them, after the forced ones.
  void decide(const Field<T>& field) {
    const int64_t k = op_.size.k, forced = op_.size.num_forced;
    PivotedQr<T> last = op_;
    Field<T> joined;
    if (!field.original.empty()) {
      join(field, joined);
      last = joined.op;
    }
    std::vector<int64_t> front(at(forced));
    for (int64_t i = 0; i < forced; ++i) front[at(i)] = field.original.empty() ? op_.forced[i] : i;
    last.forced = front.data();
    last.size.k = std::min(k, last.size.n);
    Choice<T>(last, last.size.n * last.size.c, kernels_, true).run();
    for (int64_t s = 0; s < op_.report[kChosen]; ++s) op_.pivot[s] = joined.number(op_.pivot[s]);
    const bool chose = op_.report[kStatus] == static_cast<int64_t>(PivotStatus::ok) ||
                       op_.report[kStatus] == static_cast<int64_t>(PivotStatus::exhausted);
    if (!chose || op_.report[kChosen] == k || field.original.empty()) return;
    // Limits have set winners of different heats against one another.
    const std::vector<int64_t> found(op_.pivot, op_.pivot + op_.report[kChosen]);
    PivotedQr<T> whole = op_;
    whole.forced = found.data();
    whole.size.num_forced = static_cast<int64_t>(found.size());
    Choice<T>(whole, op_.size.n * op_.size.c, kernels_, true).run();
  }

  // The forced ones before the field.
  void join(const Field<T>& field, Field<T>& joined) const {
    const int64_t r = op_.size.r, c = op_.size.c, forced = op_.size.num_forced, n = field.op.size.n, all = forced + n;
    joined.original.assign(op_.forced, op_.forced + forced);
    joined.original.insert(joined.original.end(), field.original.begin(), field.original.end());
    joined.columns.resize(at(r * all * c));
    for (int64_t i = 0; i < r; ++i) {
      for (int64_t j = 0; j < forced; ++j)
        std::copy_n(op_.a + (i * op_.size.n + op_.forced[j]) * c, c, joined.columns.data() + (i * all + j) * c);
      std::copy_n(field.op.a + i * n * c, n * c, joined.columns.data() + (i * all + forced) * c);
    }
    bring_arguments(joined);
  }

  PivotedQr<T> op_;
  Kernels<T> kernels_;
  Columns<T> columns_;
  Basis<T> forced_;
  std::vector<std::uint8_t> forbidden_;
};

}  // namespace pinn::pivots
