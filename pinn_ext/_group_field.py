"""Candidates that meet in the tournament over ranks, and the choice among them after those that are found already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinn_ext._candidates import Constraints
from pinn_ext._pivots import Pivots, choose

__all__ = ["SENT_ON", "Field", "Rules", "best_of", "choose_after", "join", "make_field"]

SENT_ON = 3
"""Candidates sent on for each that is wanted: a winner and two more, which may be far from the winners of others."""

BLOCK = 1 << 16  # columns that are copied together with those found


@dataclass(frozen=True)
class Rules:
    """What holds for all ranks: ``quotas [num_regions]``, and the length up to which a residual is rounding."""

    min_distance: float
    quotas: Tensor | None
    rounding: float


@dataclass(frozen=True)
class Field:
    """Candidates: ``columns [r, m, c]``; of each its number in all ranks' columns, its length and its limits."""

    columns: Tensor
    numbers: Tensor
    lengths: Tensor
    weights: Tensor
    costs: Tensor
    allowed: Tensor
    positions: Tensor | None
    regions: Tensor | None

    def __len__(self) -> int:
        return self.numbers.numel()

    def pick(self, which: Tensor | slice) -> Field:
        """Those, in that order."""
        return Field(
            self.columns[:, which],
            self.numbers[which],
            self.lengths[which],
            self.weights[which],
            self.costs[which],
            self.allowed[which],
            None if self.positions is None else self.positions[which],
            None if self.regions is None else self.regions[which],
        )


def make_field(
    columns: Tensor,
    *,
    numbers: Tensor,
    weights: Tensor,
    costs: Tensor,
    allowed: Tensor,
    positions: Tensor | None,
    regions: Tensor | None,
) -> Field:
    """A field of candidates whose lengths are taken here."""
    return Field(columns, numbers, _lengths(columns), weights, costs, allowed, positions, regions)


def join(fields: Sequence[Field]) -> Field:
    """One after the other."""
    first = fields[0]
    return Field(
        torch.cat([field.columns for field in fields], 1),
        torch.cat([field.numbers for field in fields]),
        torch.cat([field.lengths for field in fields]),
        torch.cat([field.weights for field in fields]),
        torch.cat([field.costs for field in fields]),
        torch.cat([field.allowed for field in fields]),
        None if first.positions is None else torch.cat([f.positions for f in fields if f.positions is not None]),
        None if first.regions is None else torch.cat([f.regions for f in fields if f.regions is not None]),
    )


def choose_after(found: Field, field: Field, k: int, rules: Rules, allowed: Tensor) -> Pivots:
    """``found``, then the best allowed ones of ``field``: ``k`` in all, or fewer where those chosen exclude all others.

    Pivots are numbers in ``found``, then ``field``.
    """
    whole = join([found, field]) if len(found) else field
    free = torch.cat([torch.ones(len(found), dtype=torch.bool, device=allowed.device), allowed])
    largest = float(whole.lengths[free].max()) if bool(free.any()) else 0.0
    if not largest > rules.rounding:
        return _cheapest(found, field, k, rules, allowed)
    limits = Constraints(
        weights=whole.weights,
        costs=whole.costs,
        forbidden=(~free).to(torch.uint8),
        forced=torch.arange(len(found), device=free.device),
        positions=whole.positions,
        min_distance=rules.min_distance,
        regions=whole.regions,
        quotas=rules.quotas,
    )
    return choose(whole.columns.contiguous(), k, limits, tolerance=rules.rounding / largest, or_fewer=True)


def best_of(field: Field, found: Field, want: int, rules: Rules, *, spares: bool) -> Field:
    """What a rank sends on after ``found``: ``want`` winners under the limits, with spares up to `SENT_ON` times that.

    Where one candidate may exclude another the spares are those that win where the winners are not, and the longest;
    else the longest alone. A field with a candidate that may be chosen never sends none.
    """
    if len(found) and len(field) > (block := max(BLOCK, 8 * SENT_ON * want)):
        parts = [field.pick(slice(start, start + block)) for start in range(0, len(field), block)]
        field = join([best_of(part, found, want, rules, spares=spares) for part in parts])
    allowed = admissible(found, field, rules)
    number = min(want, int(allowed.sum()))
    if number == 0:
        return field.pick(slice(0, 0))

    def winners(allowed: Tensor) -> Tensor:
        k = len(found) + min(want, int(allowed.sum()))
        pivots = choose_after(found, field, k, rules, allowed).pivots
        return pivots[len(found) :] - len(found)

    sent = [winners(allowed)]
    if spares:
        score = (field.lengths * field.weights - field.costs).masked_fill(~allowed, -math.inf)
        limited = field.positions is not None or field.regions is not None
        sent.append(score.topk(min((SENT_ON - (2 if limited else 1)) * want, int(allowed.sum()))).indices)
        others = allowed.index_fill(0, sent[0], False)
        if limited and bool(others.any()):
            sent.append(winners(others))
    return field.pick(torch.cat(sent).unique())  # type: ignore[no-untyped-call]


def admissible(found: Field, field: Field, rules: Rules) -> Tensor:
    """Which candidates those found leave."""
    mask = field.allowed & ~torch.isin(field.numbers, found.numbers)
    if field.positions is not None and found.positions is not None:
        for point in found.positions:
            mask &= _far(field.positions, point, rules)
    if field.regions is not None and found.regions is not None and rules.quotas is not None:
        full = torch.bincount(found.regions, minlength=rules.quotas.numel()) >= rules.quotas
        mask &= ~full[field.regions]
    return mask


def _far(positions: Tensor, point: Tensor, rules: Rules) -> Tensor:
    return (positions - point).square().sum(1) >= rules.min_distance * rules.min_distance


def _cheapest(found: Field, field: Field, k: int, rules: Rules, allowed: Tensor) -> Pivots:
    """The choice among columns that are zero but for rounding, and add nothing: by cost, then by number."""
    free = allowed & admissible(found, field, rules)
    used = None
    if found.regions is not None and rules.quotas is not None:
        used = torch.bincount(found.regions, minlength=rules.quotas.numel())
    chosen: list[int] = []
    while len(found) + len(chosen) < k and bool(free.any()):
        j = int((-field.costs).masked_fill(~free, -math.inf).argmax())
        chosen.append(j)
        free[j] = False
        if field.positions is not None:
            free &= _far(field.positions, field.positions[j], rules)
        if field.regions is not None and rules.quotas is not None and used is not None:
            used[field.regions[j]] += 1
            if used[field.regions[j]] >= rules.quotas[field.regions[j]]:
                free &= field.regions != field.regions[j]
    pivots = torch.tensor([*range(len(found)), *(len(found) + j for j in chosen)], dtype=torch.int64)
    lengths = torch.zeros(pivots.numel(), dtype=torch.float64, device=field.columns.device)
    return Pivots(pivots.to(lengths.device), lengths, rank=0, method="exact")


def _lengths(columns: Tensor) -> Tensor:
    """In double, without squares that overflow or vanish beside the largest."""
    squares = columns.new_zeros(columns.shape[1])
    if columns.numel() == 0:
        return squares.double()
    low, high = (float(bound) for bound in columns.aminmax())
    largest = max(-low, high)
    if not 0.0 < largest < math.inf:
        return squares.double()
    exponent = math.frexp(largest)[1] - 1
    if abs(exponent) > (40 if columns.dtype == torch.float32 else 400):
        scale = 2.0**exponent
        return (_lengths(columns / scale) * scale).clamp_max(torch.finfo(torch.float64).max)
    for row in columns:  # one read, and no array of its size
        for part in row.unbind(1):
            squares.addcmul_(part, part)
    return squares.double().sqrt()
