"""Matrices and constraints that the tests of pivoted QR share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn_ext.reference import selection

Matrix = NDArray[np.float64]


def random_matrix(r: int, n: int, c: int = 0, decay: float = 0.9, seed: int = 0) -> Matrix:
    """Normal numbers, each row shorter than the one before; ``[r, n]``, or ``[r, n, c]``."""
    shape = (r, n, c) if c else (r, n)
    rows = decay ** np.arange(r).reshape(-1, *(1,) * (len(shape) - 1))
    matrix: Matrix = np.random.default_rng(seed).standard_normal(shape) * rows
    return matrix


def graded_matrix(r: int, n: int, condition: float, seed: int = 0) -> Matrix:
    """Singular values from 1 down to 1 / condition."""
    rng = np.random.default_rng(seed)
    left, right = np.linalg.qr(rng.standard_normal((r, r)))[0], np.linalg.qr(rng.standard_normal((n, r)))[0]
    matrix: Matrix = left * condition ** -np.linspace(0, 1, r) @ right.T
    return matrix


def smooth_modes(side: int, num: int) -> Matrix:
    """Modes of a smooth field on a square without symmetry: neighbours are nearly the same column."""
    x = (np.arange(side) + 0.5) / side
    wave, other = (np.cos(np.arange(num)[:, None] * (end * x + start)) for start, end in ((0.1, 3.0), (0.3, 2.7)))
    modes = np.stack([np.outer(wave[i], other[j]).ravel() for i in range(num) for j in range(num) if i + j < num])
    rotated: Matrix = np.linalg.qr(np.random.default_rng(0).standard_normal((len(modes), len(modes))))[0] @ modes
    return rotated


def rounding_level(A: NDArray[np.floating]) -> float:
    """As ``pinn_ext`` has it: eps for each of the directions that there may be."""
    return float(np.finfo(A.dtype).eps * max(16, min(A.shape[0], int(np.prod(A.shape[1:])))))


def oracle(A: NDArray[np.floating], k: int, **limits: Any) -> selection.ReferencePivots:
    """The oracle, with the arguments of :func:`pinn_ext.pivoted_qr`."""
    if "max_per_region" in limits:
        quota = limits.pop("max_per_region")
        limits["quotas"] = np.broadcast_to(quota, int(limits["regions"].max()) + 1)
    if "forbidden" in limits:
        mask = np.zeros(A.shape[1], bool)
        mask[limits["forbidden"]] = True
        limits["forbidden"] = mask
    return selection.pivoted_qr(A, k, tolerance=rounding_level(A), **limits)


def limit_cases(n: int) -> dict[str, dict[str, Any]]:
    """One of each, and all of them together."""
    rng = np.random.default_rng(1)
    positions = rng.random((n, 2))
    each: dict[str, dict[str, Any]] = {
        "weights": {"weights": rng.random(n) + 0.2},
        "costs": {"costs": rng.random(n)},
        "forbidden": {"forbidden": np.arange(0, n, 3)},
        "forced": {"forced": [5, 2, n - 1]},
        "distance": {"positions": positions, "min_distance": 0.15},
        "regions": {"regions": (positions[:, 0] * 8).astype(int), "max_per_region": 2},
    }
    together = {key: value for case in each.values() for key, value in case.items()}
    together |= {"forced": [5, 2, n - 2], "min_distance": 0.05, "max_per_region": 4, "costs": 0.1 * rng.random(n)}
    return each | {"together": together}


def violations(pivots: list[int], limits: dict[str, Any]) -> int:
    """How often a choice breaks the constraints."""
    count = len(pivots) - len(set(pivots))
    if "forbidden" in limits:
        count += len(set(pivots) & set(np.asarray(limits["forbidden"]).tolist()))
    if "forced" in limits:
        count += int(pivots[: len(limits["forced"])] != limits["forced"])
    if "positions" in limits:
        points = limits["positions"][pivots]
        distance = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(len(pivots), np.inf))
        count += int((distance < limits["min_distance"]).sum())
    if "regions" in limits:
        count += int((np.bincount(limits["regions"][pivots]) > limits["max_per_region"]).sum())
    return count
