"""What a choice of columns has to keep to, and the choice: at once, or on finer and finer grids.

quotas     region i holds exactly q_i sensors. With sum q_i = k, at most q_i in each is the same;
           regions without a quota become one, which holds the rest.
refine     level f: grid lines 0, f, 2 f, ... of each axis, of these the neighbours (less than the
           previous f away along each axis) of the previous winners; the last level is f = 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.sensors.estimator import Estimator

__all__ = ["Constraints"]


@dataclass(eq=False, repr=False, kw_only=True)
class Constraints(Estimator):
    """Weights, costs and constraints of n places: arguments of `SensorSelector`, which says what they are."""

    weights: Any = None
    costs: Any = None
    forbidden: Any = None
    forced: Any = None
    positions: Any = None
    min_distance: float | None = None
    regions: Any = None
    max_per_region: Any = None
    quotas: Any = None

    def _columns(
        self,
        matrix: Tensor,
        k: int,
        grid_shape: tuple[int, ...] | None,
        refine: int | Sequence[int] | None,
        options: Mapping[str, Any],
    ) -> pinn_ext.PivotedQR:
        """Return k columns of a matrix [r, n] or [r, n, c].

        Args:
            matrix: what is pivoted; any device.
            k: number of sensors.
            grid_shape: numbers of places along each axis, for refine.
            refine: the levels; None: all places at once.
            options: method, seed, oversampling, sketch, of `pinn_ext.pivoted_qr`.

        Raises:
            PinnxError: constraints that contradict one another, the matrix or the grid.
        """
        plain = self._without_quotas(int(matrix.shape[1]), k)
        levels = _levels(refine)
        if not levels:
            return plain._pivots(matrix, k, options)
        shape = _checked_grid(grid_shape, int(matrix.shape[1]))
        allowed = np.ones(shape, dtype=bool)
        choice = None
        for factor in (*levels, 1):
            candidates = np.flatnonzero(allowed & _every(shape, factor))
            candidates = np.union1d(candidates, plain._forced()).astype(np.int64)
            if len(candidates) < k:
                found = len(candidates)
                raise PinnxError(f"refine: expected at least {k} places on every {factor}th line, got {found}")
            choice = plain._among(candidates, int(matrix.shape[1]))._pivots(
                matrix[:, torch.from_numpy(candidates).to(matrix.device)], k, options
            )
            winners = torch.from_numpy(candidates).to(choice.pivots.device)[choice.pivots]
            choice = replace(choice, pivots=winners)
            allowed = _around(winners.cpu().numpy(), shape, factor)
        assert choice is not None
        return choice

    def _pivots(self, matrix: Tensor, k: int, options: Mapping[str, Any]) -> pinn_ext.PivotedQR:
        try:
            given = {field.name: getattr(self, field.name) for field in fields(Constraints) if field.name != "quotas"}
            return pinn_ext.pivoted_qr(matrix, k, **given, **options)
        except (TypeError, ValueError) as error:
            raise PinnxError(str(error)) from None

    def _without_quotas(self, n: int, k: int) -> Self:
        """The same with quotas as the most of each region."""
        if self.quotas is None:
            return self
        if self.max_per_region is not None:
            raise PinnxError("quotas, max_per_region: expected one of them, got both")
        if self.regions is None:
            raise PinnxError("quotas: expected regions, a label for each place, got none")
        labels = np.asarray(self.regions)
        if labels.shape != (n,) or labels.dtype.kind not in "iu":
            raise PinnxError(f"regions: expected {n} integers, got {labels.dtype} {list(labels.shape)}")
        items = self.quotas.items() if isinstance(self.quotas, Mapping) else enumerate(self.quotas)
        quotas = {int(label): int(count) for label, count in items}
        total = sum(quotas.values())
        if min(quotas.values(), default=0) < 0 or total > k:
            raise PinnxError(f"quotas: expected counts >= 0 that sum to at most {k}, the sensors, got {quotas}")
        named = np.array(sorted(quotas), dtype=np.int64)
        for label in named:
            places = int(np.count_nonzero(labels == label))
            if places < quotas[int(label)]:
                raise PinnxError(
                    f"quotas: expected at most {places} for region {label}, its places, got {quotas[int(label)]}"
                )
        place = np.searchsorted(named, labels)
        among = np.isin(labels, named)
        if total < k and among.all():
            raise PinnxError(f"quotas: expected them to sum to {k}, as every place has a region with one, got {total}")
        merged = np.where(among, place, len(named)).astype(np.int64)
        most = [*(quotas[int(label)] for label in named), k - total]
        return replace(self, regions=merged, max_per_region=np.array(most, dtype=np.int64), quotas=None)

    def _forced(self) -> np.ndarray:
        return np.asarray([] if self.forced is None else self.forced, dtype=np.int64).reshape(-1)

    def _among(self, candidates: np.ndarray, n: int) -> Self:
        """The same for some of the places, by their new numbers."""

        def part(name: str, values: Any) -> Any:
            if values is None:
                return None
            array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
            if len(array) != n:
                raise PinnxError(f"{name}: expected {n}, one for each place, got {len(array)}")
            return array[candidates]

        forbidden = None
        if self.forbidden is not None:
            given = np.asarray(self.forbidden)
            mask = given if given.dtype == bool else np.isin(np.arange(n), given)
            forbidden = part("forbidden", mask)
        return replace(
            self,
            weights=part("weights", self.weights),
            costs=part("costs", self.costs),
            forbidden=forbidden,
            forced=None if self.forced is None else np.searchsorted(candidates, self._forced()),
            positions=part("positions", self.positions),
            regions=part("regions", self.regions),
        )


def _levels(refine: int | Sequence[int] | None) -> tuple[int, ...]:
    if refine is None:
        return ()
    levels = tuple(refine) if isinstance(refine, Sequence) else (refine,)
    whole = all(isinstance(level, int | np.integer) and not isinstance(level, bool) for level in levels)
    if not whole or any(level < 1 for level in levels) or any(b >= a for a, b in pairwise(levels)):
        raise PinnxError(f"refine: expected an integer >= 1 or falling ones, such as (8, 2), got {refine!r}")
    return tuple(int(level) for level in levels if level > 1)


def _checked_grid(grid_shape: tuple[int, ...] | None, n: int) -> tuple[int, ...]:
    if grid_shape is None:
        raise PinnxError("refine: expected grid_shape, the numbers of places along each axis, got none")
    shape = tuple(int(length) for length in grid_shape)
    if min(shape, default=0) < 1 or int(np.prod(shape)) != n:
        raise PinnxError(f"grid_shape: expected numbers >= 1 with product {n}, the places of X, got {grid_shape}")
    return shape


def _every(shape: tuple[int, ...], factor: int) -> np.ndarray:
    """Mark grid lines 0, f, 2 f, ... of each axis."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(None, None, factor) for _ in shape)] = True
    return mask


def _around(winners: np.ndarray, shape: tuple[int, ...], factor: int) -> np.ndarray:
    """Mark what is less than f grid lines away from a winner along every axis."""
    mask = np.zeros(shape, dtype=bool)
    for index in np.stack(np.unravel_index(winners, shape), axis=1):
        mask[tuple(slice(max(0, i - factor + 1), i + factor) for i in index)] = True
    return mask
