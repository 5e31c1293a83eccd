"""The tournament over the ranks of a process group: each chooses among its own columns, winners meet in a binary tree.

In round ``t`` rank ``2^t (2 i + 1)`` sends its winners to rank ``2^(t+1) i``: ``log2 P`` rounds of two messages, of at
most ``3 k`` columns: ``k`` winners, and the longest, as the heats within a rank send them on (csrc/qr/tournament.h).
The tree and the order of the candidates are a function of the ranks alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pinn_ext._candidates import NO_CONSTRAINTS, Constraints
from pinn_ext._checks import describe
from pinn_ext._pivots import Pivots, choose

__all__ = ["choose_in_group"]

LONGEST = 2  # for each of the k


@dataclass(frozen=True)
class _Field:
    """Candidates by ascending number: ``columns [r, m, c]``, ``numbers [m]`` in all ranks' columns, and limits."""

    columns: Tensor
    numbers: Tensor
    weights: Tensor
    costs: Tensor

    def send_on(self, winners: Tensor, k: int, allowed: Tensor | None = None) -> _Field:
        """The winners and the longest."""
        score = self.columns.square().sum((0, 2)).sqrt() * self.weights - self.costs
        if allowed is not None:
            score = score.masked_fill(~allowed, -math.inf)
        free = score.numel() if allowed is None else int(allowed.sum())
        longest = score.topk(min(LONGEST * k, free)).indices
        which = torch.cat([winners, longest]).unique()  # type: ignore[no-untyped-call]
        return _Field(self.columns[:, which], self.numbers[which], self.weights[which], self.costs[which])

    def choose(self, k: int) -> Pivots:
        limits = replace(
            NO_CONSTRAINTS,
            weights=self.weights,
            costs=self.costs,
            forced=NO_CONSTRAINTS.forced.to(self.columns.device),
        )
        return choose(self.columns.contiguous(), k, limits)


def choose_in_group(A: Tensor, k: int, constraints: Constraints, group: Any) -> Pivots:
    """The first ``k`` pivots of the columns of all ranks, in rank order; the same on every rank.

    Args:
        A: ``[r, n]`` or ``[r, n, c]``, this rank's; n may differ.
        k: of all ranks together.
        constraints: weights, costs and forbidden ones of these columns.
        group: a process group.

    Raises:
        ValueError: on every rank, where one of them cannot go on, or ranks disagree about r, c, k or the dtype.
    """
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    columns = A.reshape(A.shape[0], A.shape[1], -1)
    field, error = _own_winners(columns, k, constraints)
    word = [*columns.shape, k, int(A.dtype == torch.float64), 0 if error is None else 1]
    words = [torch.empty(len(word), dtype=torch.int64, device=A.device) for _ in range(size)]
    dist.all_gather(words, torch.tensor(word, device=A.device), group=group)
    table = torch.stack(words).tolist()
    if error is not None:
        raise error
    failed = [i for i, row in enumerate(table) if row[5]]
    if failed:
        raise ValueError(f"A: expected columns to choose from on every rank, got an error on ranks {failed}")
    if any(row[0] != word[0] or row[2:5] != word[2:5] for row in table):
        raise ValueError(f"group: expected the same r, c, k and dtype on every rank, got {table}")
    field = replace(field, numbers=field.numbers + sum(row[1] for row in table[:rank]))
    step = 1
    while step < size:
        if rank % (2 * step) == step:
            _send(field, k, rank - step, group)
            break
        if rank + step < size:
            joined = _join(field, _receive(field, k, rank + step, group))
            if joined.numbers.numel() > 0:
                joined = joined.send_on(joined.choose(min(k, joined.numbers.numel())).pivots, k)
            field = joined
        step *= 2
    return _share(field, k, rank, group)


def _own_winners(columns: Tensor, k: int, constraints: Constraints) -> tuple[_Field, ValueError | None]:
    n = columns.shape[1]
    ones = columns.new_ones(n)
    weights = ones if constraints.weights is None else constraints.weights
    costs = ones * 0 if constraints.costs is None else constraints.costs
    numbers = torch.arange(n, device=columns.device)
    field = _Field(columns, numbers, weights, costs)
    free = n if constraints.forbidden is None else n - int(constraints.forbidden.sum())
    if free == 0 or (bool(columns.isfinite().all()) and not bool((columns != 0).any())):
        return _Field(columns[:, :0], numbers[:0], weights[:0], costs[:0]), None  # others may have some
    try:
        winners = choose(columns.contiguous(), min(k, free), constraints, tournament=True).pivots
    except ValueError as error:
        return field, error
    allowed = None if constraints.forbidden is None else constraints.forbidden == 0
    return field.send_on(winners, k, allowed), None


def _join(a: _Field, b: _Field) -> _Field:
    return _Field(
        torch.cat([a.columns, b.columns], 1),
        torch.cat([a.numbers, b.numbers]),
        torch.cat([a.weights, b.weights]),
        torch.cat([a.costs, b.costs]),
    )


def _capacity(k: int) -> int:
    return (1 + LONGEST) * k


def _send(field: _Field, k: int, to: int, group: Any) -> None:
    m = field.numbers.numel()
    numbers = field.numbers.new_zeros(_capacity(k) + 1)
    numbers[0], numbers[1 : m + 1] = m, field.numbers
    numbers_of_columns = math.prod(field.columns.shape[::2])
    payload = field.columns.new_zeros(numbers_of_columns + 2, _capacity(k))
    payload[:-2, :m] = field.columns.transpose(1, 2).reshape(numbers_of_columns, m)
    payload[-2, :m], payload[-1, :m] = field.weights, field.costs
    for message in (numbers, payload):
        dist.send(message, dist.get_global_rank(group, to), group=group)


def _receive(like: _Field, k: int, source: int, group: Any) -> _Field:
    r, _, c = like.columns.shape
    numbers, payload = like.numbers.new_empty(_capacity(k) + 1), like.columns.new_empty(r * c + 2, _capacity(k))
    for message in (numbers, payload):
        dist.recv(message, dist.get_global_rank(group, source), group=group)
    m = int(numbers[0])
    columns = payload[:-2, :m].reshape(r, c, m).transpose(1, 2)
    return _Field(columns, numbers[1 : m + 1], payload[-2, :m], payload[-1, :m])


def _share(field: _Field, k: int, rank: int, group: Any) -> Pivots:
    """The last choice, on rank 0, and its result on all."""
    device = field.columns.device
    result = torch.zeros(k + 2, dtype=torch.int64, device=device)  # candidates there were, rank, pivots
    lengths = torch.zeros(k, dtype=torch.float64, device=device)
    result[0] = field.numbers.numel()
    method = "tournament"
    if rank == 0 and field.numbers.numel() >= k:
        done = field.choose(k)
        result[1], result[2:], lengths[:] = done.rank, field.numbers[done.pivots], done.r_diagonal
    for message in (result, lengths):
        dist.broadcast(message, dist.get_global_rank(group, 0), group=group)
    if int(result[0]) < k:
        raise ValueError(
            f"k: expected at most {int(result[0])}, the candidates of all ranks, got {k}, {describe(lengths)}"
        )
    return Pivots(pivots=result[2:], r_diagonal=lengths, rank=int(result[1]), reads=1.0, method=method)
