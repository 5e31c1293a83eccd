"""Bodies in the flow: closed lines in the plane of x and y, each a place with a signed distance.

    distance(x) = -|x - line| inside, |x - line| outside;   points of the line by its arc length

In three dimensions a body is the cylinder along z over its shape. All shapes (shapes.py) but the circle, which has
closed forms, are lines of straight pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pinnx.errors import PinnxError
from pinnx.physics.geometry import (
    WHOLE_PLACE,
    Bounds,
    Circle,
    Parts,
    Place,
    Side,
    Wall,
    into_parts,
    plane_columns,
    with_plane,
)

__all__ = ["OFF_LINE", "Body", "Outline", "exposed"]

Array = NDArray[np.float64]
# Of a body's size: what is on its line to the rounding of float32 is not inside.
ON_LINE = 1e-6
# Of the domain's longer side: how far from a place the flow is looked for, and in how many cells of the place.
OFF_LINE, PART_CELLS, BISECTIONS = 1e-5, 4096, 30
# Pieces that are tried first for the nearest, by their middles; pairs of place and piece that are compared at a time.
NEAR_PIECES, PAIRS = 8, 2**20


@dataclass(frozen=True, eq=False)
class Outline(Wall):
    """A body inside closed lines of straight pieces.

    Args:
        lines: each [k, 2], k >= 3, its corners in order; a point inside an odd number of them is in the body.
        name: of the body, for messages and conditions.
        parts: intervals of the arc length, over the whole, that border the flow.

    Raises:
        PinnxError: fewer than three corners, or corners that are not finite or span no area.
    """

    lines: tuple[Array, ...]
    name: str
    parts: Parts = WHOLE_PLACE

    def __post_init__(self) -> None:
        for line in self.lines:
            if line.ndim != 2 or line.shape[1] != 2 or len(line) < 3 or not np.isfinite(line).all():
                raise PinnxError(f"{self.name}: expected three corners [x, y] or more, finite, got {list(line.shape)}")
        if not self.lines or self.size == 0.0 or not self.area > 0.0:
            raise PinnxError(f"{self.name}: expected corners around an area, got none")

    def __str__(self) -> str:
        return f"body {self.name}"

    @cached_property
    def _pieces(self) -> tuple[Array, Array, Array]:
        """Starts [m, 2], vectors [m, 2] and lengths [m] of the pieces."""
        starts = np.concatenate(self.lines)
        vectors = np.concatenate([np.roll(line, -1, axis=0) - line for line in self.lines])
        lengths = np.hypot(*vectors.T)
        kept = lengths > 0.0
        return starts[kept], vectors[kept], lengths[kept]

    @cached_property
    def _normals(self) -> Array:
        """Unit normals of the pieces, out of the body, [m, 2]."""
        starts, vectors, lengths = self._pieces
        normals = np.stack([vectors[:, 1], -vectors[:, 0]], axis=1) / lengths[:, None]
        probes = starts + 0.5 * vectors + 1e-7 * self.size * normals
        return np.where(self._crossed(probes)[:, None], -normals, normals)

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box around it."""
        corners = np.concatenate(self.lines)
        return corners.min(axis=0), corners.max(axis=0)

    @property
    def size(self) -> float:
        """The longer side of the box around it."""
        return float((self.box[1] - self.box[0]).max())

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the box around it."""
        x, y = (0.5 * (self.box[0] + self.box[1])).tolist()
        return x, y

    @property
    def perimeter(self) -> float:
        """Length of its lines."""
        return float(self._pieces[2].sum())

    @property
    def area(self) -> float:
        """Area inside, of lines that do not cross; those in others count against them."""
        shares = [0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) for x, y in (line.T for line in self.lines)]
        return abs(float(np.abs(shares).max()))

    def check(self, bounds: Bounds) -> None:
        """Nothing: what leaves the domain borders no flow."""

    def at(self, parameters: Array, bounds: Bounds) -> Array:
        starts, vectors, lengths = self._pieces
        ends = np.cumsum(lengths)
        along = into_parts(parameters[:, 0], self.parts) * ends[-1]
        piece = np.minimum(np.searchsorted(ends, along, side="right"), len(ends) - 1)
        share = (along - (ends[piece] - lengths[piece])) / lengths[piece]
        return with_plane(starts[piece] + np.clip(share, 0.0, 1.0)[:, None] * vectors[piece], parameters[:, 1:], bounds)

    def distance(self, places: Array) -> Array:
        """Signed distances of places [n, 2] to the lines, [n]: negative inside."""
        away = self._nearest(places)[0]
        return np.where(self._crossed(places), -away, away)

    def contains(self, points: Array, bounds: Bounds) -> NDArray[np.bool_]:
        """Which of [n, D] points are inside, [n]; those on the line to rounding of float32 are not."""
        places = points[:, plane_columns(bounds)]
        low, high = self.box
        inside = ((places > low) & (places < high)).all(axis=1)
        near = places[inside]
        inside[inside] = self._crossed(near) & ~self._on_line(near)
        return inside

    def normals(self, points: Array, bounds: Bounds) -> Array:
        return self._normals[self._nearest(points[:, plane_columns(bounds)])[1]]

    def _crossed(self, places: Array) -> NDArray[np.bool_]:
        """Whether a ray from each place crosses the lines an odd number of times."""
        starts, vectors, _ = self._pieces
        place, piece = self._level(places, 0.0)
        start, (along_x, along_y) = starts[piece], vectors[piece].T
        crossing = start[:, 0] + (places[place, 1] - start[:, 1]) / along_y * along_x
        times = np.bincount(place[crossing > places[place, 0]], minlength=len(places))
        return np.asarray(times % 2 == 1)

    def _on_line(self, places: Array) -> NDArray[np.bool_]:
        """Which places are on the lines, to rounding of float32."""
        starts, vectors, lengths = self._pieces
        margin = ON_LINE * self.size
        place, piece = self._level(places, margin)
        squares = _to_piece(places[place] - starts[piece], vectors[piece], lengths[piece])
        found = np.zeros(len(places), dtype=bool)
        found[place[np.sqrt(squares) <= margin]] = True
        return found

    def _level(self, places: Array, margin: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of a place and a piece with lowest y - margin <= y < highest y + margin, [k] and [k]."""
        starts, vectors, _ = self._pieces
        y0, y1 = starts[:, 1], starts[:, 1] + vectors[:, 1]
        order = np.argsort(places[:, 1])
        first = np.searchsorted(places[order, 1], np.minimum(y0, y1) - margin)
        counts = np.searchsorted(places[order, 1], np.maximum(y0, y1) + margin) - first
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return order[np.repeat(first, counts) + within], np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def _middles(self) -> KDTree:
        starts, vectors, _ = self._pieces
        return KDTree(starts + 0.5 * vectors)

    def _nearest(self, places: Array) -> tuple[Array, NDArray[np.intp]]:
        """Distance to the lines, [n], and the nearest piece, [n]; the first of several."""
        starts, vectors, lengths = self._pieces
        away, piece = np.full(len(places), np.inf), np.zeros(len(places), dtype=np.intp)
        others = np.zeros(len(places))
        if len(starts) > NEAR_PIECES:
            reach, near = self._middles.query(places, NEAR_PIECES)
            near.sort(axis=1)
            squares = _to_piece(places[:, None] - starts[near], vectors[near], lengths[near])
            piece = np.take_along_axis(near, squares.argmin(axis=1)[:, None], axis=1)[:, 0]
            away, others = np.sqrt(squares.min(axis=1)), reach[:, -1] - 0.5 * lengths.max()  # at least
        rest = np.flatnonzero(away >= others)
        for rows in np.split(rest, range(PAIRS // len(starts), len(rest), PAIRS // len(starts))):
            squares = _to_piece(places[rows, None] - starts, vectors, lengths)
            piece[rows], away[rows] = squares.argmin(axis=1), np.sqrt(squares.min(axis=1))
        return away, piece


Body = Circle | Outline


def exposed(place: Place, bodies: Sequence[Body], bounds: Bounds) -> Place:
    """A side or the line of a body without what does not border the flow: what is in another body, or outside.

    Args:
        place: any; points of the data stay as they are.
        bodies: of the domain.
        bounds: axis name -> (low, high) of the domain.

    Raises:
        PinnxError: nothing of it borders the flow.
    """
    plane = {axis: bounds[axis] for axis in ("x", "y")}
    if not isinstance(place, Wall) or (isinstance(place, Side) and place.axis == "z"):
        return place
    low, high = np.array(list(plane.values())).T
    step = OFF_LINE * float((high - low).max())

    def borders(parameters: Array) -> NDArray[np.bool_]:
        points = place.at(parameters[:, None], plane)
        off = place.off(points, np.full(len(points), step), plane)
        found = ((off > low) & (off < high)).all(axis=1)
        for body in bodies:
            found &= ~body.contains(off, plane)
        return found

    middles = (np.arange(PART_CELLS) + 0.5) / PART_CELLS
    kept = borders(middles)
    if kept.all():
        return place
    changes = np.flatnonzero(kept[1:] != kept[:-1])
    before, after, stays = middles[changes], middles[changes + 1], kept[changes]
    inner, outer = np.where(stays, before, after), np.where(stays, after, before)
    for _ in range(BISECTIONS):
        middle = 0.5 * (inner + outer)
        on = borders(middle)
        inner, outer = np.where(on, middle, inner), np.where(on, outer, middle)
    ends = [*([0.0] if kept[0] else []), *inner.tolist(), *([1.0] if kept[-1] else [])]
    if not ends:
        raise PinnxError(f"{place}: expected a part that borders the flow, got none")
    return replace(place, parts=tuple(zip(ends[::2], ends[1::2], strict=True)))


def _to_piece(offset: Array, vectors: Array, lengths: Array) -> Array:
    """Squares of the distances to pieces, [...]: offsets [..., 2] from their starts."""
    share = np.clip((offset * vectors).sum(axis=-1) / lengths**2, 0.0, 1.0)
    squares: Array = np.square(offset - share[..., None] * vectors).sum(axis=-1)
    return squares
