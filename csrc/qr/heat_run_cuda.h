// The launches of a tournament on the GPU: rounds of heats, then the exact choice (pivot_run_cuda.h) of the winners.
// None of them waits for what the last one found.
#pragma once

#include "qr/heat_field_cuda.h"
#include "qr/heat_kernel_cuda.h"
#include "qr/pivot_run_cuda.h"

namespace pinn::pivot_cuda {

template <typename T, typename Launch>
void run_tournament(const PivotedQr<T>& op, const TournamentPlan& plan, const Launch& launch,
                    int heat_threads = kHeatThreads, int take_threads = kTakeThreads) {
  const TournamentWorkspace<T> w = place_tournament(op, plan);
  if (plan.num_rounds == 0) return run_pivoting(w.last, launch, take_threads);
  const PivotSize& size = op.size;
  const int64_t forced = size.num_forced;
  const Winners<T>& last = w.winners[(plan.num_rounds - 1) % 2];
  Heats<T> heats{};
  heats.op = op;
  heats.shape = plan.shape;
  const auto copy_forced = [&](T* to, int64_t width, int64_t* number, bool in_a) {
    launch("pivoted_qr forced", &forced_kernel<T>, static_cast<int>(field_blocks(size.r * forced * size.c)),
           kFieldThreads, 0, op, to, width * size.c, number, in_a);
  };
  if (forced > 0) {
    copy_forced(w.forced.a, forced, w.forced.number, false);
    run_pivoting(w.span, launch, take_threads);
    Pivoting<T> span{};
    span.op = w.span;
    place_workspace(span);
    heats.basis = span.basis;
    heats.span = span.state;
  }
  heats.a = op.a;
  heats.n = size.n;
  heats.stride = size.n * size.c;
  for (int round = 0; round < plan.num_rounds; ++round) {
    const Winners<T>& winners = w.winners[round % 2];
    const int64_t heats_of_round = plan.heats_of(heats.n), n = heats_of_round * plan.shape.slots;
    heats.winner_stride = (forced + n) * size.c;
    heats.winner = winners.a + forced * size.c;
    heats.winner_number = winners.number + forced;
    launch("pivoted_qr heats", &heat_kernel<T>, static_cast<int>(heats_of_round), heat_threads,
           static_cast<int>(plan.shape.bytes), heats);
    heats.a = heats.winner;
    heats.number = heats.winner_number;
    heats.n = n;
    heats.stride = heats.winner_stride;
  }
  const int64_t n = w.last.size.n;
  if (forced > 0) copy_forced(last.a, n, last.number, true);
  launch("pivoted_qr arguments", &arguments_kernel<T>, static_cast<int>(field_blocks(n)), kFieldThreads, 0, op,
         static_cast<const int64_t*>(last.number), n, w.arguments);
  run_pivoting(w.last, launch, take_threads);
  Pivoting<T> choice{};
  choice.op = w.last;
  place_workspace(choice);
  launch("pivoted_qr finish", &finish_kernel<T>, 1, kFieldThreads, 0, op, static_cast<const int64_t*>(last.number),
         static_cast<const State*>(choice.state));
}

}  // namespace pinn::pivot_cuda
