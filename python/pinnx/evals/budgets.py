"""Budgets of mass and momentum of sub-boxes of a grid, in per cent of a reference flux; the flux through its boundary.

    mass        sum over faces of the integral of u . n
    momentum    d/dt of the integral of u_i, + sum over faces of u_i (u . n) + p n_i - nu (d_n u_i + d_i u_n),
                - the integral of f_i

What is left, over U (of momentum U^2) times the face of a cube of the sub-box's volume. A residual is local, and noise
spoils it; a budget is an integral, and tells where mass and momentum are made or lost. Integrals are trapezoidal sums
on the lines of the grid; those on every second line give the error of the check itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate

from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, check, known_limits, unless_coarse
from pinnx.evals.derivatives import GridDerivatives
from pinnx.evals.numbers import as_array, as_scale

__all__ = ["BOXES", "boundary_fluxes", "force_parts", "verify_budgets"]

Array = NDArray[np.float64]
BOXES = 4  # along each axis
Terms = tuple[Sequence[Array], Array]  # flux density through each axis, source density: [T, *grid]


def verify_budgets(
    velocity: Sequence[Any],
    axes: Sequence[Any],
    *,
    pressure: Any = None,
    viscosity: float | None = None,
    forcing: ArrayLike | None = None,
    times: Any = None,
    boxes: int = BOXES,
    where: Any = None,
    speed: float | None = None,
    limits: Mapping[str, float] | None = None,
) -> list[Check]:
    """``mass_budget``, and with a pressure and a viscosity ``momentum_budget`` of each component: the worst sub-box.

    The note has the mean over the sub-boxes, and what is left of all of them together, whose inner faces cancel: of
    mass the net flux through the boundary, in per cent of U (of momentum U^2) times the face of a cube of the domain.

    Args:
        velocity: d components [nx, ny[, nz]], with times [T, nx, ny[, nz]].
        axes: lines of the grid.
        pressure: kinematic, of the same shape; None: mass alone.
        viscosity: kinematic.
        forcing: body force per unit mass, [d], or of the shape of the components with d last.
        times: [T], of an unsteady flow.
        boxes: along each axis.
        where: which points count, a bool for each; a sub-box with one that does not is left out.
        speed: U; None: the largest speed.
        limits: limits that replace those of `GATES`, by name.

    Raises:
        PinnxError: too few lines for so many boxes, shapes that differ, no sub-box that counts.
    """
    lines = [as_array("axes", axis) for axis in axes]
    lead = slice(None) if times is not None else None
    parts = [as_array("velocity", part)[lead] for part in velocity]
    if any(part.shape[1:] != tuple(line.size for line in lines) for part in parts) or len(parts) != len(lines):
        raise PinnxError(f"velocity: expected {len(lines)} components on the axes, got {[p.shape[1:] for p in parts]}")
    if min(line.size for line in lines) < 4 * boxes + 1:
        raise PinnxError(f"boxes: expected at most {(min(line.size for line in lines) - 1) // 4}, got {boxes}")
    limits = known_limits(limits)
    u = as_scale("speed", speed) or float(np.sqrt(sum((part**2 for part in parts), np.zeros(()))).max())
    if not u > 0:
        raise PinnxError("velocity: expected a flow that moves, got zero everywhere (give the scale speed)")
    counted = _Boxes(lines, boxes, where, times)
    nothing = np.zeros_like(parts[0])
    found = [counted.verdict("mass_budget", (parts, nothing), u, "", limits)]
    if pressure is None or viscosity is None:
        return found
    p, grid = as_array("p", pressure)[lead], GridDerivatives(lines, 4)
    if p.shape != parts[0].shape:
        raise PinnxError(f"p: expected the shape of the velocity, {list(parts[0].shape)}, got {list(p.shape)}")
    rate, force = _rate(times), force_parts(forcing, parts, times)
    for i, name in zip(range(len(parts)), "xyz", strict=False):
        fluxes = []
        for a, carrier in enumerate(parts):
            friction = viscosity * (grid.first(parts[i], a) + grid.first(carrier, i))
            fluxes.append(parts[i] * carrier - friction + (p if a == i else 0.0))
        source = rate(parts[i]) - force[i]
        found.append(counted.verdict("momentum_budget", (fluxes, source), u**2, name, limits))
    return found


def force_parts(forcing: ArrayLike | None, velocity: Sequence[Array], times: Any) -> Array:
    """The components of a body force, [d], or [d, T, ...] where it varies.

    Args:
        forcing: [d], or of the shape of the components with d last, without T where there are no times; None: zero.
        velocity: d components [T, ...].
        times: [T]; None: one frame.

    Raises:
        PinnxError: another shape, or numbers that are not finite.
    """
    dim, shape = len(velocity), velocity[0].shape[times is None :]
    force = as_array("forcing", np.zeros(dim) if forcing is None else forcing)
    if force.shape not in ((dim,), (*shape, dim)):
        raise PinnxError(f"forcing: expected {dim} numbers or shape {[*shape, dim]}, got {list(force.shape)}")
    parts = np.moveaxis(force, -1, 0)
    return parts[:, None] if force.ndim > 1 and times is None else parts


class _Boxes:
    """Sub-boxes whose edges are lines of the grid, an even number apart."""

    def __init__(self, lines: Sequence[Array], boxes: int, where: Any, times: Any) -> None:
        self.lines, self.times = lines, None if times is None else as_array("times", times)
        self.edges = [2 * np.rint(np.linspace(0, (line.size - 1) // 2, boxes + 1)).astype(int) for line in lines]
        self.sides = np.meshgrid(*(np.diff(x[e]) for x, e in zip(lines, self.edges, strict=True)), indexing="ij")
        self.centres = np.meshgrid(
            *((x[e][1:] + x[e][:-1]) / 2 for x, e in zip(lines, self.edges, strict=True)), indexing="ij"
        )
        self.counts = np.ones(self.sides[0].shape, dtype=bool)
        if where is not None:
            for index in np.ndindex(self.counts.shape):
                block = tuple(slice(e[i], e[i + 1] + 1) for e, i in zip(self.edges, index, strict=True))
                self.counts[index] = bool(np.asarray(where, dtype=bool)[block].all())
        if not self.counts.any():
            raise PinnxError("where: expected a sub-box all of whose points count, got none")

    def verdict(self, gate: str, terms: Terms, unit: float, part: str, limits: Mapping[str, float] | None) -> Check:
        power = (len(self.lines) - 1) / len(self.lines)  # from a volume to the face of its cube
        face = np.prod(self.sides, axis=0) ** power
        share = [100.0 * self._net(terms, step) / (unit * face) for step in (1, 2)]
        sizes = np.where(self.counts, np.abs(share[0]), 0.0)
        frame, *box = np.unravel_index(int(sizes.argmax()), sizes.shape)
        own = float(np.where(self.counts, np.abs(share[0] - share[1]), 0.0).max()) / 3  # of second order
        value, out = float(sizes.max()), int((~self.counts).sum())
        mean = float(np.abs(share[0][:, self.counts]).mean())
        whole = np.prod([line[-1] - line[0] for line in self.lines]) ** power
        together = np.abs((share[0] * face)[:, self.counts].sum(axis=1)).max() / whole
        note = f"mean {mean:.2g} %, of all together {together:.2g} %"
        note += f"; without {out} of {self.counts.size} sub-boxes" if out else ""
        place = [float(centre[tuple(box)]) for centre in self.centres]
        found = replace(
            check(gate, value, limits=limits, note=note, part=part),
            num_points=int(self.counts.sum()) * len(share[0]),
            worst=value,
            worst_at=tuple(place if self.times is None else [*place, float(self.times[frame])]),
        )
        return unless_coarse(found, own, f"the check's own error is about {own:.2g} %: finer points are needed")

    def _net(self, terms: Terms, step: int) -> Array:
        """What leaves each sub-box, and what its source takes, on every ``step``-th line: [T, *boxes]."""
        fluxes, source = terms
        net = self._over(source, range(len(self.lines)), step)
        for axis, flux in enumerate(fluxes):
            others = [i for i in range(len(self.lines)) if i != axis]
            at = np.take(flux, self.edges[axis], axis=axis + 1)
            net = net + np.diff(self._over(at, others, step), axis=axis + 1)
        return net

    def _over(self, field: Array, along: Sequence[int], step: int) -> Array:
        """The integral over each sub-box along some axes."""
        for axis in along:
            x, every = self.lines[axis][::step], np.moveaxis(field, axis + 1, -1)[..., ::step]
            sums = integrate.cumulative_trapezoid(every, x, initial=0)
            field = np.moveaxis(np.diff(sums[..., self.edges[axis] // step]), -1, axis + 1)
        return field


def _rate(times: Any) -> Callable[[Array], Array]:
    """The derivative in time; zero where there are no times."""
    if times is None:
        return np.zeros_like
    line = GridDerivatives((as_array("times", times),), 4)
    return lambda field: np.moveaxis(line.first(np.moveaxis(field, 0, -1), 0), -1, 0)


def boundary_fluxes(lines: Sequence[Array], velocity: Sequence[Array]) -> list[tuple[Array, Array]]:
    """Net and gross flux through the boundary of a grid, by the trapezoidal and by Simpson's rule.

    Args:
        lines: of the grid.
        velocity: d components [T, nx, ny[, nz]].

    Returns:
        For each rule the net and the gross flux, [T] each.
    """
    found = []
    for rule in (integrate.trapezoid, integrate.simpson):
        net = gross = np.zeros(len(velocity[0]))
        for axis, part in enumerate(velocity):
            sides = np.moveaxis(part, axis + 1, 1)[:, [0, -1]]  # [T, 2, ...]
            through = np.abs(sides)
            for x in reversed([line for other, line in enumerate(lines) if other != axis]):
                sides, through = rule(sides, x=x), integrate.trapezoid(through, x=x)  # |u| has kinks
            net = net + sides[:, 1] - sides[:, 0]
            gross = gross + through.sum(axis=1)
        found.append((net, gross))
    return found
