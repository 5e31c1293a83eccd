"""One reconstruction before there is a network: what is known of a flow, and where the answer is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pinnx.config import Config
from pinnx.data.gaps import largest_gap
from pinnx.data.measured_rows import Measurements, measured_columns
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.jobs.cases.case_bodies import case_holes, in_bodies, outline_notes, prescribed_bodies
from pinnx.jobs.cases.case_scales import case_scales, scale_notes
from pinnx.jobs.cases.output_points import OutputPoints
from pinnx.physics.boundary import BoundaryCondition, boundary_conditions, component_names
from pinnx.physics.boundary_slopes import Statement, slope_statements
from pinnx.physics.corners import corner_distance, discontinuity_corners
from pinnx.physics.outlines import Body
from pinnx.physics.scales import Scales
from pinnx.physics.section_flux import Flux, section_fluxes
from pinnx.report.formatting import number, plural
from pinnx.sensors.sensor_set import SensorSet

if TYPE_CHECKING:  # it loads SciPy's sparse solvers
    from pinnx.solvers import Fit, Study

__all__ = ["Case", "make_case"]

# Distances to a corner, over the length scale, that are rounding of coordinates stored in float32.
SAME_PLACE = 1e-6


@dataclass(frozen=True, eq=False)
class Case:
    """One reconstruction, before there is a network."""

    bounds: dict[str, tuple[float, float]]  # axis name -> (low, high) of the domain, "t" first where the flow has times
    steady: bool  # no time coordinate
    nu: float  # kinematic viscosity, > 0
    scales: Scales  # in which the training is dimensionless; all else here is in the user's units
    sensors: SensorSet  # where was measured
    coordinates: np.ndarray  # [k, D] float64, where and when: the network's inputs
    velocity: np.ndarray  # [k, d] float64, what was measured; NaN where a component was not
    conditions: tuple[BoundaryCondition, ...]  # what is known at boundaries
    output: OutputPoints  # where the fields are wanted
    reference: Snapshots | None  # the snapshots, to compare with; None for a CSV file
    source: str  # where the data came from; "synthetic: ..." for synthetic data
    periods: dict[str, float] = field(default_factory=dict)  # axis name -> its period, of the periodic axes
    # Axis name -> by how much the pressure rises over its period; axes without a jump are missing.
    jumps: dict[str, float] = field(default_factory=dict)
    # Sentences about what was left out of the input, averaged or overridden, and what was assumed.
    notes: tuple[str, ...] = ()
    # [k] float64, lengths of the velocity that were measured without its direction, NaN where not; None: none.
    speed: np.ndarray | None = None
    pressure: np.ndarray | None = None  # [k] float64, kinematic pressures that were measured, NaN where not; None: none
    bodies: tuple[Body, ...] = ()  # in the domain, whether a condition holds on them or not
    slopes: tuple[Statement, ...] = ()  # what is known of slopes at boundaries
    fluxes: tuple[Flux, ...] = ()  # that are known
    # [n] bool, which of the output's places are corners at which the network's pressure is infinite.
    singular: np.ndarray | None = None
    # Name of what was measured -> its standard deviation, [k] float64; empty where none is known.
    deviations: Mapping[str, np.ndarray] = field(default_factory=dict)
    selection_s: float | None = None  # time in which the sensors were chosen, seconds; None where they were not
    # The flow, and the factors of sides of ``solver.unknown`` that ``conditions`` have; None: no such side.
    solved: tuple[Study, Fit] | None = None
    # The solver's field from which the network starts, of all sensors; None: it starts from random weights.
    start: Study | None = None

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of what was measured anywhere: out of u, v[, w], p, speed."""
        return tuple(measured_columns(self.velocity, self.pressure, self.speed))

    @property
    def in_flow(self) -> np.ndarray:
        """[n] bool, which of the output's places are in no hole of the data, in no body, and at no singular corner."""
        outside = np.ones(len(self.output.points), dtype=bool) if self.singular is None else ~self.singular
        if self.reference is not None:
            return outside & self.reference.in_flow
        return outside & ~in_bodies(self.output.points, self.bodies, self.bounds)

    @property
    def dim(self) -> int:
        """Space dimensions, 2 or 3."""
        return int(self.velocity.shape[1])

    def rows(self, chosen: np.ndarray) -> Case:
        """The case with those measurements alone that a mask [k] marks, and no start."""
        columns = {name: getattr(self, name) for name in ("coordinates", "velocity", "speed", "pressure")}
        found = {name: None if column is None else column[chosen] for name, column in columns.items()}
        return replace(
            self, **found, start=None, deviations={name: column[chosen] for name, column in self.deviations.items()}
        )


def make_case(
    config: Config,
    *,
    sensors: SensorSet,
    measured: Measurements,
    output: OutputPoints | None = None,
    data_bounds: dict[str, tuple[float, float]] | None = None,
    reference: Snapshots | None = None,
) -> Case:
    """Checks what was read against the configuration, and adds what only the configuration knows.

    Where there is a ``reference``, the snapshots, it says where the output is wanted, the bounds of the data, and maybe
    the viscosity; else ``output`` and ``data_bounds`` do.

    Raises:
        PinnxError: one line that says what does not fit together.
    """
    if reference is not None:
        output = OutputPoints(reference.points, reference.times, reference.grid_shape)
        data_bounds = reference.bounds
    assert output is not None
    assert data_bounds is not None
    nu, steady = _checked(config, data_bounds, measured.source, reference)
    bounds = _domain(config, data_bounds)
    nodes = sensors.positions if reference is None else reference.points
    holes = case_holes(config, bounds, nodes)
    conditions, slopes, fluxes = _at_boundaries(config, bounds, holes, reference)
    bodies = (*holes.values(), *prescribed_bodies(config, len("xyz" if "z" in bounds else "xy")))
    scales = case_scales(config, bounds, [measured.velocity, measured.speed], conditions)
    singular, corner_notes = _singular_corners(config, conditions, bounds, scales, output.points)
    deviations, noise_note = _stated_noise(config, measured)
    known = {name: getattr(measured, name) for name in ("coordinates", "velocity", "speed", "pressure", "source")}
    return Case(
        **known,
        bounds=bounds,
        steady=steady,
        nu=nu,
        scales=scales,
        sensors=sensors,
        conditions=conditions,
        output=output,
        reference=reference,
        periods={axis: bounds[axis][1] - bounds[axis][0] for axis in config.domain.periodic},
        jumps={axis: jump for axis, jump in config.domain.jump.model_dump().items() if jump is not None},
        notes=(
            *measured.notes,
            *([noise_note] if noise_note else []),
            *_setting_notes(config, bounds, reference),
            *corner_notes,
            *(f"Inside the {body} the equations do not hold, and nothing is reconstructed." for body in bodies),
            *scale_notes(scales, bounds, nu, measured.times, measured.coordinates),
            *outline_notes(config, holes),
            *_gap_notes(nodes, reference, bodies, bounds),
        ),
        bodies=bodies,
        slopes=slopes,
        fluxes=fluxes,
        singular=singular,
        deviations=deviations,
    )


def _at_boundaries(
    config: Config, bounds: dict[str, tuple[float, float]], holes: Mapping[str, Body], reference: Snapshots | None
) -> tuple[tuple[BoundaryCondition, ...], tuple[Statement, ...], tuple[Flux, ...]]:
    """What the configuration says of boundaries; places in the data can be named where there is a reference."""
    entries, places = [entry.model_dump() for entry in config.boundaries], {"holes": holes}
    if reference is not None:
        places |= {"points": reference.points, "times": reference.times, "index_sets": reference.index_sets}
    return tuple(find(entries, bounds, **places) for find in (boundary_conditions, slope_statements, section_fluxes))


def _checked(
    config: Config,
    data_bounds: dict[str, tuple[float, float]],
    source: str,
    reference: Snapshots | None,
) -> tuple[float, bool]:
    """The viscosity, and whether the flow is steady."""
    data_nu = None if reference is None else reference.nu
    nu = config.problem.nu if config.problem.nu is not None else data_nu
    if nu is None:
        raise PinnxError("flow.nu: expected the kinematic viscosity, > 0; the data has none, got none")
    if reference is not None and not reference.velocity.any():
        raise PinnxError(f"{source}: expected a flow, got a velocity of zero at every point and time")
    steady = "t" not in data_bounds
    if config.problem.steady is not None and config.problem.steady != steady:
        raise PinnxError(
            f"flow.steady: expected {str(steady).lower()} as the data {'has no' if steady else 'has'} times, "
            f"got {str(config.problem.steady).lower()}"
        )
    return nu, steady


def _domain(config: Config, data_bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The box of the equations: as configured, else that of the data."""
    bounds, table = {}, "arrays" if config.data.measurements is None else "measurements"
    for axis, (low, high) in data_bounds.items():
        given = getattr(config.domain, axis)
        if given is None and low == high:
            raise PinnxError(
                f"domain.{axis}: expected data at two or more values of {axis}, got {axis} = {low:.12g} alone"
                + (f"; a steady flow has no times: data.{table}.t=null" if axis == "t" else "")
            )
        if given is None and axis in config.domain.periodic:
            if config.data.synthetic is None:
                raise PinnxError(
                    f"domain.{axis}: expected [lo, hi] of one whole period, as {axis} is periodic, got none "
                    f"(the data spans [{low:.12g}, {high:.12g}])"
                )
            given = (0.0, config.data.synthetic.length)
        given = given or (low, high)
        slack = 1e-6 * (high - low)  # coordinates that were stored in float32
        if low < given[0] - slack or high > given[1] + slack:
            raise PinnxError(
                f"domain.{axis}: expected an extent around the data's [{low:.12g}, {high:.12g}], got {list(given)}; "
                f"use data.{'times' if axis == 't' else 'window'} to leave data out"
            )
        if not given[0] < given[1]:
            raise PinnxError(f"domain.{axis}: expected [lo, hi] with lo < hi, got {list(given)}")
        bounds[axis] = given
    for axis in ("t", "z"):
        if axis not in data_bounds and (getattr(config.domain, axis) is not None or axis in config.domain.periodic):
            raise PinnxError(f"domain.{axis}: the data has no {axis}; expected none, got one")
    return bounds


def _setting_notes(config: Config, bounds: dict[str, tuple[float, float]], reference: Snapshots | None) -> list[str]:
    """What the configuration overrides in the data, and what it leaves to a default."""
    notes, given, data_nu = [], config.problem.nu, None if reference is None else reference.nu
    if reference is not None and reference.error is not None:
        notes.append(
            f"The reference has a relative error of {reference.error:.2g} of its own: an error near it or below says "
            "nothing of the reconstruction."
        )
    if given is not None and data_nu is not None and given != data_nu:
        notes.append(f"The viscosity is flow.nu = {given:g}; that of the data, {data_nu:g}, is not used.")
    for axis in config.domain.periodic:
        if getattr(config.domain, axis) is None:
            low, high = bounds[axis]
            notes.append(f"domain.{axis} is not given: the period in {axis} is that of the data, {high - low:g}.")
    return notes


def _gap_notes(
    places: np.ndarray,
    reference: Snapshots | None,
    bodies: tuple[Body, ...],
    bounds: dict[str, tuple[float, float]],
) -> list[str]:
    """Whether scattered places leave out a part of the domain that may be a solid."""
    if reference is not None and (reference.grid_shape is not None or reference.holes is not None):
        return []  # a grid has no gaps, and what is missing is known to be no flow
    gap = largest_gap(places, lambda points: in_bodies(points, bodies, bounds))
    if gap is None:
        return []
    middle = ", ".join(f"{coordinate:.3g}" for coordinate in gap.middle)
    return [
        f"The data has no place within {gap.radius:.3g} of ({middle}), where its spacing is {gap.spacing:.2g}. If "
        "that is a solid, the equations must not hold there: describe it by domain.holes, "
        "or cut it off the domain."
    ]


def _singular_corners(
    config: Config,
    conditions: tuple[BoundaryCondition, ...],
    bounds: dict[str, tuple[float, float]],
    scales: Scales,
    places: np.ndarray,
) -> tuple[np.ndarray | None, list[str]]:
    """Which of the places are corners with a Stokes flow, whose pressure grows as 1/r; where it is added, where not."""
    corners = discontinuity_corners(conditions, bounds, scales=scales.of_fields(component_names(bounds)))
    if config.train.corner_radius is not None and not corners:
        return None, ["train.corner_radius has no effect: there is no corner at which two sides disagree."]
    if not config.model.corner_flow:
        return None, []
    known = [corner for corner in corners if corner.step is not None]
    singular = corner_distance(places, known, tuple("xyz"[: places.shape[1]])) < SAME_PLACE * scales.length
    notes, left = [], len(corners) - len(known)
    if known:
        note = (
            f"At {plural(len(known), 'corner')} two sides prescribe different velocities: the Stokes flow there is "
            "added to the network."
        )
        if singular.any():
            at = plural(int(singular.sum()), "output point")
            note += (
                f" Its pressure is infinite at the corner itself: {at} there have no values, and no error counts them."
            )
        notes.append(note)
    if left:
        where = f"At {plural(left, 'corner')} two sides disagree, and no Stokes flow is added"
        notes.append(f"{where}: that takes two dimensions, and constant velocities on both sides.")
    return singular, notes


def _stated_noise(config: Config, measured: Measurements) -> tuple[dict[str, np.ndarray], str]:
    """Standard deviations of what was measured, [rows] by name, and what must be known of them; {}: none are known."""
    stated, added = config.data.noise, config.sensors.noise
    share = (added or None) if stated.share is None else stated.share if stated.share != "estimated" else None
    columns = measured_columns(measured.velocity, measured.pressure, measured.speed)
    for name in type(stated).model_fields:
        if name != "share" and getattr(stated, name) is not None and name not in columns:
            raise PinnxError(f"data.noise.{name}: expected a quantity that is measured, {', '.join(columns)}")
    if stated.share == 0.0:
        return {}, ""
    known = np.isfinite(measured.velocity)
    speeds = np.concatenate([measured.velocity[known], _finite(columns.get("speed"))])
    sizes = {"p": float(np.std(_finite(columns.get("p")))) if "p" in columns else 0.0}
    with np.errstate(over="ignore"):  # velocities that overflow are refused with the first loss
        speed = float(np.linalg.norm(speeds)) / max(len(speeds), 1) ** 0.5
    found: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        one = getattr(stated, name)
        if one is None and share is not None:
            one = share * sizes.get(name, speed)
        if name in measured.deviations:
            found[name] = measured.deviations[name]
        elif one is not None:
            found[name] = np.full(len(column), one)
    missing = [name for name in columns if name not in found or not (found[name][np.isfinite(columns[name])] > 0).all()]
    if found and missing:
        raise PinnxError(
            f"data.noise: expected that of {', '.join(columns)}, got none of {', '.join(missing)}; "
            "data.noise.share sets the others, data.noise=0 leaves all of it out"
        )
    if not found:
        return {}, ""
    shown = ", ".join(f"{number(_mean(found[name], columns[name]))} for {name}" for name in found)
    where = "sensors.noise, which adds it" if added and stated == type(stated)() else "data.noise"
    where = "columns of standard deviations" if measured.deviations else where
    return found, f"Noise of the measurements, by {where}: {shown}. They are not fitted closer than that."


def _finite(column: np.ndarray | None) -> np.ndarray:
    return np.empty(0) if column is None else column[np.isfinite(column)]


def _mean(deviation: np.ndarray, column: np.ndarray) -> float:
    """The root mean square where something was measured."""
    return float(np.sqrt(np.mean(deviation[np.isfinite(column)] ** 2)))
