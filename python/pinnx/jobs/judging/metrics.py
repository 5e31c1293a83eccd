"""The numbers of metrics.json: errors, norms, checks, and what ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pinnx.evals.accuracy import BESIDE_A_TENTH, LEAST_MOVING, field_errors, worst_component
from pinnx.evals.checks import Check, verify
from pinnx.evals.evaluation import Evaluation, measure
from pinnx.evals.gates import GATES
from pinnx.jobs.cases.case import Case
from pinnx.jobs.flows.flow_model import described
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.jobs.judging.baseline import gappy_pod_baseline
from pinnx.jobs.judging.flow_balances import energy_budget, energy_growth, sub_box_budgets
from pinnx.jobs.judging.found_numbers import found_numbers, held_by_sensors, settled
from pinnx.jobs.judging.held_out import HeldOut
from pinnx.jobs.judging.remedies import with_remedy
from pinnx.jobs.outputs import evaluate_output, training_figures
from pinnx.physics.term import Measured, largest_share
from pinnx.report.formatting import enumeration
from pinnx.train.trainer import Trainer

if TYPE_CHECKING:  # it loads SciPy's sparse solvers
    from pinnx.jobs.judging.second_opinion import SecondOpinion
    from pinnx.solvers import GridFields

__all__ = [
    "checks_against_reference",
    "checks_at_points",
    "checks_of_balances",
    "errors_against",
    "judged_errors",
    "polished_balance",
    "run_metrics",
]

# Of what varies between the sensors, the share that a network which has learned nothing leaves: one by its mean alone.
UNLEARNED = 0.9
YOUNG = 200  # steps of a training of which nothing is said yet
_NU = "viscosity \N{GREEK SMALL LETTER NU}"


def run_metrics(
    flow: FlowProblem,
    trainer: Trainer,
    output: Evaluation,
    command: str,
    history: Mapping[str, NDArray[np.float64]],
    left_out: HeldOut | None,
    opinion: SecondOpinion | None = None,
) -> dict[str, Any]:
    """Everything that metrics.json says of a finished run, but for ``wall_s``, which the caller sets last.

    ``output`` has the fields at the output points, frame by frame, and ``history`` the columns of history.jsonl.
    Without a second training ``left_out`` is None, without a classical solver ``opinion``.
    """
    config, case, errors = flow.config, flow.case, errors_against(flow.case, output.fields)
    found = found_numbers(flow, trainer)
    worst = _worst(case, errors)
    measured = held_by_sensors(flow, trainer, _at_points(flow, config.evals.points), found)
    measured += settled(flow, history)
    measured += [] if left_out is None else left_out.measured
    measured += [] if errors is None else judged_errors(case, output.fields, errors, worst)
    polished = opinion is not None and opinion.polished is not None
    measured += polished_balance(opinion.polished) if opinion and opinion.polished else []
    checks = [*verify(measured, limits=flow.limits), *checks_of_balances(flow)]
    checks.sort(key=lambda item: list(GATES).index(item.name))
    numbers = {item.gate: item.value for item in reversed(measured)}  # of several of one gate the first
    baseline = gappy_pod_baseline(case)
    beside = {**baseline.errors, **(opinion.errors if opinion else {})}
    return {
        "relative_l2": errors,
        "reference_error": None if case.reference is None else case.reference.error,
        "worst_component": {"name": worst, "relative_l2": errors[worst]} if errors and worst else None,
        "baseline": beside or None,
        "baseline_note": baseline.note,
        "solver": opinion.facts if opinion else None,
        "solver_note": opinion.note if opinion else None,
        **training_figures(trainer, _rows(history)),
        "gpu_utilisation": float(np.nanmean(history["gpu_utilisation"])) if "gpu_utilisation" in history else None,
        "selection_s": case.selection_s,
        "pde_residual_l2": numbers["pde_residual_l2"],
        "continuity_l2": numbers["conservation"],
        "boundary_error_max": numbers.get("boundary_error_max"),
        "sensor_misfit": numbers["sensor_misfit"],
        "num_sensors": len(case.sensors),
        "seed": config.seed,
        "nu": flow.nu,
        "network": described(config.model, flow.model),
        "scales": {"length": case.scales.length, "velocity": case.scales.velocity},
        "held_out": None if left_out is None else left_out.facts,
        "found": found,
        "terms": list(flow.problem.names),
        "checks": [with_remedy(item, config, history, polished) for item in checks],
        "source": case.source,
        "failure": (failure := _failure(flow, trainer, numbers["sensor_misfit"])),
        "notes": [*case.notes, *trainer.clock.notes, *([failure] if failure else [])],
        "command": command,
        **_description(case, flow.nu, list(found), config.problem.forcing or ()),
    }


def _description(case: Case, nu: float, found: Sequence[str], forcing: Sequence[float | str]) -> dict[str, Any]:
    """Entries of metrics.json: the equations, what was measured, and what each name means.

    ``nu`` and ``forcing`` were used, or are among the names of the numbers that the training ``found``.
    """
    steady = "steady " if case.steady else ""
    viscosity = f"an unknown {_NU}, found by the training" if "nu" in found else f"the {_NU} = {nu:.4g}"
    axes = " and ".join(name[-1] for name in found if name.startswith("forcing_"))
    forces = [
        f"the body force {part if isinstance(part, str) else f'{part:.4g}'} along {axis}"
        for axis, part in zip("xyz", forcing, strict=False)
        if part and f"forcing_{axis}" not in found
    ]
    forces += [f"an unknown constant force along {axes}, found by the training"] if axes else []
    equations = f"the {steady}incompressible Navier-Stokes equations in {case.dim} dimensions"
    return {
        "equations": f"{equations}, with {enumeration([viscosity, *forces])}",
        "measured": list(case.measured),
        "descriptions": {
            **{name: f"velocity in {axis}" for name, axis in zip("uvw"[: case.dim], "xyz", strict=False)},
            "velocity": "the velocity as a vector",
            "fluctuation": "the velocity vector less its mean over time",
            "speed": "length of the velocity",
            "p": "pressure" if "p" in case.measured else "pressure, up to a constant at each time",
            "continuity_l2": "divergence of the velocity, root mean square",
            "nu": _NU,
            **{f"forcing_{axis}": f"force along {axis}" for axis in "xyz"[: case.dim]},
            "scales": "length L and velocity U of the case, in which checks count",
            **{name: gate.description for name, gate in GATES.items()},
        },
    }


def _rows(history: Mapping[str, NDArray[np.float64]]) -> Iterator[dict[str, float]]:
    return (dict(zip(history, row, strict=True)) for row in zip(*history.values(), strict=True))


def _failure(flow: FlowProblem, trainer: Trainer, misfit: float | None) -> str | None:
    """A sentence where the network does not even have the velocities that it was trained on; else None.

    It has them no better than one velocity for all sensors: a step that was too large left it constant or wild.
    """
    case, train = flow.case, flow.config.train
    if misfit is None or misfit <= flow.limits["sensor_misfit"] or train.weights.data == 0.0:
        return None
    known = np.isfinite(case.velocity)
    if trainer.step < YOUNG or not known.any(axis=0).all():
        return None
    found = flow.model.predict(case.coordinates)[:, : case.dim]
    left, varies = (
        float(np.linalg.norm((case.velocity - of)[known])) for of in (found, np.nanmean(case.velocity, axis=0))
    )
    if left < UNLEARNED * varies:
        return None
    return (
        f"the training has failed: at the sensors the network is {left / varies:.2g} times as far off as their mean; "
        f"try a smaller train.lr than {train.lr:g}"
    )


def checks_at_points(flow: FlowProblem, num_points: int, trained: Trainer | None = None) -> list[Check]:
    """The checks of the fields as they are now, but for those that need a reference or a second training.

    Where they are ``trained``, also whether the sensors tell the viscosity, which takes seconds.
    """
    measured = _at_points(flow, num_points)
    if trained is not None:
        measured = held_by_sensors(flow, trained, measured, found_numbers(flow, trained))
    return verify(measured, limits=flow.limits)


def checks_of_balances(flow: FlowProblem) -> list[Check]:
    """Mass and momentum of sub-boxes, and the kinetic energy, where the case has them."""
    energy = energy_budget(flow.case, flow.problem, flow.config.evals.points, flow.config.train.seed)
    energy += energy_growth(flow.case, flow.problem, forced=flow.equations.scaled_forcing is not None)
    return [*sub_box_budgets(flow), *verify(energy)]


def checks_against_reference(flow: FlowProblem) -> list[Check]:
    """The errors of the fields as they are now at the output points; nothing without a reference."""
    case = flow.case
    if case.reference is None:
        return []
    fields = evaluate_output(case.output, flow.problem).fields
    errors = errors_against(case, fields) or {}
    return verify(judged_errors(case, fields, errors, _worst(case, errors)), limits=flow.limits)


def _at_points(flow: FlowProblem, num_points: int) -> list[Measured]:
    """The numbers of all terms and of the periodic axes."""
    case, given = flow.case, {"num_points": num_points, "seed": flow.config.train.seed}
    periodic: dict[str, Any] = {"periodic": tuple(case.periods), "jumps": case.jumps}
    return measure(flow.model, flow.problem.checked, case.bounds, **periodic, **given)


def _worst(case: Case, errors: Mapping[str, float] | None) -> str | None:
    """The component with the largest error; None without a reference."""
    if errors is None or case.reference is None:
        return None
    return worst_component(errors, case.reference.velocity[:, case.in_flow])


def judged_errors(
    case: Case, fields: NDArray[np.float64], errors: Mapping[str, float], worst: str | None
) -> list[Measured]:
    """The errors that are judged: of the velocity vector, of what moves of it, and of its worst component."""
    assert case.reference is not None
    wanted = case.reference.velocity[:, case.in_flow]
    pair = fields[:, : case.dim].reshape(case.reference.velocity.shape)[:, case.in_flow], wanted
    judged = [("velocity", pair, "reconstruction", "of the velocity vector", 0.0)]
    moving = pair[0] - pair[0].mean(axis=0), wanted - wanted.mean(axis=0)
    least = LEAST_MOVING * float(np.linalg.norm(wanted))
    judged += [("fluctuation", moving, "reconstruction", "of the fluctuation about the mean over time", least)]
    if worst is not None:
        column = slice("uvw".index(worst), "uvw".index(worst) + 1)
        judged += [(worst, (pair[0][..., column], wanted[..., column]), "worst_component", "", 0.0)]
    found = []
    for name, fields, gate, note, smallest in judged:
        if name in errors:
            own = float(np.linalg.norm(fields[1]))
            size = max(own, smallest)
            note = f"{note}, {BESIDE_A_TENTH}" if size > own else note
            largest = _largest_error(case, *fields, size)
            found.append(Measured(gate, errors[name] * (own / size), note, None, name, *largest))
    return found


def _largest_error(
    case: Case, found: NDArray[np.float64], wanted: NDArray[np.float64], size: float
) -> tuple[float, tuple[float, ...]]:
    """The largest error of fields [T, n, c] at the points in the flow, as the norm over a size counts it, and where."""
    assert case.reference is not None
    largest, row = largest_share(np.sum((found - wanted) ** 2, axis=2).ravel(), size)
    frame, place = divmod(row, wanted.shape[1])
    times = [] if case.reference.times is None else [float(case.reference.times[frame])]
    return largest, (*case.reference.points[case.in_flow][place].tolist(), *times)


def polished_balance(flow: GridFields) -> list[Measured]:
    """How well the flow that is solved from the network's field is balanced, cell by cell."""
    parts = (("mass", flow.mass, flow.mass_at), ("momentum", flow.momentum, flow.momentum_at))
    return [Measured("polished_balance", left, part=part, worst=left, worst_at=at) for part, left, at in parts]


def errors_against(case: Case, fields: NDArray[np.float64]) -> Mapping[str, float] | None:
    """Relative L2 errors of fields at the output points, [T n, c], against the reference; None where there is none."""
    reference = case.reference
    if reference is None:
        return None
    fields = fields.reshape(reference.num_times, reference.num_points, case.dim + 1)
    inside = case.in_flow
    fields = fields[:, inside]
    frames, pressure = reference.pressure_frames, reference.pressure
    return field_errors(
        fields[..., : case.dim],
        reference.velocity[:, inside],
        pressure=None if frames is None else np.ascontiguousarray(fields[frames][..., -1]),
        reference_pressure=None if pressure is None else pressure[:, inside],
    )
