"""Conservation of mass, momentum and kinetic energy of a flow given as numbers, with the error of the check itself.

    mass       div u,  and the net flux through the boundary
    momentum   du/dt + (u . grad) u + grad p - nu lap u - f,  of each component, and its mean: the balance of the whole
    energy     dk/dt + div(u (k + p)) - nu lap k + nu |grad u|^2 - u . f,  with k = |u|^2 / 2
    viscosity  the median over the points of (dw/dt + (u . grad) w) / lap w,  with w = dv/dx - du/dy: of a plane flow

The first three are root mean squares over domain and times, in units of the scales U/L, U^2/L and U^3/L. Derivatives
of two orders are compared: their difference estimates what the check itself gets wrong. A number beyond its limit, but
within three times that, is "not checked": the points are too coarse, or the numbers too rough, to tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.evals.budgets import boundary_fluxes, force_parts
from pinnx.evals.checks import RESOLVED, Check, check, known_limits, unless_coarse
from pinnx.evals.derivatives import Derivatives, GridDerivatives
from pinnx.evals.flow_places import Flow, FlowPlaces
from pinnx.evals.numbers import as_scale

__all__ = ["ConservationChecker"]

# Of the largest speed through the longest side; the rounding of float32 is ten times less.
NO_FLUX = 1e-6
_COMPONENTS = "xyz"

Array = NDArray[np.float64]
Measure = Callable[[Derivatives], Array]


class ConservationChecker:
    """Checks flows on grids and at scattered points, as arrays of NumPy or torch.

    Fields are ``[nx, ny]`` or ``[nx, ny, nz]``, index [i, j] = (x_i, y_j), or ``[n]`` where ``points`` are given; times
    come first where there are any. All are in one system of units.

    Args:
        axes: lines of the grid, x, y[, z]; or
        spacing: the distance of its points, one number or one for each axis. Without both the longest side is one unit
            of length, and the note of each check says so.
        points: ``[n, d]``, scattered.
        periods: of each axis of a grid, whose last line is not the first one again; None: not periodic.
        where: which points count, a bool for each: without the corners of a lid, say, where the true flow is singular.
            Both numbers are given, `value` without them and `everywhere` with them.
        reason: why the others do not count, said in the note of each check.
        times: ``[T]``, rising; None: a steady flow, or one frame.
        order: 2 or 4, of the derivatives on a grid. That of the comparison is 2 higher. Of scattered points they are
            2 and 3.
        spectral: Fourier transforms along periodic axes, which are even then; the comparison leaves out the highest
            third of the waves.
        speed, length: scales; None: the largest speed, and the longest side.
        limits: limits that replace those of `GATES`, by name.

    Raises:
        PinnxError: what is given does not belong together.

    Example:
        >>> verdicts = ConservationChecker(axes=(x, y)).verify_mass_conservation(u, v)
        >>> all(verdict.passed for verdict in verdicts)
    """

    def __init__(
        self,
        *,
        axes: Sequence[Any] | None = None,
        spacing: float | Sequence[float] | None = None,
        points: Any = None,
        periods: Sequence[float | None] | None = None,
        where: Any = None,
        reason: str = "",
        times: Any = None,
        order: int = 4,
        spectral: bool = False,
        speed: float | None = None,
        length: float | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self._places = FlowPlaces(
            axes=axes,
            spacing=spacing,
            points=points,
            periods=periods,
            where=where,
            reason=reason,
            times=times,
            order=order,
            spectral=spectral,
            speed=speed,
            length=length,
        )
        self._times, self._order, self._limits = self._places.times, order, known_limits(limits)

    def verify_mass_conservation(self, u: Any, v: Any, w: Any = None) -> list[Check]:
        """``conservation``: the divergence; and ``net_flux`` on a grid without periods, of all that enters and leaves.

        Args:
            u: velocity along x.
            v: along y.
            w: along z; None: two dimensions.

        Raises:
            PinnxError: fields that have other shapes than the points, or are not finite.
        """
        flow = self._places.flow(u, v, w)
        found = [self._verdict("conservation", flow, flow.speed / flow.length, lambda d: _divergence(d, flow.velocity))]
        if isinstance(flow.coarse, GridDerivatives) and not any(flow.coarse.periods):
            # Through closed walls goes what rounding leaves of zero: a share of that says nothing.
            rounding = NO_FLUX * flow.speed * float(flow.coarse.lengths.max()) ** (len(flow.velocity) - 1)
            fluxes = boundary_fluxes(flow.coarse.axes, flow.velocity)
            shares = [net / np.maximum(gross, rounding) for net, gross in fluxes]
            share, own = float(np.abs(shares[1]).max()), float(np.abs(shares[1] - shares[0]).max())
            reason = f"the check's own error is about {own:.2g}: finer points at the sides are needed"
            verdict = check("net_flux", share, limits=self._limits, note=flow.note)
            lines = np.array([line.size for line in flow.coarse.axes])
            at_sides = int(lines.prod() - (lines - 2).prod()) * len(flow.velocity[0])
            found.append(unless_coarse(replace(verdict, num_points=at_sides), own, reason))
        return found

    def verify_momentum_conservation(
        self,
        u: Any,
        v: Any,
        p: Any,
        viscosity: float,
        *,
        w: Any = None,
        forcing: ArrayLike | None = None,
    ) -> list[Check]:
        """``pde_residual_l2`` of each component of the momentum, and ``momentum_balance``, its mean over the domain.

        Args:
            u: velocity along x.
            v: along y.
            w: along z; None: two dimensions.
            p: the kinematic pressure, length^2 / time^2.
            viscosity: kinematic, length^2 / time.
            forcing: body force per unit mass, [d], or of the shape of u with d last; None: none.
        """
        flow = self._places.flow(u, v, w)
        pressure = self._places.pressure(flow, p)
        scale = flow.speed**2 / flow.length
        force = force_parts(forcing, flow.velocity, self._times)
        found = []
        for i, name in zip(range(len(flow.velocity)), _COMPONENTS, strict=False):
            residual = self._momentum(flow, pressure, viscosity, force, i)
            local = self._verdict("pde_residual_l2", flow, scale, residual, name)
            found.append(local)
            # The mean is of the same derivatives: where these are not known, neither is what is left of their sum.
            found.append(self._verdict("momentum_balance", flow, scale, residual, name, error=local.discretisation))
        return found

    def verify_viscosity(self, u: Any, v: Any, viscosity: float, *, forcing: ArrayLike | None = None) -> Check:
        """``viscosity_misfit`` of a plane flow, by its vorticity w alone: it needs no pressure, and no constant force.

            |m - 1|,   m = median of (dw/dt + u . grad w - curl f) / (viscosity lap w),   w = dv/dx - du/dy

        Noise draws m to zero, and one over the median of the inverse to infinity: what is right is between them, as
        between two regressions. Their distance, and that of two orders of derivatives, is the check's own error.

        Args:
            u: velocity along x.
            v: along y.
            viscosity: kinematic, length^2 / time, > 0.
            forcing: as for the momentum.

        Returns:
            The verdict; "not checked" where the own error is as large as what it would decide: rough numbers, coarse
            points, or a flow that any viscosity allows, as between plates.

        Raises:
            PinnxError: as `verify_mass_conservation`; a viscosity that is not finite and > 0.
        """
        as_scale("viscosity", viscosity)
        flow = self._places.flow(u, v, None)
        force = force_parts(forcing, flow.velocity, self._times)
        (other, _), (low, high) = (self._asked(flow, d, viscosity, force) for d in (flow.coarse, flow.fine))
        note, own = "; ".join(filter(None, (flow.left_out, flow.note))), max(abs(high - low), abs(low - other))
        found = check("viscosity_misfit", abs(low - 1.0), limits=self._limits, note=note)
        counted = int(flow.where.sum()) * len(flow.velocity[0])
        found = replace(found, num_points=counted, discretisation=own if math.isfinite(own) else None)
        if found.value > RESOLVED * own or (found.passed and own <= RESOLVED * found.limit):
            return found
        most = f"{high:.3g} times" if math.isfinite(high) else "any multiple of"
        reason = (
            f"the vorticity asks for {low:.3g} to {most} the viscosity: finer points or smoother numbers are needed"
        )
        return replace(found, status="not checked", note="; ".join(filter(None, (reason, found.note))))

    def _asked(self, flow: Flow, d: Derivatives, viscosity: float, force: Array) -> tuple[float, float]:
        """The lowest and highest viscosity that the vorticity may ask for, over the one used."""
        u, v = flow.velocity
        vorticity = d.first(v, 0) - d.first(u, 1)
        carried = self._rate(flow, vorticity)(d) + u * d.first(vorticity, 0) + v * d.first(vorticity, 1)
        if force.ndim > 1:
            carried = carried - (d.first(force[1], 0) - d.first(force[0], 1))
        spread = viscosity * (d.second(vorticity, 0) + d.second(vorticity, 1))
        here = (carried != 0.0) & (spread != 0.0) & (flow.where > 0.0)
        if not here.any():
            return 0.0, math.inf
        low, inverse = float(np.median(carried[here] / spread[here])), float(np.median(spread[here] / carried[here]))
        return low, 1.0 / inverse if inverse > 0.0 else math.inf

    def verify_energy_conservation(
        self, u: Any, v: Any, p: Any, viscosity: float, *, w: Any = None, forcing: ArrayLike | None = None
    ) -> list[Check]:
        """``energy_budget``, the equation of the kinetic energy, and ``energy_growth`` where nothing drives the flow.

        Nothing does on a periodic grid without a force; the energy falls from frame to frame there. Arguments as for
        the momentum.
        """
        flow = self._places.flow(u, v, w)
        pressure = self._places.pressure(flow, p)
        force = force_parts(forcing, flow.velocity, self._times)
        energy = sum((part**2 for part in flow.velocity), np.zeros_like(pressure)) / 2
        scale = flow.speed**3 / flow.length
        found = [self._verdict("energy_budget", flow, scale, self._energy(flow, pressure, energy, viscosity, force))]
        grid = flow.coarse
        if self._times is not None and isinstance(grid, GridDerivatives) and all(grid.periods) and forcing is None:
            growth = np.diff(grid.mean(energy)).max() / flow.speed**2
            found.append(check("energy_growth", max(float(growth), 0.0), limits=self._limits, note=flow.note))
        return found

    def _momentum(self, flow: Flow, p: Array, viscosity: float, force: Array, i: int) -> Measure:
        part = flow.velocity[i]
        rate = self._rate(flow, part)

        def residual(d: Derivatives) -> Array:
            convection = sum(carrier * d.first(part, axis) for axis, carrier in enumerate(flow.velocity))
            laplacian = sum(d.second(part, axis) for axis in range(len(flow.velocity)))
            return rate(d) + convection + d.first(p, i) - viscosity * laplacian - force[i]

        return residual

    def _energy(self, flow: Flow, p: Array, energy: Array, viscosity: float, force: Array) -> Measure:
        space = range(len(flow.velocity))
        rate = self._rate(flow, energy)

        def residual(d: Derivatives) -> Array:
            transport = sum(d.first(part * (energy + p), axis) for axis, part in enumerate(flow.velocity))
            diffusion = sum(d.second(energy, axis) for axis in space)
            dissipation = sum(d.first(part, axis) ** 2 for part in flow.velocity for axis in space)
            work = sum(part * f for part, f in zip(flow.velocity, force, strict=True))
            return rate(d) + transport - viscosity * diffusion + viscosity * dissipation - work

        return residual

    def _rate(self, flow: Flow, field: Array) -> Measure:
        """The derivative in time, of the order of those in space; zero where there are no times."""
        if self._times is None:
            return lambda d: np.zeros_like(field)
        lines = [GridDerivatives((self._times,), order) for order in (self._order, self._order + 2)]
        return lambda d: np.moveaxis(lines[d is flow.fine].first(np.moveaxis(field, 0, -1), 0), -1, 0)

    def _verdict(
        self, gate: str, flow: Flow, scale: float, measure: Measure, part: str = "", error: float | None = None
    ) -> Check:
        """A norm of what is measured, or of its mean over the domain where ``error`` of the check itself is given."""
        coarse, fine = measure(flow.coarse) / scale, measure(flow.fine) / scale
        size, whole = _norm if error is None else _mean_norm, np.ones_like(flow.where)
        note = "; ".join(filter(None, (flow.left_out, flow.note)))
        found = check(gate, size(flow, fine, flow.where), limits=self._limits, note=note, part=part)
        own = size(flow, fine - coarse, flow.where) if error is None else error
        worst, place = self._worst(flow, fine)
        found = replace(
            found,
            everywhere=None if flow.where.all() else size(flow, fine, whole),
            scale=scale,
            num_points=int(flow.where.sum()) * len(flow.velocity[0]),
            worst=worst,
            worst_at=place,
        )
        reason = f"the check's own error is about {own:.2g}: finer points or smoother numbers are needed"
        return unless_coarse(found, own, reason)

    def _worst(self, flow: Flow, values: Array) -> tuple[float, tuple[float, ...]]:
        """The largest number of all that count, and its place, the time last."""
        sizes = np.abs(values) * flow.where
        frame, *index = np.unravel_index(int(sizes.argmax()), sizes.shape)
        place = [float(column[tuple(index)]) for column in flow.places]
        if self._times is not None:
            place.append(float(self._times[frame]))
        return float(sizes.max()), tuple(place)


def _divergence(d: Derivatives, velocity: Sequence[Array]) -> Array:
    return sum((d.first(part, axis) for axis, part in enumerate(velocity)), np.zeros_like(velocity[0]))


def _norm(flow: Flow, values: Array, where: Array) -> float:
    """Root mean square over the points that count, and the frames."""
    return float(np.sqrt((flow.coarse.mean(values**2 * where) / flow.coarse.mean(where)).mean()))


def _mean_norm(flow: Flow, values: Array, where: Array) -> float:
    """Root mean square over the frames of the mean over the points that count."""
    return float(np.sqrt(((flow.coarse.mean(values * where) / flow.coarse.mean(where)) ** 2).mean()))
