"""Choose k places to measure: by pivoted QR on POD modes, at random, or as given.

    qr       A P = Q R,  A [d r, n]: a column for each data point, its rows the d components of r
             modes. The pivots are the sensors: each is the point whose column is longest after
             the parts that the earlier ones explain are taken off, which greedily maximises the
             volume |det| of what is measured. Exact (the pivots of LAPACK's geqp3), deterministic.
             Each mode counts by its singular value (`scale_modes`), so that a sensor goes where
             energy is not yet seen; orthonormal modes alone weigh the weakest like the strongest.
             All components of a place make one column of A. With a block of d columns for each, as
             `SensorSelector` has it, k / d places would span k modes and the rest had nothing to
             add; here each of the k has its say, and the presets were measured so.
    random   the first k of a seeded permutation of the data points that keep to the distances

Source: Manohar, Brunton, Kutz, Brunton, "Data-driven sparse sensor placement for reconstruction",
IEEE Control Systems 38, 2018; Businger and Golub, Numer. Math. 7, 1965.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import pinn_ext
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.sensors.pod import pod_basis
from pinnx.sensors.sampling import require_inside
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["select_sensors"]

METHODS = ("qr", "random", "positions")


def select_sensors(
    snapshots: Snapshots,
    count: int,
    *,
    method: str = "qr",
    modes: int | None = None,
    seed: int = 0,
    positions: Sequence[Sequence[float]] | np.ndarray | None = None,
    min_distance: float | None = None,
    margin: float | None = None,
    subtract_mean: bool = False,
    scale_modes: bool = True,
) -> SensorSet:
    """Choose the sensors for a flow.

    Args:
        snapshots: the flow.
        count: k >= 1; for method positions their number decides.
        method: "qr", "random" or "positions".
        modes: qr: number r of POD modes, at most their rank; None takes as many as sensors, save
            those that are no more than the rounding of float32 data.
        seed: random: names the permutation.
        positions: positions: [k, d] the places, kept exactly as given.
        min_distance: random: least distance between two sensors, > 0, units of length.
        margin: qr, random: least distance to the edge of the data's box, > 0, units of length.
        subtract_mean: qr: modes of the fluctuation alone; else the mean flow counts too, as the
            network must learn it from the same sensors.
        scale_modes: qr: weight each mode by its singular value.

    Returns:
        The sensors, in the order of their rank.

    Raises:
        PinnxError: more sensors than the modes can tell apart or the points allow, a position
            outside the domain, or an argument that the method does not take.
    """
    _check_arguments(method, count, positions, min_distance, margin, modes)
    if method == "positions":
        places = np.asarray(positions, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != snapshots.dim:
            raise PinnxError(
                f"sensors.positions: expected {snapshots.dim} coordinates each, "
                f"got an array of shape {list(places.shape)}"
            )
        sensors = SensorSet(places, indices=None, method=method)
        require_inside(snapshots, sensors)
        return sensors
    candidates = _candidates(snapshots, margin)
    if method == "qr":
        chosen = candidates[_qr_pivots(snapshots.velocity[:, candidates], count, modes, subtract_mean, scale_modes)]
    else:
        chosen = _random(snapshots.points, candidates, count, seed, min_distance)
    return SensorSet(snapshots.points[chosen], indices=chosen, method=method)


def _qr_pivots(
    velocity: np.ndarray, count: int, num_modes: int | None, subtract_mean: bool, scale_modes: bool
) -> np.ndarray:
    basis = pod_basis(velocity, subtract_mean=subtract_mean)
    if num_modes is None:
        num_modes = max(1, min(count, basis.num_above_rounding))
    if num_modes > basis.rank:
        raise PinnxError(
            f"sensors.modes: expected at most {basis.rank}, the rank of the {len(velocity)} snapshots, got {num_modes}"
        )
    _, n, d = basis.modes.shape
    modes = basis.modes[:num_modes]
    if scale_modes:
        modes = modes * basis.singular_values[:num_modes, None, None]
    matrix = modes.transpose(0, 2, 1).reshape(num_modes * d, n)
    # As many as there may be, so that the message can tell the rank.
    found = pinn_ext.pivoted_qr(np.ascontiguousarray(matrix), min(max(count, len(matrix)), n))
    if count > found.rank:
        raise PinnxError(
            f"sensors.count: expected at most {found.rank}, the rank of {num_modes} POD modes of "
            f"{len(velocity)} snapshots, got {count}; use more snapshots or sensors.method=random"
        )
    return found.pivots[:count]


def _random(
    points: np.ndarray,
    candidates: np.ndarray,
    count: int,
    seed: int,
    min_distance: float | None,
) -> np.ndarray:
    """Walk through a seeded permutation of all points and keep what the distances allow.

    The permutation is of all points, so that a margin takes points away but reorders none, and a
    smaller count is a part of a larger one. Two points at one place (nodes that elements share)
    are never both taken.
    """
    allowed = np.zeros(len(points), dtype=bool)
    allowed[candidates] = True
    chosen: list[int] = []
    for index in np.random.default_rng(seed).permutation(len(points)):
        if not allowed[index]:
            continue
        gaps = np.linalg.norm(points[chosen] - points[index], axis=1)
        if (gaps >= (min_distance or 0.0)).all() and (gaps > 0.0).all():
            chosen.append(int(index))
            if len(chosen) == count:
                return np.array(chosen, dtype=np.int64)
    apart = f" at least {min_distance:g} apart" if min_distance else ""
    raise PinnxError(
        f"sensors.count: expected at most {len(chosen)}, the sensors that fit{apart} on "
        f"{len(candidates)} points with seed {seed}, got {count}"
    )


def _candidates(snapshots: Snapshots, margin: float | None) -> np.ndarray:
    """Return the indices of the points that are far enough from the edge of the data's box."""
    if margin is None:
        return np.arange(snapshots.num_points)
    low, high = snapshots.points.min(axis=0), snapshots.points.max(axis=0)
    distance = np.minimum(snapshots.points - low, high - snapshots.points).min(axis=1)
    candidates = np.flatnonzero(distance >= margin)
    if not candidates.size:
        raise PinnxError(
            f"sensors.margin: expected points at least {margin:g} from the edge, got none; the "
            f"farthest is {distance.max():g}"
        )
    return candidates


def _check_arguments(
    method: str,
    count: int,
    positions: object,
    min_distance: float | None,
    margin: float | None,
    modes: int | None,
) -> None:
    if method not in METHODS:
        raise PinnxError(f"sensors.method: expected one of {', '.join(METHODS)}, got {method!r}")
    if count < 1:
        raise PinnxError(f"sensors.count: expected an integer >= 1, got {count}")
    if method == "positions" and positions is None:
        raise PinnxError("sensors.positions: expected places for method positions, got none")
    taken_by = {
        "positions": (positions, ("positions",)),
        "modes": (modes, ("qr",)),
        "min_distance": (min_distance, ("random",)),
        "margin": (margin, ("qr", "random")),
    }
    for name, (value, methods) in taken_by.items():
        if value is not None and method not in methods:
            raise PinnxError(f"sensors.{name}: only for method {' or '.join(methods)}, got method {method}")
    for name, value in (("modes", modes), ("min_distance", min_distance), ("margin", margin)):
        if value is not None and not value > 0:
            raise PinnxError(f"sensors.{name}: expected a number > 0, got {value}")
