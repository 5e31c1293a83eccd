"""The tournament over the ranks of a process group: each chooses among its own columns, winners meet in a binary tree.

In round ``t`` rank ``2^t (2 i + 1)`` sends its winners to rank ``2^(t+1) i``: ``log2 P`` rounds of up to three
messages, with at most ``3 k`` columns: ``k`` winners and as many spares. Forced candidates are brought to all ranks
before.

Distances may set winners of different ranks against one another, so that the last of them are fewer than ``k``. Those
found are then brought to all ranks, which hold a further tournament for the rest; each finds one at least, while any
rank has a candidate that they leave. Where none has, the choice starts again from the forced ones, one candidate at a
time: the exact choice. Quotas cannot do so: sets that keep them are independent sets of a matroid, where what the
winners of all ranks leave open is open to nobody.

The tree and the order of the candidates are a function of the ranks alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from pinn_ext._candidates import Constraints, check_forced, check_forced_stand, num_left
from pinn_ext._group_field import SENT_ON, Field, Rules, best_of, choose_after, join, make_field
from pinn_ext._group_messages import Messages
from pinn_ext._pivots import Pivots, check_finite, rounding_level

__all__ = ["Share", "choose_in_group"]


@dataclass(frozen=True)
class Share:
    """What one rank brings, checked for itself.

    Args:
        A: ``[r, n]`` or ``[r, n, c]``, its columns.
        k: of all ranks together.
        constraints: of its columns; ``forced`` and ``quotas`` are not looked at.
        forced: numbers in all ranks' columns.
        max_per_region: as it came: one for all regions, or one for each.
    """

    A: Tensor
    k: int
    constraints: Constraints
    forced: Tensor
    max_per_region: int | list[int] | None


@dataclass(frozen=True)
class _Result:
    """After a tournament: numbers in all ranks' columns, in the order of choice."""

    numbers: Tensor
    lengths: Tensor
    rank: int


def choose_in_group(bring: Callable[[], Share], group: Any) -> tuple[Share, Pivots]:
    """The first ``k`` pivots of the columns of all ranks, in rank order; the same on every rank.

    Args:
        bring: makes this rank's share, or raises.
        group: a process group.

    Raises:
        Exception: on every rank, where one of them cannot go on, ranks disagree, or limits leave fewer than ``k``. A
            rank's own error is its own; others get a ValueError with its message.
    """
    messages = Messages(group)
    try:
        share = bring()
        check_finite(share.A)
        field = _own_field(share)
        words = _words(share, field)
    except Exception as error:
        messages.gather({"error": f"{type(error).__name__}: {error}"})
        raise
    table = messages.gather(words)
    _check_agreement(table)
    num_before = [0, *accumulate(row["n"] for row in table)]
    field = replace(field, numbers=field.numbers + num_before[messages.rank])
    rules = _rules(share, table)
    forced = check_forced(share.forced, num_before[-1], share.k).to(share.A.device)
    found = messages.share(field, forced)
    check_forced_stand(
        forced,
        weights=found.weights,
        forbidden=~found.allowed,
        positions=found.positions,
        min_distance=rules.min_distance,
        regions=found.regions,
        quotas=rules.quotas,
    )
    _check_enough(messages, field, share.k, rules.quotas)
    if rules.rounding == 0.0:
        raise ValueError(
            "A: expected an allowed column that is not zero on one rank at least, got zeros on all of them"
        )
    return share, _choose(messages, field, found, share.k, rules)


def _choose(messages: Messages, field: Field, forced: Field, k: int, rules: Rules) -> Pivots:
    """Tournaments until k, or until nobody has one more; then one candidate at a time."""
    most = 0
    for at_once, method in ((k, "group"), (1, "exact")):
        found = forced
        while True:
            want = min(at_once, k - len(found))
            result = _tournament(messages, field, found, want, rules, spares=at_once > 1)
            number = result.numbers.numel()
            if number == k:
                return Pivots(result.numbers, result.lengths, result.rank, method)
            if number == len(found):
                break
            found = messages.share(field, result.numbers)
        most = max(most, number)
    raise ValueError(f"k: expected at most {most}, which the constraints leave in all ranks' columns, got {k}")


def _tournament(messages: Messages, field: Field, found: Field, want: int, rules: Rules, *, spares: bool) -> _Result:
    """Those found and up to ``want`` more: winners meet, the last ones on the first rank, and all hear the result."""
    rank, size, k = messages.rank, messages.size, len(found) + want
    capacity = want * (SENT_ON if spares else 1)
    none = field.pick(slice(0, 0))
    failure: Exception | None = None
    failed = False  # here, or at someone who sent something

    def attempt(action: Callable[[], Field]) -> Field:
        # Who fails goes on sending, so that nobody waits for it.
        nonlocal failure, failed
        try:
            return action()
        except Exception as error:
            failure, failed = failure or error, True
            return none

    def choose(field: Field) -> Field:
        return none if failed else best_of(field, found, want, rules, spares=spares)

    def send(to: int) -> Field:
        messages.send(best, failed, capacity, to)
        return none

    def receive(source: int) -> Field:
        nonlocal failed
        theirs, they_failed = messages.receive(field, capacity, source)
        failed |= they_failed
        return join([best, theirs])

    best = attempt(partial(choose, field))
    step = 1
    while step < size:
        if rank % (2 * step) == step:
            attempt(partial(send, rank - step))
            break
        if rank + step < size:
            best = attempt(partial(receive, rank + step))
            if 2 * step < size:  # the last of them meet as they are
                best = attempt(partial(choose, best))
        step *= 2
    report = torch.zeros(k + 3, dtype=torch.int64, device=field.columns.device)  # failed, how many, rank, numbers
    lengths = torch.zeros(k, dtype=torch.float64, device=field.columns.device)

    def decide() -> Field:
        if failed:
            return none
        done = choose_after(found, best, k, rules, best.allowed)
        number = done.pivots.numel()
        report[1], report[2], lengths[:number] = number, done.rank, done.r_diagonal
        report[3 : number + 3] = torch.cat([found.numbers, best.numbers])[done.pivots]
        return none

    if rank == 0:
        attempt(decide)
        report[0] = failed
    report, lengths = messages.broadcast(report, lengths)
    if failure is not None:
        raise failure
    if int(report[0]):
        raise RuntimeError("group: expected a choice on every rank, got an error on another one, which raises it")
    number = int(report[1])
    return _Result(report[3 : number + 3], lengths[:number], int(report[2]))


def _own_field(share: Share) -> Field:
    A, limits = share.A, share.constraints
    n = A.shape[1]
    return make_field(
        A.reshape(A.shape[0], n, -1),
        numbers=torch.arange(n, device=A.device),
        weights=A.new_ones(n) if limits.weights is None else limits.weights,
        costs=A.new_zeros(n) if limits.costs is None else limits.costs,
        allowed=torch.ones(n, dtype=torch.bool, device=A.device) if limits.forbidden is None else limits.forbidden == 0,
        positions=limits.positions,
        regions=limits.regions,
    )


# The words that have to be the same on every rank, and the argument that each belongs to.
_SAME = {
    "r": "A",
    "c": "A",
    "dtype": "A",
    "k": "k",
    "forced": "forced",
    "dimensions": "positions",
    "min_distance": "min_distance",
    "regions": "regions",
    "max_per_region": "max_per_region",
}


def _words(share: Share, field: Field) -> dict[str, Any]:
    free = field.lengths[field.allowed]
    return {
        "r": field.columns.shape[0],
        "c": field.columns.shape[2],
        "dtype": str(share.A.dtype).removeprefix("torch."),
        "k": share.k,
        "forced": share.forced.tolist(),
        "dimensions": None if field.positions is None else field.positions.shape[1],
        "min_distance": share.constraints.min_distance,
        "regions": field.regions is not None,
        "max_per_region": share.max_per_region,
        "n": len(field),
        "labels": 0 if field.regions is None else int(field.regions.max()) + 1,
        "largest": float(free.max()) if free.numel() else 0.0,
    }


def _check_agreement(table: list[dict[str, Any]]) -> None:
    errors = [f"rank {rank} raised {row['error']}" for rank, row in enumerate(table) if "error" in row]
    if errors:
        raise ValueError(f"group: expected valid arguments on every rank, got: {'; '.join(errors)}")
    for word, name in _SAME.items():
        values = [row[word] for row in table]
        if any(value != values[0] for value in values):
            what = name if word == name else f"{word} of {name}"
            raise ValueError(f"{name}: expected the same {what} on every rank of the group, got {values}")


def _rules(share: Share, table: list[dict[str, Any]]) -> Rules:
    largest = max(row["largest"] for row in table)
    quotas = share.max_per_region
    if quotas is not None:
        labels = max(row["labels"] for row in table)
        quotas = [quotas] * labels if isinstance(quotas, int) else quotas  # of which each rank has found enough
    return Rules(
        share.constraints.min_distance,
        None if quotas is None else torch.tensor(quotas, device=share.A.device),
        largest * rounding_level(share.A, sum(row["n"] for row in table)),
    )


def _check_enough(messages: Messages, field: Field, k: int, quotas: Tensor | None) -> None:
    num_all = messages.add_up(
        torch.stack([field.allowed.new_tensor(len(field), dtype=torch.int64), field.allowed.sum()])
    )
    in_regions = None
    if field.regions is not None and quotas is not None:
        free = field.regions[field.allowed]
        in_regions = messages.add_up(torch.bincount(free, minlength=quotas.numel()))
    left = num_left(int(num_all[1]), in_regions, quotas)
    if k > left:
        raise ValueError(
            f"k: expected at most {left}, the candidates that the constraints leave of {int(num_all[0])} on all ranks, "
            f"got {k}"
        )
