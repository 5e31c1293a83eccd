"""A classical solver beside the network, where geometry, equation and sides are known, and which of the two to believe.

    solver      solves the stated problem on three grids; it sees no sensor, but where the viscosity or the speed of a
                side is unknown: these few numbers are fitted to the sensors
    polished    solves it on one grid, by Newton's method from the network's field

The polished flow of a finished run can be measured anew as it stands in fields.h5: stream function and vorticity are
put into the discrete equations of the case, and the numbers that are stored are held against that flow. They are
rounded, and walls divide by the square of a cell: at small Reynolds numbers that is all that is left of mass and
momentum. So the error of the check itself is what further rounding of this size changes.

The sensors decide: a field that has not seen them and matches them is the flow. Where it misses them, the problem is
not the one that is stated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError, damage_named
from pinnx.evals.checks import Check, unless_coarse, verify
from pinnx.jobs.cases.box_case import box_problem, is_open, solve_case, unknown_numbers
from pinnx.jobs.cases.case import Case
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.jobs.judging.metrics import errors_against, polished_balance
from pinnx.models.field_model import FieldModel
from pinnx.physics.scales import Scales
from pinnx.physics.term import Measured
from pinnx.report.formatting import duration, enumeration, number, percent
from pinnx.solvers import (
    BoxProblem,
    Fit,
    GridFields,
    NoSteadyFlowError,
    NotApplicableError,
    Study,
    default_cells,
    made_again,
    polish,
)

__all__ = ["SecondOpinion", "second_opinion", "stored_polish"]

Array = NDArray[np.float64]
SOLVER, POLISHED = "solver", "polished"
# A misfit at the sensors of this times the network's, which has been trained on them, is noise rather than a fault.
AS_GOOD = 2.0
# A coarse grid judges a network where its own error is below this share of the distance between them.
SHOWN = 0.25
# A solver that misses the sensors by this solves another flow.
FAR_OFF = 0.05
# A network within this times what the grid, and sides far away, leave of the solver's error is the same flow.
SAME_FLOW = 4.0
# Times the rounding of float64: large enough to stand out of it.
ROUNDING = 64
LINES, FIELDS = ("x", "y"), ("u", "v", "p", "psi", "omega")


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """What the solver makes of a case."""

    note: str  # sentences on what it was given, what it found, and which answer to believe; or why there is none
    # Relative L2 errors by name of the answer, as those of the network; empty without a reference.
    errors: Mapping[str, Mapping[str, float]]
    facts: dict[str, Any] | None = None  # for metrics.json; None where there is no answer
    fields: Array | None = None  # u, v, p at the output points, [n, 3]; None where there are none
    polished: GridFields | None = None  # the flow solved from the network's field; None where it was not


def second_opinion(config: Config, case: Case, model: FieldModel, fields: Array, nu: float) -> SecondOpinion:
    """Solves the case beside the network, as far as the settings ask for it and it can be solved.

    ``fields`` are u, v, p of the network at the output points, [n, 3], and ``nu`` the viscosity that belongs to them.
    """
    errors: dict[str, Mapping[str, float]] = {}
    answer, note, facts = _solver(config, case, model, fields)
    cells = config.solver.cells
    if facts and facts["gci"] < SHOWN * facts["network_apart"]:
        cells = round(math.sqrt(math.prod(facts["cells"])))
    polished, more, polishing = _polished(config, case, model, fields[:, :2], nu, cells)
    answers = {SOLVER: answer, POLISHED: None if polished is None else polished.at(case.output.points)}
    for name, found in answers.items():
        against = None if found is None else errors_against(case, found)
        if against is not None:
            errors[name] = against
    facts = facts if polishing is None else {**(facts or {}), POLISHED: polishing}
    return SecondOpinion(" ".join(filter(None, (note, more))), errors, facts, answer, polished)


def _solver(
    config: Config, case: Case, model: FieldModel, fields: Array
) -> tuple[Array | None, str, dict[str, Any] | None]:
    """The solver's u, v, p at the output points, the note, and the facts."""
    if not config.solver.beside:
        return None, "Solver: not used, as solver.beside is false.", None
    began, known = time.perf_counter(), np.isfinite(case.velocity)

    def misfit(found: Array) -> float | None:
        return _relative(found[:, :2][known], case.velocity[known]) if known.any() else None

    try:
        problem = box_problem(config, case, case.nu)
        for cells in (tried := _cells(config, case)):
            try:
                study, fit = solve_case(config, case, cells)
            except NoSteadyFlowError:
                if cells != tried[-1]:
                    continue
                raise
            answer, missed = study.at(case.output.points), misfit(study.at(case.coordinates))
            apart = _relative(fields[case.in_flow, :2], answer[case.in_flow, :2])
            if study.error < SHOWN * apart and (missed or 0.0) < config.evals.limits.sensor_misfit:
                break
    except NotApplicableError as error:
        return None, f"Solver: does not apply: {error}.", None
    except PinnxError as error:
        return None, f"Solver: no answer: {error}.", None
    facts: dict[str, Any] = {
        "cells": [study.grids[-1].x.size - 1, study.grids[-1].y.size - 1],
        "seconds": study.seconds if case.solved else time.perf_counter() - began,
        "error": study.error,
        "gci": study.gci,
        "order": study.order,
        "sensor_misfit": missed,
        "network_apart": apart,
        "approximate": problem.far or problem.inside is not None or is_open(case.conditions, case.slopes),
        "found": {} if fit is None else _found(config, problem, study, fit),
    }
    said = _said(facts, problem, is_open(case.conditions, case.slopes))
    return answer, f"{said} {_verdict(config, facts, misfit(model.predict(case.coordinates)))}", facts


def _cells(config: Config, case: Case) -> tuple[int, ...]:
    """Of the finest grid: where the setting leaves it open, at first half of those that a good network needs."""
    full = config.solver.cells or default_cells(case.scales.viscosity / case.nu)
    return (full,) if config.solver.cells or case.solved else (full // 2, full)


def _found(config: Config, problem: BoxProblem, study: Study, fit: Fit) -> dict[str, Any]:
    """The numbers that were fitted, with their standard errors."""
    found = {
        name: {"value": float(value), "standard_error": float(error)}
        for name, value, error in zip(unknown_numbers(config, problem), study.a[1:], fit.errors, strict=False)
    }
    if config.problem.learn_nu:
        found["nu"] = {"value": study.nu, "standard_error": study.nu * float(fit.errors[-1])}
    return found


def _said(facts: Mapping[str, Any], problem: BoxProblem, leaves: bool) -> str:
    """What the solver was given and how far it is converged."""
    cells, given = " x ".join(map(str, facts["cells"])), "It was given the equations and the sides alone."
    if facts["found"]:
        listed = [
            f"{name} = {number(item['value'])} (standard error {number(item['standard_error'], 1)})"
            for name, item in facts["found"].items()
        ]
        given = f"It was given equations, sides and sensors, and found from these: {enumeration(listed)}."
    if leaves:
        given += " On the right the flow leaves in parallel, at a constant pressure."
    if problem.far:
        given += " Its sides are 8 sizes of the bodies away from them, and 16 behind."
    apart = percent(facts["network_apart"])
    how = "extrapolated" if problem.inside is None else "of which bodies are made, so that its order is one"
    return (
        f"Solver: Newton's method on {cells} cells, {how}, in {duration(facts['seconds'])}. {given} By its "
        f"grids its error is {percent(facts['error'])}; the network differs from it by {apart}."
    )


def _verdict(config: Config, facts: Mapping[str, Any], network: float | None) -> str:
    """Which answer to believe, and why."""
    misfit = facts["sensor_misfit"]
    if misfit is None or network is None:
        return "No velocity was measured that could decide between them."
    left = max(facts["error"], misfit)
    if facts["approximate"] and misfit < FAR_OFF and facts["network_apart"] <= SAME_FLOW * left:
        return (
            f"Believe the network: the two agree within what the solver's cells and sides leave, and it is not bound "
            f"to them. The solver misses the sensors by {percent(misfit)}, the network by {percent(network)}."
        )
    if facts["approximate"] and misfit < FAR_OFF:
        return (
            f"Believe the solver: it matches the sensors to {percent(misfit)}. The network differs from it by more "
            "than the solver's cells and sides leave; look whether its fluid is at rest, above all around bodies."
        )
    if misfit > max(config.evals.limits.sensor_misfit, AS_GOOD * network):
        return (
            f"Look at viscosity, sides and units before believing either: it misses the sensors by {percent(misfit)}, "
            f"the network by {percent(network)}. The stated problem is not the flow that was measured."
        )
    if misfit > config.evals.limits.sensor_misfit:
        return (
            f"Believe neither yet: it misses the sensors by {percent(misfit)}, the network by {percent(network)}. "
            "Train longer; look at viscosity, sides and units if the network comes closer than it."
        )
    seen = "with no more than these numbers fitted" if facts["found"] else "without having seen them"
    if facts["network_apart"] <= facts["error"]:
        return f"Both may be believed: they agree within its error, and it matches the sensors to {percent(misfit)}."
    return f"Believe the solver: it matches the sensors to {percent(misfit)}, {seen}."


def _polished(
    config: Config, case: Case, model: FieldModel, network: Array, nu: float, cells: int | None
) -> tuple[GridFields | None, str, dict[str, Any] | None]:
    """The flow solved from the network's field, sentences, and the facts; ``network`` is its velocity, [n, 2]."""
    wanted = config.solver.polish
    if wanted is False:
        return None, "", None
    began = time.perf_counter()
    try:
        problem = box_problem(config, case, nu, otherwise=model.predict if wanted else None)
        if problem.far or problem.inside is not None:
            raise NotApplicableError("it takes sides of the domain, and bodies whose sides are along the axes")
        fields, steps = polish(problem, model.predict, cells)
    except NotApplicableError as error:
        return None, f"Polished: does not apply: {error}." if wanted else "", None
    except PinnxError as error:
        return None, f"Polished: no answer: {error}.", None
    seconds = time.perf_counter() - began
    apart = _relative(network[case.in_flow], fields.at(case.output.points)[case.in_flow, :2])
    facts: dict[str, Any] = {"network_apart": apart, "steps": steps, "seconds": seconds}
    facts |= {"mass": fields.mass, "momentum": fields.momentum}
    note = (
        f"Polished: {steps} steps of Newton's method from the network's field, on one grid. In each cell mass and "
        f"momentum balance to {number(max(fields.mass, fields.momentum), 1)}. It stands beside the network's field in "
        f"fields.h5. The network differs from it by {percent(apart)}: an estimate of the network's error, as far as "
        "viscosity and sides are right."
    )
    return fields, note, facts


def _relative(found: Array, wanted: Array) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def stored_polish(flow: FlowProblem, path: Path) -> list[Check]:
    """``polished_balance`` of mass, of momentum, and of the numbers that are stored; nothing where there are none.

    With solver.polish=true the network has the velocity of sides without one. ``path`` is that of fields.h5.

    Raises:
        PinnxError: a file that is damaged, or a grid that is none of the case.
    """
    if not path.is_file():
        return []
    with damage_named(path, "expected the fields of a run, got"), h5py.File(path, "r") as file:
        if POLISHED not in file:
            return []
        stored = {name: np.asarray(file[POLISHED][name][()], dtype=np.float64) for name in (*LINES, *FIELDS)}
    x, y = (stored[name] for name in LINES)
    if any(line.ndim != 1 or not (np.diff(line) > 0).all() for line in (x, y)) or any(
        stored[name].shape != (x.size, y.size) for name in FIELDS
    ):
        raise PinnxError(f"{path}: polished: expected fields on a grid of lines that rise, got others")
    otherwise = flow.model.predict if flow.config.solver.polish else None
    problem = box_problem(flow.config, flow.case, flow.nu, otherwise=otherwise)
    again = made_again(problem, x, y, stored["psi"], stored["omega"])
    measured = [*polished_balance(again), _as_stored(again, stored, flow.case.scales)]
    own = abs(_rounded(problem, stored).momentum - again.momentum) / ROUNDING
    reason = f"stored numbers are rounded, which makes an error of about {own:.2g}"
    return [unless_coarse(item, own, reason) for item in verify(measured, limits=flow.limits)]


def _rounded(problem: BoxProblem, stored: dict[str, Array]) -> GridFields:
    """The flow with grid and stream function rounded coarsely."""
    signs, step = np.random.default_rng(0), ROUNDING * np.finfo(np.float64).eps
    moved = {name: stored[name].copy() for name in (*LINES, "psi")}
    for name, values in moved.items():
        inner = values[1:-1] if name in LINES else values  # the ends are those of the box
        inner += step * (np.abs(values).max() if name in LINES else np.abs(inner)) * signs.choice([-1, 1], inner.shape)
    return made_again(problem, *moved.values(), stored["omega"])


def _as_stored(again: GridFields, stored: dict[str, Array], scales: Scales) -> Measured:
    """The largest difference of a stored number from that of the flow, in units of its field."""
    units = {"u": scales.velocity, "v": scales.velocity, "p": scales.pressure, "psi": scales.viscosity}
    units["omega"] = float(np.abs(again.columns["omega"]).max())  # beside the corners of a lid it has no other bound
    apart = np.max([np.abs(stored[name] - again.columns[name]) / units[name] for name in FIELDS], axis=0)
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    value, place = float(apart[at]), (float(again.x[at[0]]), float(again.y[at[1]]))
    return Measured("polished_balance", value, "against that flow", part="stored fields", worst=value, worst_at=place)
