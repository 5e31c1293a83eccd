"""Selection over the ranks of a process group: each rank's exact winners, one all-gather, one exact choice among them.

That is tournament pivoting with a single round of matches (Grigori, Demmel and Xiang, *CALU: a communication optimal LU
factorization algorithm*, SIAM J. Matrix Anal. Appl. 32 (2011) 1317). Forced candidates are gathered before.

Distances may let winners of different ranks exclude one another, so that fewer than ``k`` are found. A further round
then fills up, after those found. Where a round finds no more, the choice starts again with one candidate a round, which
is the exact choice in all columns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from pinn_ext._impl.checks import describe
from pinn_ext._impl.constraints import Constraints, check_forced, check_forced_allowed, num_left
from pinn_ext._impl.pivots import Pivots, check_finite, choose, rounding_level

__all__ = ["Share", "choose_in_group"]

# Winners that a rank sends for each candidate that is wanted. 12 of 9,000 random columns over 2 to 8 ranks have a log
# volume 0.12 to 0.24 below that of the exact choice in all columns; with one for each 0.16 to 0.29, with three no less.
SENT = 2
BLOCK = 1 << 16  # columns that are copied together with those found

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """What one rank contributes, checked for itself.

    Args:
        A: ``[r, n]`` or ``[r, n, c]``, its columns.
        k: of all ranks together.
        constraints: of its columns; ``forced`` and ``quotas`` are not used.
        forced: numbers in all ranks' columns.
        max_per_region: as it was given: one for all regions, or one for each.
    """

    A: Tensor
    k: int
    constraints: Constraints
    forced: Tensor
    max_per_region: int | list[int] | None


class CandidateSet(NamedTuple):
    """Candidates, along the first axis of each array."""

    columns: Tensor  # [m, r, c]
    numbers: Tensor  # [m] in all ranks' columns
    lengths: Tensor  # [m] float64
    weights: Tensor  # [m]
    costs: Tensor  # [m]
    allowed: Tensor  # [m] bool
    positions: Tensor  # [m, d], d = 0 where there are none
    regions: Tensor  # [m], zeros where there are none

    def pick(self, which: Tensor | slice) -> CandidateSet:
        return CandidateSet(*(array[which] for array in self))

    @property
    def num(self) -> int:
        return self.numbers.numel()


@dataclass(frozen=True)
class Rules:
    """What holds for all ranks: ``quotas [num_regions]``, and the length up to which a residual is rounding."""

    min_distance: float
    quotas: Tensor | None
    rounding: float


class Ranks:
    """The ranks of ``group``.

    Raises:
        TypeError: no process group, or none that this rank belongs to.
    """

    def __init__(self, group: Any) -> None:
        if not isinstance(group, dist.ProcessGroup):
            raise TypeError(
                f"group: expected a torch.distributed process group that this rank belongs to, got {describe(group)}"
            )
        self._group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def gather(self, make: Callable[[], T]) -> list[T]:
        """What every rank makes, in their order; an error of one rank is raised on all.

        Raises:
            Exception: this rank's own.
            ValueError, RuntimeError: with the messages of others.
        """
        mine: T | None = None
        error: Exception | None = None
        try:
            mine = make()
        except Exception as raised:
            error = raised
        everyone: list[Any] = [None] * self.size
        text = None if error is None else f"{type(error).__name__}: {error}"
        dist.all_gather_object(everyone, (mine, text), group=self._group)
        if error is not None:
            raise error
        errors = {rank: text for rank, (_, text) in enumerate(everyone) if text is not None}
        if errors:
            of_arguments = all(text.startswith(("ValueError", "TypeError")) for text in errors.values())
            texts = "; ".join(f"rank {rank} raised {text}" for rank, text in errors.items())
            raise (ValueError if of_arguments else RuntimeError)(
                f"group: expected valid arguments and enough memory on every rank, got: {texts}"
            )
        return [made for made, _ in everyone]

    def gather_candidates(self, make: Callable[[], CandidateSet], device: torch.device) -> CandidateSet:
        """Those that every rank makes, one rank after the other."""
        # Copies: a pickled view would carry all of the array that it is a view of.
        sets = self.gather(lambda: CandidateSet(*(array.cpu().clone() for array in make())))
        return CandidateSet(*(array.to(device) for array in _join(sets)))


def choose_in_group(make_share: Callable[[], Share], group: Any) -> tuple[Share, Pivots]:
    """The first ``k`` pivots of the columns of all ranks, in rank order; the same on every rank.

    Args:
        make_share: makes this rank's share, or raises.
        group: a process group.

    Raises:
        Exception: on every rank, where one of them raises, ranks disagree, or constraints leave fewer than ``k``. A
            rank raises its own error; the others raise one with its message.
    """
    ranks = Ranks(group)
    share: Share | None = None
    own: CandidateSet | None = None

    def prepare() -> dict[str, Any]:
        nonlocal share, own
        share = make_share()
        check_finite(share.A)
        own = _own_candidates(share)
        return _summary(share, own)

    table = ranks.gather(prepare)
    assert share is not None
    assert own is not None
    _check_agreement(table)
    num_before = [0, *accumulate(row["n"] for row in table)]
    total = num_before[-1]
    own = own._replace(numbers=own.numbers + num_before[ranks.rank])
    rules = _rules(share, table, total)
    found = _forced_candidates(ranks, own, check_forced(share.forced, total, share.k).to(share.A.device), rules)
    _check_enough(table, share.k, total, rules.quotas)
    if rules.rounding == 0.0:
        raise ValueError(
            "A: expected an allowed column that is not zero on one rank at least, got zeros on all of them"
        )
    return share, _choose_in_rounds(ranks, own, found, share.k, rules)


def _choose_in_rounds(ranks: Ranks, own: CandidateSet, forced: CandidateSet, k: int, rules: Rules) -> Pivots:
    """Rounds until ``k``, or until one finds no more; then one candidate a round."""
    max_found = 0
    for at_once, method in ((k, "group"), (1, "exact")):
        found, before = forced, -1
        while found.num > before:
            before = found.num
            found, r_diagonal, rank = _round(ranks, own, found, min(at_once, k - before), rules)
            if found.num == k:
                return Pivots(found.numbers, r_diagonal, rank, method)
        max_found = max(max_found, before)
    raise ValueError(f"k: expected at most {max_found}, which the constraints leave in all ranks' columns, got {k}")


def _round(
    ranks: Ranks, own: CandidateSet, found: CandidateSet, want: int, rules: Rules
) -> tuple[CandidateSet, Tensor, int]:
    """``found`` and up to ``want`` more, the lengths of all these, and the rank."""
    device = found.numbers.device
    winners = ranks.gather_candidates(lambda: _winners(own, found, SENT * want, rules), device)

    def decide() -> tuple[list[int], list[float], int]:
        if ranks.rank != 0:  # others may round differently, and the pivots have to be the same on all
            return [], [], 0
        done = _choose_after(found, winners, want, rules)
        return done.pivots.tolist(), done.r_diagonal.tolist(), done.rank

    pivots, lengths, rank = ranks.gather(decide)[0]
    chosen = _join([found, winners]).pick(torch.tensor(pivots, dtype=torch.int64, device=device))
    return chosen, torch.tensor(lengths, dtype=torch.float64, device=device), rank


def _winners(own: CandidateSet, found: CandidateSet, want: int, rules: Rules) -> CandidateSet:
    """The exact choice of ``want`` after those found, or fewer where the constraints leave no more; in ascending order,
    so that ties go to the lowest.
    """
    if found.num and own.num > (block := max(BLOCK, 8 * want)):
        parts = [own.pick(slice(start, start + block)) for start in range(0, own.num, block)]
        own = _join([_winners(part, found, want, rules) for part in parts])
    if not bool(own.allowed.any()):
        return own.pick(slice(0, 0))
    pivots = _choose_after(found, own, want, rules).pivots[found.num :] - found.num
    return own.pick(pivots.sort().values)


def _choose_after(found: CandidateSet, candidates: CandidateSet, want: int, rules: Rules) -> Pivots:
    """``found``, then the best ``want`` of ``candidates``, or fewer where those chosen exclude all others.

    Pivots are numbers in ``found``, then ``candidates``.
    """
    whole = _join([found, candidates]) if found.num else candidates
    device = whole.numbers.device
    is_found = torch.arange(whole.num, device=device) < found.num
    allowed = is_found | (whole.allowed & ~torch.isin(whole.numbers, found.numbers))
    limits = _limits(whole._replace(allowed=allowed), found.num, rules)
    k = min(found.num + want, whole.num)
    largest = float(whole.lengths[allowed].max()) if bool(allowed.any()) else 0.0
    if largest > rules.rounding:
        columns = whole.columns.movedim(0, 1).contiguous()
        return choose(columns, k, limits, tolerance=rules.rounding / largest, or_fewer=True)
    # Columns that are zero but for rounding add nothing: the cheapest are chosen, as among equal columns.
    equal = whole.costs.new_ones(1, whole.num) * whole.costs.abs().max().clamp(min=torch.finfo(whole.costs.dtype).tiny)
    done = choose(equal, k, replace(limits, weights=None), or_fewer=True)
    return Pivots(done.pivots, torch.zeros_like(done.r_diagonal), 0, done.method)


def _forced_candidates(ranks: Ranks, own: CandidateSet, forced: Tensor, rules: Rules) -> CandidateSet:
    """Those of the given numbers in their order, on every rank. Raises where they may not all be chosen."""
    gathered = ranks.gather_candidates(lambda: own.pick(torch.isin(own.numbers, forced)), forced.device)
    found = gathered.pick(torch.searchsorted(gathered.numbers, forced))
    check_forced_allowed(_limits(found, found.num, rules), forced)
    return found


def _limits(candidates: CandidateSet, num_forced: int, rules: Rules) -> Constraints:
    """What holds for some candidates, of which the first are forced."""
    return Constraints(
        weights=candidates.weights,
        costs=candidates.costs,
        forbidden=(~candidates.allowed).to(torch.uint8),
        forced=torch.arange(num_forced, device=candidates.numbers.device),
        positions=candidates.positions.contiguous() if candidates.positions.shape[1] else None,
        min_distance=rules.min_distance,
        regions=None if rules.quotas is None else candidates.regions,
        quotas=rules.quotas,
    )


def _join(sets: Sequence[CandidateSet]) -> CandidateSet:
    return CandidateSet(*(torch.cat(arrays) for arrays in zip(*sets, strict=True)))


def _own_candidates(share: Share) -> CandidateSet:
    A, limits = share.A, share.constraints
    n = A.shape[1]
    columns = A.reshape(A.shape[0], n, -1)
    return CandidateSet(
        columns=columns.movedim(1, 0),
        numbers=torch.arange(n, device=A.device),
        lengths=_lengths(columns),
        weights=A.new_ones(n) if limits.weights is None else limits.weights,
        costs=A.new_zeros(n) if limits.costs is None else limits.costs,
        allowed=torch.ones(n, dtype=torch.bool, device=A.device) if limits.forbidden is None else limits.forbidden == 0,
        positions=A.new_empty((n, 0), dtype=torch.float64) if limits.positions is None else limits.positions,
        regions=A.new_zeros(n, dtype=torch.int64) if limits.regions is None else limits.regions,
    )


def _lengths(columns: Tensor) -> Tensor:
    """Of ``columns [r, n, c]``, in double and without squares that overflow or vanish."""
    largest = torch.maximum(columns.amax((0, 2)), -columns.amin((0, 2))).double()
    scale = torch.where(largest > 0, largest, 1.0)
    squares = torch.zeros_like(scale)
    for row in columns:  # one after the other: no array of the size of A
        squares += (row.double() / scale[:, None]).square().sum(1)
    return (scale * squares.sqrt()).clamp(max=sys.float_info.max)


def _summary(share: Share, own: CandidateSet) -> dict[str, Any]:
    limits, lengths = share.constraints, own.lengths[own.allowed]
    labels, counts = own.regions[own.allowed].unique(return_counts=True)  # type: ignore[no-untyped-call]
    same = {  # on every rank; the last word is the argument
        "r of A": own.columns.shape[1],
        "c of A": own.columns.shape[2],
        "dtype of A": str(share.A.dtype).removeprefix("torch."),
        "k": share.k,
        "forced": share.forced.tolist(),
        "dimensions of positions": None if limits.positions is None else limits.positions.shape[1],
        "min_distance": limits.min_distance,
        "regions": limits.regions is not None,
        "max_per_region": share.max_per_region,
    }
    return {
        "same": same,
        "n": own.num,
        "num_labels": int(own.regions.max()) + 1,
        "num_allowed": int(own.allowed.sum()),
        "allowed_in_regions": list(zip(labels.tolist(), counts.tolist(), strict=True)),
        "largest": float(lengths.max()) if lengths.numel() else 0.0,
    }


def _check_agreement(table: list[dict[str, Any]]) -> None:
    for what in table[0]["same"]:
        values = [row["same"][what] for row in table]
        if any(value != values[0] for value in values):
            name = what.split()[-1]
            raise ValueError(f"{name}: expected the same {what} on every rank of the group, got {values}")


def _rules(share: Share, table: list[dict[str, Any]], total: int) -> Rules:
    quotas = share.max_per_region
    if isinstance(quotas, int):
        quotas = [quotas] * max(row["num_labels"] for row in table)
    return Rules(
        share.constraints.min_distance,
        None if quotas is None else torch.tensor(quotas, device=share.A.device),
        max(row["largest"] for row in table) * rounding_level(share.A, total),
    )


def _check_enough(table: list[dict[str, Any]], k: int, total: int, quotas: Tensor | None) -> None:
    in_regions = None
    if quotas is not None:
        in_regions = torch.zeros_like(quotas)
        for row in table:
            for label, count in row["allowed_in_regions"]:
                in_regions[label] += count
    left = num_left(sum(row["num_allowed"] for row in table), in_regions, quotas)
    if k > left:
        raise ValueError(
            f"k: expected at most {left}, the candidates that the constraints leave of {total} on all ranks, got {k}"
        )
