"""The table of shapes: what makes a body of what a configuration, a file of an airfoil, boxes or nodes say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Bounds, Circle
from pinnx.physics.outlines import Body, Outline

__all__ = ["SHAPES", "body_of", "complement_of"]

Array = NDArray[np.float64]
# Pieces of an ellipse: their chords are within 2e-5 of its longer half axis.
ELLIPSE_PIECES = 512
# Cells of the domain's longer side in which the zero line of an expression is sought.
CONTOUR_CELLS = 400


def body_of(kind: str, given: Any, name: str, bounds: Bounds) -> Body:
    """A body of the table of shapes.

    Args:
        kind: a name of `SHAPES`.
        given: what the configuration says of it; of a hole of a mesh its nodes, and a place inside.
        name: of the body.
        bounds: axis name -> (low, high) of the domain.

    Raises:
        PinnxError: numbers that make no shape, a file that holds none, or a body outside of the domain.
    """
    body = SHAPES[kind](given, name, bounds)
    low, high = np.array([bounds["x"], bounds["y"]]).T
    if (body.box[1] <= low).any() or (body.box[0] >= high).any():
        raise PinnxError(f"{body}: expected to be in the domain, but it is outside of it")
    return body


def complement_of(boxes: Sequence[Mapping[str, tuple[float, float]]], name: str, bounds: Bounds) -> Outline | None:
    """What a union of boxes leaves of the domain, as one body; None where it leaves nothing.

    Args:
        boxes: each {x: (low, high), y: (low, high)}, in the domain.
        name: of the body.
        bounds: axis name -> (low, high) of the domain, the smallest box around them.
    """
    lines = [np.unique([*bounds[axis], *(end for box in boxes for end in box[axis])]) for axis in ("x", "y")]
    edges: dict[tuple[float, float], list[tuple[float, float]]] = {}
    for x0, x1 in pairwise(lines[0].tolist()):
        for y0, y1 in pairwise(lines[1].tolist()):
            x, y = 0.5 * (x0 + x1), 0.5 * (y0 + y1)
            if any(b["x"][0] < x < b["x"][1] and b["y"][0] < y < b["y"][1] for b in boxes):
                continue
            for start, stop in pairwise([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]):
                if start in edges.get(stop, []):
                    edges[stop].remove(start)  # between two cells that are both left out
                else:
                    edges.setdefault(start, []).append(stop)
    found = _joined(edges)
    return Outline(tuple(found), name) if found else None


def _joined(edges: dict[tuple[float, float], list[tuple[float, float]]]) -> list[Array]:
    """Closed lines of directed edges, start -> stops; the edges are used up."""
    lines = []
    while starts := [start for start, stops in edges.items() if stops]:
        line = [starts[0]]
        while edges.get(line[-1]):
            line.append(edges[line[-1]].pop())
        lines.append(np.array(line[:-1]))
    return lines


def _circle(given: Mapping[str, Any], name: str, bounds: Bounds) -> Body:
    return Circle(tuple(given["center"]), given["radius"], name=name)


def _ellipse(given: Mapping[str, Any], name: str, bounds: Bounds) -> Body:
    angle = 2.0 * np.pi * np.arange(ELLIPSE_PIECES) / ELLIPSE_PIECES
    line = np.stack([np.cos(angle), np.sin(angle)], axis=1) * given["half_axes"]
    return Outline((_turned(line, given["angle"]) + given["center"],), name)


def _rectangle(given: Mapping[str, Any], name: str, bounds: Bounds) -> Body:
    (left, right), (bottom, top) = given["x"], given["y"]
    return Outline((np.array([[left, bottom], [right, bottom], [right, top], [left, top]], dtype=np.float64),), name)


def _polygon(given: Any, name: str, bounds: Bounds) -> Body:
    return Outline((np.asarray(given, dtype=np.float64),), name)


def _airfoil(given: Mapping[str, Any], name: str, bounds: Bounds) -> Body:
    """Of a file in Selig's or Lednicer's format: coordinates over the chord, turned by minus the angle of attack."""
    path = Path(given["path"])
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PinnxError(f"{path}: expected an airfoil file, {error.strerror}") from None
    rows = [row for row in (_two_numbers(line) for line in text.splitlines()) if row is not None]
    counts = rows[:1] and min(rows[0]) > 1.5  # Lednicer: numbers of points of both surfaces, then each from the nose
    if counts:
        upper, lower = (int(count) for count in rows[0])
        if len(rows) != 1 + upper + lower:
            raise PinnxError(f"{path}: expected {upper} + {lower} points as its first numbers say, got {len(rows) - 1}")
        rows = [*rows[1 : 1 + upper][::-1], *rows[2 + upper :]]
    if len(rows) < 3:
        raise PinnxError(f"{path}: expected lines of x and y of an airfoil, got {len(rows)}")
    line = np.array(rows, dtype=np.float64)
    if np.array_equal(line[0], line[-1]):
        line = line[:-1]
    return Outline((_turned(line * given["chord"], -given["angle"]) + given["nose"],), name)


def _expression(given: str, name: str, bounds: Bounds) -> Body:
    """The line on which an expression in x and y, negative inside, is zero; a side of the domain closes it."""
    import contourpy  # matplotlib's contours, for these shapes alone

    formula = Expression(given)
    if not set(formula.variables) <= {"x", "y"}:
        raise PinnxError(f"{name}: expected a distance in x and y, got one in {', '.join(formula.variables)}")
    (left, right), (bottom, top) = bounds["x"], bounds["y"]
    cell = max(right - left, top - bottom) / CONTOUR_CELLS
    x, y = (
        np.linspace(low - cell, high + cell, max(3, round((high - low) / cell) + 3))
        for low, high in ((left, right), (bottom, top))
    )
    mesh = np.meshgrid(x, y)
    values = formula.values({"x": mesh[0].reshape(-1), "y": mesh[1].reshape(-1)}).reshape(mesh[0].shape).copy()
    edge = np.ones(values.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    values[edge] = np.maximum(values[edge], cell)
    lines = contourpy.contour_generator(x, y, values).lines(0.0)
    if not lines:
        raise PinnxError(
            f"{name}: expected an expression that is negative in a part of the domain, got none: {given!r}"
        )
    return Outline(tuple(np.asarray(line)[:-1] for line in lines), name)


def _nodes(given: tuple[Array, tuple[float, float]], name: str, bounds: Bounds) -> Body:
    """The hole that scattered nodes [n, 2] leave around a place, along the nodes next to it."""
    from pinnx.data.mesh_holes import hole_edges  # SciPy's triangulation, for these shapes alone

    nodes, inside = given
    corners = np.array([[x, y] for x in bounds["x"] for y in bounds["y"]])  # a hole may reach the domain's edge
    edges: dict[tuple[float, float], list[tuple[float, float]]] = {}
    for (x0, y0), (x1, y1) in hole_edges(np.concatenate([nodes, corners]), inside).tolist():
        edges.setdefault((x0, y0), []).append((x1, y1))
    return Outline(tuple(_joined(edges)), name)


def _turned(line: Array, degrees: float) -> Array:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(line @ turn)


def _two_numbers(line: str) -> tuple[float, float] | None:
    parts = line.replace(",", " ").split()
    try:
        x, y = map(float, parts)
    except ValueError:
        return None
    return x, y


# kind -> what makes a body of it; the sections of the configuration have the same names.
SHAPES: Mapping[str, Callable[[Any, str, Bounds], Body]] = {
    "circle": _circle,
    "ellipse": _ellipse,
    "rectangle": _rectangle,
    "polygon": _polygon,
    "airfoil": _airfoil,
    "expression": _expression,
    "nodes": _nodes,
}
