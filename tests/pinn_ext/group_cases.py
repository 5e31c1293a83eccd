"""What the ranks of a group choose from: each rank takes its own columns of a case, and what belongs to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from pivot_cases import Matrix, limit_cases, random_matrix, smooth_modes

N = 9000
OF_A_CANDIDATE = ("weights", "costs", "positions", "regions")


@dataclass(frozen=True)
class GroupCase:
    """``A`` and ``limits`` of all columns; rank ``i`` has those from ``ends[i]`` to ``ends[i + 1]``.

    Args:
        spoiled: by rank, arguments that differ from these; ``broken`` makes its choice run out of memory.
        message: a part of what every rank says, where there is no answer.
    """

    A: Matrix
    k: Any
    ends: list[int]
    limits: dict[str, Any] = field(default_factory=dict)
    spoiled: dict[int, dict[str, Any]] = field(default_factory=dict)
    message: str = ""

    def of_rank(self, rank: int) -> dict[str, Any]:
        """The arguments of `pivoted_qr`, but for the group."""
        begin, end = self.ends[rank : rank + 2]
        limits = {key: value[begin:end] if key in OF_A_CANDIDATE else value for key, value in self.limits.items()}
        if "forbidden" in limits:
            mask = np.zeros(self.A.shape[1], bool)
            mask[limits["forbidden"]] = True
            limits["forbidden"] = mask[begin:end]
        mine = {"A": np.ascontiguousarray(self.A[:, begin:end]), "k": self.k, **limits}
        return mine | self.spoiled.get(rank, {})


def uneven(n: int, size: int) -> list[int]:
    """Shares of different sizes, the smallest first."""
    return [n * i * i // (size * size) for i in range(size + 1)]


@cache  # as each test, and each rank of every case, needs them
def good_cases(size: int) -> dict[str, GroupCase]:
    """Those with an answer."""
    A, ends = random_matrix(30, N), uneven(N, size)
    cases = {name: GroupCase(A, 12, ends, limits) for name, limits in limit_cases(N).items()}
    cases["plain"] = GroupCase(A, 12, ends)
    sixths = (6 * limit_cases(N)["distance"]["positions"][:, 0]).astype(int)
    cases["regions"] = GroupCase(A, 12, ends, {"regions": sixths, "max_per_region": 2})  # all of them full
    cases["few columns"] = GroupCase(A, 12, [0, *range(8997 - size, 8996), N])
    flat = random_matrix(6, N, decay=1.0)
    cases["beyond the rank"] = GroupCase(flat, 15, ends, limit_cases(N)["together"])
    cases["far beyond the rank"] = GroupCase(flat, 20, ends)
    vectors = {"forced": [N - 1, 3, N // 2], "positions": limit_cases(N)["distance"]["positions"], "min_distance": 0.15}
    cases["components"] = GroupCase(random_matrix(30, N, 2), 12, ends)
    cases["components in float32"] = GroupCase(random_matrix(30, N, 2).astype(np.float32), 12, ends, vectors)
    cases["forced alone"] = GroupCase(A, 4, ends, {"forced": [N - 1, 0, 4000, 17]})
    cases["one number"] = GroupCase(A, 1, ends, {"regions": np.arange(N) % 3, "max_per_region": [0, 0, 1]})

    side = 96
    x = (np.arange(side) + 0.5) / side
    places = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    smooth = smooth_modes(side, 8)  # neighbours on both sides of a border are nearly the same column
    cases["smooth"] = GroupCase(
        smooth, 12, uneven(side * side, size), {"positions": places, "min_distance": 0.2, "forced": [side * side // 2]}
    )
    # Room for 14 at best, where those of different ranks exclude one another.
    line = {"positions": np.arange(N, dtype=float)[:, None], "min_distance": 650.0}
    cases["line"] = GroupCase(random_matrix(40, N, decay=1.0), 10, ends, line)

    border = ends[1]
    cases["nobody on a rank"] = GroupCase(A, 12, ends, {"forbidden": np.arange(border), **limit_cases(N)["distance"]})
    cases["nobody on the last"] = GroupCase(A, 12, ends, {"forbidden": np.arange(ends[-2], N)})
    dark = A.copy()
    dark[:, :border] = 0
    regions = (np.arange(N) >= border).astype(int)  # four of the zeros are needed
    cases["zeros on a rank"] = GroupCase(dark, 12, ends, {"regions": regions, "max_per_region": [4, 8]})
    cases["noise on a rank"] = GroupCase(
        dark + 1e-30 * (dark == 0), 12, ends, {"regions": regions, "max_per_region": [4, 8], "forced": [1]}
    )
    cases["small and large"] = GroupCase(1e-200 * A, 12, ends, {"costs": 1e-200 * limit_cases(N)["costs"]["costs"]})
    return cases


def crowded_case(size: int, seed: int) -> GroupCase:
    """Few candidates that exclude one another, on ranks of random size; ``k`` stays to be found."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 300))
    A = random_matrix(int(rng.integers(3, 12)), n, seed=seed)
    if rng.random() < 0.2:
        A[:, : n // 2] = 0
    positions = rng.random((n, 2))
    limits: dict[str, Any] = {"positions": positions, "min_distance": float(rng.uniform(0.1, 0.4))}
    if rng.random() < 0.5:
        limits |= {"regions": (positions[:, 0] * 3).astype(int), "max_per_region": 4}
    if rng.random() < 0.3:
        limits["forced"] = [int(rng.integers(n))]
    ends = [0, *sorted(rng.choice(np.arange(1, n), size - 1, replace=False).tolist()), n]
    return GroupCase(A, 0, ends, limits)
