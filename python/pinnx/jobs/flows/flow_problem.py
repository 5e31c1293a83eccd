"""From the configuration and the case of a flow to what is trained: the network, and the terms of its loss.

One function for each kind of problem; `problem.kind` of the configuration chooses it (jobs/reconstruction.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from pinnx.config import Config
from pinnx.config.train_section import Train
from pinnx.data.collocation import Sampling
from pinnx.data.point_pool import PointPool, Refinement
from pinnx.data.streamed_field import StreamedField
from pinnx.errors import PinnxError
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.jobs.cases.load_case import data_limits, data_mapping
from pinnx.jobs.flows.flow_model import flow_model
from pinnx.jobs.flows.warm_start import start_values
from pinnx.jobs.trainer_setup import DTYPES, choose_device
from pinnx.losses import huber
from pinnx.models import FieldModel
from pinnx.physics.boundary_slopes import BoundarySlopes
from pinnx.physics.boundary_values import BoundaryValues
from pinnx.physics.corners import Corner, corner_weights, discontinuity_corners
from pinnx.physics.equations import EquationTerm
from pinnx.physics.inner_points import InnerPoints, growing_window, walls_of
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.section_flux import SectionFlux
from pinnx.physics.stream_function_equations import StreamFunctionEquations
from pinnx.physics.streamed_values import StreamedValues
from pinnx.physics.term import Term
from pinnx.train.problem import Problem

__all__ = ["FlowProblem", "flow_problem"]

# Of the domain's shortest side: where the setting leaves it open.
WALL_LAYER = 0.1


@dataclass(frozen=True, eq=False)
class FlowProblem:
    """A flow as it is stated, and what is trained of it."""

    config: Config  # what decides the run
    case: Case  # what is known
    problem: Problem  # the network and the terms
    weights: dict[str, float]  # column of the loss -> its configured weight
    equations: NavierStokes  # of the flow, with the numbers that the training finds

    @property
    def model(self) -> FieldModel:
        """The network."""
        return self.problem.model

    @property
    def nu(self) -> float:
        """The viscosity that belongs to the fields: the one that was found, else that of the case."""
        return self.equations.found().get("nu", self.case.nu)

    @property
    def limits(self) -> dict[str, float]:
        """The limits of the checks, by name."""
        return self.config.evals.limits.model_dump()

    def numbers(self) -> dict[str, float]:
        """What the history says beside the losses: numbers found, the size of a pool, numbers of a curriculum."""
        pools = [term.pool for term in self.problem.terms if isinstance(term, EquationTerm) and term.pool is not None]
        points = {"pool_points": float(sum(len(pool.points) for pool in pools))} if pools else {}
        staged = {name for stage in self.config.train.curriculum for name in stage.numbers}
        known = {name: item for name, item in self.equations.numbers().items() if name in staged}
        given = {f"number/{name}": float(item.tensor) * item.unit for name, item in known.items()}
        return self.equations.found() | points | given


def flow_problem(config: Config, case: Case) -> FlowProblem:
    """The network and the terms: the equations inside, the measurements, the boundary conditions.

    Raises:
        PinnxError: settings that do not fit the case: numbers per coordinate, a force that the pressure hides or in
            other coordinates, walls or windows in time that there are none of, too few candidates; no device.
    """
    train, device = config.train, choose_device(config.train.device)
    # Gauss-Newton takes the third derivatives of a stream function well; first order needs other outputs and equations.
    by_form = config.model.stream_function and train.optimizer == "gauss_newton"
    kind = StreamFunctionEquations if config.model.stream_function and not by_form else NavierStokes
    equations = kind(
        case.dim,
        steady=case.steady,
        nu=case.nu,
        learn_nu=config.problem.learn_nu,
        forcing=config.problem.forcing,
        learn_forcing=config.problem.learn_forcing,
        divergence_free=by_form,
        scales=case.scales,
        dtype=DTYPES[train.dtype],
    ).to(device)
    _check_forcing(config, case, equations)
    field_scales = case.scales.of_fields(equations.fields)
    corners, radius = discontinuity_corners(case.conditions, case.bounds, scales=field_scales), train.corner_radius
    points = _points(config, case)
    terms: list[Term] = [
        EquationTerm(
            equations,
            bounds=case.bounds,
            num_points=train.collocation_points,
            seed=train.seed,
            point_weights=_corner_weights(case, corners, radius),
            corners=corners,
            check_radius=radius or 0.0,
            time_weights=_time_weights(config, case, device),
            points=points,
            pool=_pool(config, points),
        ),
        _measured(case, train, field_scales),
        *_streamed(config, case, field_scales),
    ]
    model, held = flow_model(config.model, case, equations, corners, DTYPES[train.dtype])
    checks: list[Term] = []
    for term, trained in _at_boundaries(case, train, equations, held):
        (terms if trained else checks).append(term)
    if case.start is not None:
        terms.append(start_values(train, case, case.start, field_scales))
    problem = Problem(model.to(device), terms, fields=equations.fields, checks=checks)
    return FlowProblem(config, case, problem, _weights(train, problem, equations), equations)


def _check_forcing(config: Config, case: Case, equations: NavierStokes) -> None:
    """Refuses to fit a force that the pressure hides: f along x, and a pressure that has f x more, are one flow.

    A formula that is none of these coordinates, or no number, is refused too.
    """
    equations.known_at(np.array(list(case.bounds.values())).T, finite=False)
    for axis in config.problem.learn_forcing:
        if axis in case.bounds and axis not in config.domain.periodic and not _pressure_is_known(case, axis):
            raise PinnxError(
                f"flow.learn_forcing: expected {axis} among domain.periodic, or pressures measured or prescribed at "
                f"several {axis}, as a pressure that grows along {axis} acts like a force; got neither"
            )


def _pressure_is_known(case: Case, axis: str) -> bool:
    """Whether it is measured or prescribed at several places along an axis."""
    column = list(case.bounds).index(axis)
    places = [c.validation_points(16)[:, column] for c in case.conditions if c.mask[-1]]
    if case.pressure is not None:
        places.append(case.coordinates[np.isfinite(case.pressure), column])
    return bool(places) and np.ptp(np.concatenate(places)) > 0


def _at_boundaries(
    case: Case, train: Train, equations: NavierStokes, held: Sequence[int]
) -> Iterator[tuple[Term, bool]]:
    """The terms of values, slopes and fluxes that are known, and whether each is trained, or held by the model's form.

    ``held`` are the numbers of the conditions on values that the model holds exactly.
    """
    # A grid of a side in time or space would need a power of n of its own.
    sampling: Sampling = "sobol" if train.points.sampling == "grid" else train.points.sampling
    if case.conditions:
        nums = [0 if i in held else train.boundary_points for i in range(len(case.conditions))]
        values = BoundaryValues(
            case.conditions,
            nums,
            bounds=case.bounds,
            seed=train.seed,
            scales=case.scales.of_fields(equations.fields),
            check_radius=train.corner_radius or 0.0,
            sampling=sampling,
            steps=train.steps,
        )
        yield values, any(nums)
    given: dict[str, Any] = {"scales": case.scales, "seed": train.seed}
    if case.slopes:
        nu = partial(getattr, equations, "scaled_nu")
        yield BoundarySlopes(case.slopes, train.boundary_points, nu=nu, sampling=sampling, **given), True
    if case.fluxes:
        yield SectionFlux(case.fluxes, **given), True


def _weights(train: Train, problem: Problem, equations: NavierStokes) -> dict[str, float]:
    """The configured weight of each column of the loss."""
    given = train.weights
    configured = {**dict.fromkeys(equations.names[:-1], given.momentum), **given.model_dump(exclude={"momentum"})}
    configured |= {"vorticity": given.continuity, "rate": given.continuity}
    configured["field"] = given.data
    configured["warm_start"] = max(given.data, given.boundary)  # also where no sensor counts
    return {name: configured[name] for name in configured if name in problem.names}


def _measured(case: Case, train: Train, scales: Sequence[float]) -> MeasuredValues:
    """What was measured, of the velocity, the pressure and the speed."""
    names = [
        *"uvw"[: case.dim],
        *(["p"] if case.pressure is not None else []),
        *(["speed"] if case.speed is not None else []),
    ]
    unknown = np.full(len(case.coordinates), np.nan)
    deviations = np.column_stack([case.deviations.get(name, unknown) for name in names]) if case.deviations else None
    return MeasuredValues(
        case.coordinates,
        case.velocity if case.pressure is None else np.column_stack([case.velocity, case.pressure]),
        lengths=case.speed,
        vector=case.dim,
        scales=scales if case.pressure is not None else scales[: case.dim],
        deviations=deviations,
        num_points=train.data_points,
        seed=train.seed,
        rho=_rho(train),
        axes=tuple(case.bounds),
        fields=names,
    )


def _streamed(config: Config, case: Case, scales: Sequence[float]) -> Iterator[StreamedValues]:
    """The field that stays in its file, where the training learns from it."""
    given = config.data.stream
    if given is None:
        return
    assert config.data.path is not None
    field = StreamedField(
        config.data.path,
        data_mapping(config),
        limits=data_limits(config),
        seed=config.train.seed or 0,
        memory_limit=int(given.memory * 2**30),
        outside=partial(in_bodies, bodies=case.bodies, bounds=case.bounds) if case.bodies else None,
        zeros_are_values=config.data.zeros_are_values,
    )
    options: dict[str, Any] = {"num_points": given.points, "rho": _rho(config.train), "axes": tuple(case.bounds)}
    yield StreamedValues(field, scales=scales[: case.dim], **options)


def _rho(train: Train) -> Callable[[torch.Tensor], torch.Tensor]:
    """What of a misfit is averaged."""
    return torch.square if train.data_loss == "squares" else partial(huber, delta=train.huber_delta)


def _time_weights(config: Config, case: Case, device: torch.device) -> torch.Tensor | None:
    """The weights in time, all 1 at first; None where all times count alike."""
    causal = config.train.causal
    if causal.tolerance is None:
        return None
    if case.steady:
        raise PinnxError("train.causal.tolerance: expected a flow with times, got a steady one; set it to null")
    return torch.ones(causal.parts, dtype=DTYPES[config.train.dtype], device=device)


def _corner_weights(
    case: Case, corners: Sequence[Corner], radius: float | None
) -> Callable[[np.ndarray], np.ndarray] | None:
    """The weight of a point near a corner where two sides disagree; None where all points count alike."""
    if not corners or radius is None:
        return None
    return lambda x: corner_weights(x, corners, tuple(case.bounds), radius)


def _points(config: Config, case: Case) -> InnerPoints:
    """The points of the equations in a step."""
    train, given = config.train, config.train.points
    shortest = min(high - low for axis, (low, high) in case.bounds.items() if axis != "t")
    layer = given.wall_layer or WALL_LAYER * shortest
    if layer > shortest:
        raise PinnxError(
            f"train.points.wall_layer: expected at most the domain's shortest side, {shortest:g}, got {layer:g}"
        )
    if given.walls > 0.0 and not walls_of(case.conditions):
        raise PinnxError(
            "train.points.walls: expected a side or circle where all of the velocity is given and none crosses, "
            "got none in boundaries; set it to 0"
        )
    window = None
    if given.time_windows > 1:
        if case.steady:
            raise PinnxError("train.points.time_windows: expected a flow with times, got a steady one; set it to 1")
        last_step = given.windows_until * train.steps
        window = partial(growing_window, windows=given.time_windows, last_step=last_step)
    try:
        return InnerPoints(
            case.bounds,
            train.collocation_points,
            seed=train.seed,
            sampling=given.sampling,
            bodies=case.bodies,
            walls=walls_of(case.conditions),
            wall_share=given.walls,
            wall_layer=layer,
            window=window,
        )
    except PinnxError as error:
        wrong_grid = given.sampling == "grid" and str(error).startswith("grid:")
        raise PinnxError(f"train.collocation_points: {error}" if wrong_grid else str(error)) from None


def _pool(config: Config, points: InnerPoints) -> PointPool | None:
    """The pool of points that follows the residual; None where all points are fresh."""
    given = config.train.points.refine
    if given.method == "none":
        return None
    try:
        return PointPool(points, Refinement(**given.model_dump()), seed=config.train.seed)
    except PinnxError as error:
        raise PinnxError(f"train.points.{error}") from None
