"""What the ranks of a group cannot answer: one rank's mistake, ranks that disagree, and too many constraints."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from group_cases import GroupCase, uneven
from pivot_cases import random_matrix

N, K = 600, 8
A = random_matrix(10, N)
APART = {"positions": np.arange(N, dtype=float)[:, None], "min_distance": 20.0}
QUOTAS = {"regions": np.arange(N) % 6, "max_per_region": 2}


@cache
def faults(size: int) -> dict[str, GroupCase]:
    """Each with a part of what every rank says."""
    kinds = {"mistake": _mistakes_of_one_rank(size), "disagree": _disagreements(size), "too much": _too_much(size)}
    return {f"{kind}: {name}": case for kind, cases in kinds.items() for name, case in cases.items()}


def _case(size: int, message: str, limits: dict[str, Any], spoiled: dict[str, Any] | None = None) -> GroupCase:
    """A case whose last rank has other arguments."""
    return GroupCase(A, K, uneven(N, size), limits, {size - 1: spoiled} if spoiled else {}, message)


def _mistakes_of_one_rank(size: int) -> dict[str, GroupCase]:
    mine = np.ascontiguousarray(A[:, uneven(N, size)[-2] :])
    n = mine.shape[1]
    wrong, infinite = mine.copy(), mine.copy()
    wrong[3, 7], infinite[0, 0] = np.nan, -np.inf
    finite = "A: expected finite numbers, got 1 that are NaN or infinite"
    each = {
        "nan": (finite, {}, {"A": wrong}),
        "infinity": (finite, APART, {"A": infinite}),
        "list": ("A: expected [r, n] or [r, n, c] float32 or float64", {}, {"A": [[1.0, 2.0]]}),
        "empty": ("A: expected at least one row and one candidate", {}, {"A": mine[:, :0]}),
        "method": ("group: expected method='exact', got 'randomized'", {}, {"method": "randomized"}),
        "no whole k": ("k: expected a whole number, got float 2.5", {}, {"k": 2.5}),
        "k of zero": ("k: expected at least 1, got 0", {}, {"k": 0}),
        "negative weight": ("weights: expected numbers >= 0, got -1", {}, {"weights": -np.ones(n)}),
        "short costs": (f"costs: expected {n} finite numbers", {}, {"costs": np.ones(n + 1)}),
        "forbidden": (f"forbidden: expected indices from 0 to {n - 1}, got {n}", {}, {"forbidden": [n]}),
        "forced fraction": ("forced: expected indices from 0", {"forced": [3]}, {"forced": [0.5]}),
        "forced twice": ("forced: expected distinct indices, got [3, 3]", {"forced": [3]}, {"forced": [3, 3]}),
        "positions of others": (f"positions: expected coordinates [{n}, d]", APART, {"positions": APART["positions"]}),
        "no distance": ("min_distance: expected with positions, got None", APART, {"min_distance": None}),
        "negative label": ("regions: expected labels from 0, got -1", QUOTAS, {"regions": np.full(n, -1)}),
        "out of memory": ("", {}, {"broken": True}),
    }
    return {name: _case(size, *arguments) for name, arguments in each.items()}


def _disagreements(size: int) -> dict[str, GroupCase]:
    mine = np.ascontiguousarray(A[:, uneven(N, size)[-2] :])
    n = mine.shape[1]
    plane, label = np.zeros((n, 2)), {"regions": np.zeros(n, int), "max_per_region": 2}
    each = {
        "rows": ("A: expected the same r of A on every rank of the group, got [10, ", {}, {"A": mine[:-1]}),
        "components": ("A: expected the same c of A", {}, {"A": np.stack([mine, mine], 2)}),
        "dtype": ("A: expected the same dtype of A", {}, {"A": mine.astype(np.float32)}),
        "k": ("k: expected the same k on every rank of the group, got [8, ", {}, {"k": K + 1}),
        "forced": ("forced: expected the same forced on every rank", {"forced": [3, 5]}, {"forced": [5, 3]}),
        "forced on one": ("forced: expected the same forced", {}, {"forced": [5]}),
        "distance": ("min_distance: expected the same min_distance", APART, {"min_distance": 20.5}),
        "dimensions": ("positions: expected the same dimensions of positions", APART, {"positions": plane}),
        "positions on one": ("positions: expected the same", {}, {"positions": plane, "min_distance": 1.0}),
        "regions on one": ("regions: expected the same regions on every rank", {}, label),
        "quotas": ("max_per_region: expected the same max_per_region", QUOTAS, {"max_per_region": 3}),
        "form of quotas": ("max_per_region: expected the same", QUOTAS, {"max_per_region": [2] * 6}),
    }
    return {name: _case(size, *arguments) for name, arguments in each.items()}


def _too_much(size: int) -> dict[str, GroupCase]:
    ends = uneven(N, size)
    border = ends[1]
    labels = (np.arange(N) >= ends[-2]).astype(int) * 3  # of the last rank alone
    far = {"positions": APART["positions"], "min_distance": 100.0}
    one_each = QUOTAS | {"max_per_region": 1}
    each = {
        "forced out of range": (f"forced: expected indices from 0 to {N - 1}, got {N}", {"forced": [N]}),
        "forced too many": ("forced: expected at most k = 8 indices, got 9", {"forced": range(9)}),
        "forced and forbidden": (
            f"forced, forbidden: expected no candidate in both, got [{N - 1}]",
            {"forced": [2, N - 1], "forbidden": [N - 1]},
        ),
        "forced without weight": (
            "weights, forced: expected a weight above 0",
            {"forced": [2, 0], "weights": np.arange(N, dtype=float)},
        ),
        "forced too near": (
            f"forced: expected candidates at least min_distance = 20 from one another, got 2 at index {border + 1}",
            APART | {"forced": [border - 1, border + 1]},
        ),
        "forced over quota": (
            "forced: expected at most max_per_region in each region, got more in region 1",
            one_each | {"forced": [1, N - 5]},
        ),
        "label beyond the quotas": (
            "max_per_region: expected 4 numbers, one for each region",
            {"regions": labels, "max_per_region": [8, 8]},
        ),
        "quotas": ("k: expected at most 6, the candidates that the constraints leave of 600 on all ranks", one_each),
        "quotas and forbidden": (
            "k: expected at most 5, the candidates that the constraints leave of 600 on all ranks",
            one_each | {"forbidden": np.arange(0, N, 6)},
        ),
        "all forbidden": ("k: expected at most 0, the candidates", {"weights": np.zeros(N), "forbidden": [0]}),
        "distance": ("which the constraints leave in all ranks' columns, got 8", far),
        "distance and quotas": ("which the constraints leave in all ranks' columns, got 8", far | QUOTAS),
    }
    cases = {name: _case(size, *arguments) for name, arguments in each.items()}
    cases["zeros"] = GroupCase(0 * A, K, ends, message="A: expected an allowed column that is not zero on one rank")
    cases["too many"] = GroupCase(A, N + 1, ends, message="k: expected at most 600, the candidates")
    return cases
