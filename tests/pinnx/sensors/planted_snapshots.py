"""Snapshots with a planted spectrum, shared by the tests of bases and selectors."""

from __future__ import annotations

import numpy as np


def planted(rng: np.random.Generator, num_times: int, n: int, values: np.ndarray) -> np.ndarray:
    """Snapshots [T, n] float64 with the given singular values, and no mean over time."""
    left = rng.normal(size=(num_times, len(values)))
    left, _ = np.linalg.qr(left - left.mean(axis=0))
    right, _ = np.linalg.qr(rng.normal(size=(n, len(values))))
    return (left * values) @ right.T


def modes_of(snapshots: np.ndarray, r: int) -> tuple[np.ndarray, np.ndarray]:
    """The first modes [r, n] and their singular values by a full SVD in float64."""
    _, values, rows = np.linalg.svd(snapshots.astype(np.float64), full_matrices=False)
    rows = rows[:r] * np.sign(rows[np.arange(r), np.abs(rows[:r]).argmax(axis=1)])[:, None]
    return rows, values[:r]


def largest_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Sine of the largest angle between the spans of two sets of orthonormal rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(np.linalg.norm(a - (a @ b.T) @ b, ord=2))
