"""From the section `model` and the case of a flow to its model: the network, and what its fields have by form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pinnx.config.model_section import Model
from pinnx.errors import PinnxError
from pinnx.jobs.cases.case import Case
from pinnx.models import (
    AddedField,
    FieldModel,
    FourierNetwork,
    HardBoundaries,
    PirateNetwork,
    PressureRamp,
    Siren,
    StreamFunction,
    VorticityStreamFunction,
    factorize_weights,
    random_frequencies,
    train_frequencies,
)
from pinnx.physics.corner_flow import BoxWalls, CornerFlow, corner_flow
from pinnx.physics.corners import Corner
from pinnx.physics.held_places import held_place, held_walls
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.stream_function_equations import StreamFunctionEquations

__all__ = ["described", "flow_model"]


def flow_model(
    model: Model, case: Case, equations: NavierStokes, corners: Sequence[Corner], dtype: torch.dtype
) -> tuple[FieldModel, tuple[int, ...]]:
    """The network of a flow with what is added to it, and the numbers of the boundary conditions that it holds exactly.

    Raises:
        PinnxError: numbers per coordinate that are not as many as the coordinates; settings that do not fit together.
    """
    periods = _periods(model, case)
    field_scales = case.scales.of_fields(equations.fields)
    kind = VorticityStreamFunction if isinstance(equations, StreamFunctionEquations) else StreamFunction
    output_scales = np.ones(kind.num_outputs(len(case.bounds))) if model.stream_function else field_scales
    network = _network(model, case, output_scales, periods, dtype)
    if model.train_frequencies:
        train_frequencies(network, fixed=periods)
    if model.factorization.mean is not None:
        given = {"mean": model.factorization.mean, "deviation": model.factorization.deviation}
        factorize_weights(network, **given, seed=model.seed + 2)
    # The viscosity as it is in each step, with its gradient: the Stokes terms of this field cancel for any of them.
    at_corners = corner_flow(corners, case.bounds, case.scales, lambda: equations.scaled_nu, dtype=dtype)
    field = at_corners if model.corner_flow else None
    if model.stream_function:
        held = held_walls(case.conditions, case.bounds) if model.hard_boundaries else ()
        if held and case.periods:
            axes = ", ".join(case.periods)
            raise PinnxError(f"model.hard_boundaries with stream_function: expected no domain.periodic, got {axes}")
        if held and field is None and at_corners is not None:
            raise PinnxError("model.hard_boundaries with stream_function: expected model.corner_flow=true at a lid")
        walls = _walls(case, at_corners, dtype) if held else None
        return _stream_function(kind, network, case, equations, periods, field, walls, dtype), held
    if case.jumps:
        network = AddedField(network, _ramp(case, dtype))
    if not model.hard_boundaries:
        return network if field is None else AddedField(network, field), ()
    if field is not None:
        raise PinnxError(
            "model.hard_boundaries: expected model.corner_flow=false where sides disagree, as its form has their jump"
        )
    found = {number: held_place(condition, network) for number, condition in enumerate(case.conditions)}
    held = {number: place for number, place in found.items() if place is not None}
    if not held:
        raise PinnxError("model.hard_boundaries: expected a boundary at a side or a circle, got none; set it to false")
    return HardBoundaries(network, list(held.values())), tuple(held)


def _stream_function(
    kind: type[StreamFunction],
    network: FieldModel,
    case: Case,
    equations: NavierStokes,
    periods: Mapping[int, float],
    at_corners: CornerFlow | None,
    walls: BoxWalls | None,
    dtype: torch.dtype,
) -> StreamFunction:
    """The model whose velocity is the curl of a stream function, with what is added to it."""
    assert isinstance(network, FourierNetwork)  # the configuration has no other
    if not case.steady and len(case.periods) == case.dim and (case.jumps or equations.scaled_forcing is not None):
        raise PinnxError(
            "model.stream_function: expected a mean velocity that is constant in time, got a force in a flow with "
            "times that is periodic in x and y; set it to false"
        )
    if at_corners is not None and case.jumps:
        raise PinnxError(
            "model.stream_function: expected no domain.jump where sides disagree; set corner_flow to false"
        )
    field = _ramp(case, dtype) if case.jumps else at_corners
    scales = case.scales.of_fields(("u", "v", "p"))
    return kind(network, field_scales=scales, periodic=periods, field=field, walls=walls)


def _walls(case: Case, at_corners: CornerFlow | None, dtype: torch.dtype) -> BoxWalls:
    extent = [(case.bounds[axis][1] - case.bounds[axis][0]) / case.scales.length for axis in "xy"]
    return BoxWalls(extent, at_corners, first_space=list(case.bounds).index("x"), dtype=dtype)


def _ramp(case: Case, dtype: torch.dtype) -> PressureRamp:
    """The pressure that falls by ``domain.jump`` over each period."""
    axes = tuple(case.bounds)
    slopes = {axes.index(axis): jump / case.periods[axis] / case.scales.force for axis, jump in case.jumps.items()}
    return PressureRamp(slopes, first_space=axes.index("x"), dim=case.dim, dtype=dtype)


def _periods(model: Model, case: Case) -> dict[int, float]:
    """Input -> its dimensionless period, of those along which the fields are periodic."""
    axes, given = tuple(case.bounds), dict(case.periods)
    if model.time_period is not None:
        if case.steady:
            raise PinnxError("model.time_period: expected a flow with times, got a steady one; set it to null")
        given["t"] = model.time_period
    scales = dict(zip(axes, case.scales.of_coordinates(axes), strict=True))
    return {axes.index(axis): period / float(scales[axis]) for axis, period in given.items()}


def _network(
    model: Model, case: Case, field_scales: np.ndarray, periods: Mapping[int, float], dtype: torch.dtype
) -> FieldModel:
    """The network of its architecture, with plain weights and an output for each scale."""
    axes, extents = tuple(case.bounds), np.array(list(case.bounds.values()))
    lengths = extents[:, 1] - extents[:, 0]
    if model.time_period is not None:
        lengths[0] = model.time_period
    scale = model.input_scale or tuple(1.0 / lengths)
    if len(scale) != len(axes):
        raise PinnxError(
            f"model.input_scale: expected {len(axes)} numbers, one for each of {', '.join(axes)}, got {len(scale)}"
        )
    coordinate_scales = case.scales.of_coordinates(axes)
    scale = (np.array(scale) * coordinate_scales).tolist()
    frequencies = random_frequencies(
        scale,
        model.sigma,
        model.frequencies,
        seed=model.seed,
        periods=periods,
        bands=model.bands,
        harmonics=model.harmonics,
        uniform=model.architecture == "siren",
    )
    given: dict[str, Any] = {
        "origin": extents[:, 0],
        "coordinate_scales": coordinate_scales,
        "field_scales": field_scales,
        "seed": model.seed + 1,  # the weights' draw is another than the frequencies'
        "dtype": dtype,
    }
    if model.architecture == "piratenet":
        features = 2 * frequencies.shape[1]
        if model.width != features:
            raise PinnxError(f"model.width: expected the {features} features for a piratenet, got {model.width}")
        return PirateNetwork(frequencies, len(field_scales), blocks=model.layers, activation=model.activation, **given)
    given |= {"width": model.width, "layers": model.layers}
    if model.architecture == "siren":
        middle = ((extents[:, 1] - extents[:, 0]) / 2 / coordinate_scales).tolist()
        return Siren(
            frequencies, len(field_scales), omega=model.omega, scale=scale, middle=middle, fixed=periods, **given
        )
    return FourierNetwork(frequencies, len(field_scales), activation=model.activation, **given)


def described(model: Model, network: FieldModel) -> str:
    """The network in words: its architecture, its size, and what evaluates it."""
    count = sum(parameter.numel() for parameter in network.parameters())
    curl = ", velocity from a stream function" if model.stream_function else ""
    way = "one fused kernel" if network.fused else "composed of jets"
    held = ", boundaries held by its form" if model.hard_boundaries else ""
    return f"{model.architecture}, {count} parameters, {way}{held}{curl}"
