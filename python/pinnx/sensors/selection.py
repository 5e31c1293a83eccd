"""The one choice of sensors, for `pinnx reconstruct` and `pinnx sensors` alike.

    interpolation       places from which the modes are interpolated best (`interpolation.py`)
    qr, randomized      pivoted QR on the modes (`SensorSelector`)
    coverage, lattice,  places alone (`patterns.py`)
    farthest, random
    positions           as given

Modes are those of the inner product over the domain (each point weighted by its area), so that an
uneven mesh does not count; what is pivoted are their values at the points. The mean over time is
among them, as a network must learn it from the same sensors, and each counts by its singular value:
orthonormal modes alone weigh the weakest like the strongest.

Source: Manohar, Brunton, Kutz, Brunton, "Data-driven sparse sensor placement for reconstruction",
IEEE Control Systems 38, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from pinnx.data.blocks import Progress
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.sensors.interpolation import interpolated_points
from pinnx.sensors.patterns import by_rank, coverage_points, farthest_points, lattice_points, random_points
from pinnx.sensors.place_weights import areas_and_inner_walls, cell_areas
from pinnx.sensors.sampling import require_inside
from pinnx.sensors.selector import SensorSelector
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["METHODS", "PIVOTED", "Choosing", "Selection", "select_sensors"]

# The names that both commands take, and what pivoted QR calls those that it serves.
PIVOTED = {"qr": "exact", "randomized": "randomized"}
PATTERNS = ("coverage", "lattice", "farthest", "random")
BY_AREA = ("interpolation", "coverage", "random")
# Covers from which the search of interpolation starts, beside the lattice.
COVERS = 3
Choosing = Literal["interpolation", "qr", "randomized", "coverage", "lattice", "farthest", "random", "positions"]
METHODS: tuple[str, ...] = get_args(Choosing)


@dataclass(frozen=True, eq=False)
class Selection:
    """How k sensors are chosen; the defaults of both commands, as the section `sensors` of a configuration has them.

    Args:
        count: k >= 1.
        method: one of `METHODS`, but for "positions".
        modes: number r of modes; None takes k (1 + c) / 2, save those that are no more than the
            rounding of float32 data.
        subtract_mean: modes of the fluctuation alone.
        scale_modes: weight each mode by its singular value.
        area_weighted: modes in the inner product over the domain; else every point counts alike.
        seed: of what is random.
        min_distance: least distance between two sensors, > 0, units of length.
        margin: least distance to the edge of the data's box, > 0, units of length.
        basis: of `SensorSelector`.
        weights: [n] >= 0, multiply what a place would add (elsewhere: its area); 0
            leaves the place out.
        memory_limit, cache: of `SensorSelector`.
    """

    count: int
    method: str = "interpolation"
    modes: int | None = None
    subtract_mean: bool = False
    scale_modes: bool = True
    area_weighted: bool = True
    seed: int = 0
    min_distance: float | None = None
    margin: float | None = None
    basis: str = "pod"
    weights: np.ndarray | None = None
    memory_limit: int | None = None
    cache: Any = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise PinnxError(f"sensors.method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        if isinstance(self.count, bool) or not isinstance(self.count, int | np.integer) or self.count < 1:
            raise PinnxError(f"sensors.count: expected an integer >= 1, got {self.count!r}")
        for name in ("modes", "min_distance", "margin"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise PinnxError(f"sensors.{name}: expected a number > 0, got {value}")

    def candidates(self, fields: Snapshots) -> Candidates:
        """Return which points may be chosen, and the area of each.

        Of several points at one place (elements of a mesh share nodes) the first may be; none nearer to
        the edge than the margin; none in a hole; for methods that do not look at values, none at an inner wall.

        Raises:
            PinnxError: none is left.
        """
        points = fields.points - fields.points.min(axis=0)  # far from zero, cells and distances are lost to rounding
        allowed, areas = fields.in_flow, None
        if fields.grid_shape is None:
            first = np.zeros(fields.num_points, dtype=bool)
            first[np.unique(points, axis=0, return_index=True)[1]] = True
            allowed &= first
            if self.method not in PIVOTED:
                areas, walls = areas_and_inner_walls(points)
                allowed &= ~walls
        if self.weights is not None:
            allowed &= self.weights > 0.0
        if self.margin is not None:
            distance = np.minimum(points, points.max(axis=0) - points).min(axis=1)
            allowed &= distance >= self.margin
            if not allowed.any():
                raise PinnxError(
                    f"sensors.margin: expected points at least {self.margin:g} from the edge, got none; the "
                    f"farthest is {distance.max():g}"
                )
        if not self.area_weighted and self.method not in BY_AREA:
            areas = None
        elif areas is None:
            areas = cell_areas(points, fields.grid_shape)
        return Candidates(points, allowed, areas, fields.in_flow)

    def places(self, fields: Snapshots) -> np.ndarray:
        """Return the indices [k] of the chosen points, by rank."""
        candidates = self.candidates(fields)
        if self.method in PATTERNS:
            return self._pattern(candidates, self.method, self.seed)
        return self.fit(fields.values, candidates).selected_sensors_

    def fit(self, values: Any, candidates: Candidates, progress: Progress | None = None) -> SensorSelector:
        """Return a fitted selector, whose sensors are the choice whatever the method; its basis gives the figures.

        Args:
            values: [T, n, c] snapshots, in memory or in a file.
            candidates: of the same points.
            progress: of `SensorSelector.fit`.

        Raises:
            PinnxError: of the selector, or fewer points than the distances allow.
        """
        options: dict[str, Any]
        if self.method in PIVOTED:
            options = {"method": PIVOTED[self.method], "weights": self.weights}
            if not candidates.allowed.all():
                options["forbidden"] = np.flatnonzero(~candidates.allowed)
            if self.min_distance is not None:
                options |= {"positions": candidates.points, "min_distance": self.min_distance}
        else:
            method = "coverage" if self.method == "interpolation" else self.method
            options = {"forced": self._pattern(candidates, method, self.seed)}
        selector = SensorSelector(
            int(self.count),
            basis=self.basis,
            n_modes=self.modes,
            subtract_mean=self.subtract_mean,
            scale_modes=self.scale_modes,
            areas=candidates.areas if self.area_weighted else None,
            seed=self.seed,
            memory_limit=self.memory_limit,
            cache=self.cache,
            **options,
        ).fit(values, progress=progress)
        if self.method == "interpolation":
            selector.replace_sensors(self._interpolated(selector, candidates))
        return selector

    def _interpolated(self, selector: SensorSelector, candidates: Candidates) -> np.ndarray:
        """Start from covers, and move sensors to where the modes of a fitted selector are interpolated best."""
        basis, values = selector.basis_, selector.singular_values_
        seen = (basis if values is None else basis * values).reshape(len(basis), -1).astype(np.float64)
        starts = [selector.selected_sensors_, self._pattern(candidates, "lattice", self.seed)]
        starts += [self._pattern(candidates, "coverage", self.seed + 1 + more) for more in range(COVERS - 1)]
        weights = self._densities(candidates)
        options: dict[str, Any] = {"seed": self.seed, "min_distance": self.min_distance}
        chosen = interpolated_points(candidates.points, seen, weights, candidates.allowed, starts, **options)
        return by_rank(candidates.points, chosen, weights)

    def _pattern(self, candidates: Candidates, method: str, seed: int) -> np.ndarray:
        given = (candidates.points, int(self.count), candidates.allowed, self.min_distance)
        if method == "lattice":
            return lattice_points(*given)
        if method == "farthest":
            return farthest_points(*given)
        draw = coverage_points if method == "coverage" else random_points
        return draw(*given, weights=self._densities(candidates), seed=seed)

    def _densities(self, candidates: Candidates) -> np.ndarray:
        areas: np.ndarray = candidates.areas * candidates.in_flow
        return areas if self.weights is None else areas * self.weights


@dataclass(frozen=True, eq=False)
class Candidates:
    """Args:
    points: [n, d], less the low corner of their box.
    allowed: [n] bool, which of them may be chosen.
    areas: [n] what each stands for; None where all count alike.
    in_flow: [n] bool, which of them are no hole.
    """

    points: np.ndarray
    allowed: np.ndarray
    areas: Any
    in_flow: np.ndarray


def select_sensors(
    snapshots: Snapshots,
    count: int,
    *,
    positions: Sequence[Sequence[float]] | np.ndarray | None = None,
    **options: Any,
) -> SensorSet:
    """Choose the sensors for a flow.

    Args:
        snapshots: the flow.
        count: k >= 1; for method positions their number decides.
        positions: for method "positions": [k, d] the places, kept exactly as given.
        options: method, modes, subtract_mean, scale_modes, area_weighted, seed, min_distance, margin,
            as of `Selection`.

    Returns:
        The sensors, in the order of their rank.

    Raises:
        PinnxError: more sensors or modes than the data have, a position outside the domain, or an
            argument that the method does not take.
    """
    selection = Selection(count, **options)
    if selection.method != "positions":
        if positions is not None:
            raise PinnxError(f"sensors.positions: only for method positions, got method {selection.method}")
        if selection.method in PATTERNS and selection.modes is not None:
            with_modes = " or ".join(("interpolation", *PIVOTED))
            raise PinnxError(f"sensors.modes: only for method {with_modes}, got method {selection.method}")
        chosen = selection.places(snapshots)
        return SensorSet(snapshots.points[chosen], indices=chosen, method=selection.method)
    if positions is None:
        raise PinnxError("sensors.positions: expected places for method positions, got none")
    for name in ("modes", "min_distance", "margin"):
        if getattr(selection, name) is not None:
            raise PinnxError(f"sensors.{name}: not for method positions, which are taken as they are; set it to null")
    places = np.asarray(positions, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != snapshots.dim:
        raise PinnxError(
            f"sensors.positions: expected {snapshots.dim} coordinates each, got an array of shape {list(places.shape)}"
        )
    sensors = SensorSet(places, indices=None, method="positions")
    require_inside(snapshots, sensors)
    return sensors
