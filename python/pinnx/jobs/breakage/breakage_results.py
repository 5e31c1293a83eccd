"""What is said of a breakage network: its verdicts, the contents of metrics.json, and fields.h5.

fields.h5: v [m], t [T]; f [T, m] and reference/f, delta [T], reference/moments [T, 4]; passing [T, m], the share of the
volume up to v; curve/t [r] with curve/moments [r, 4] of the network; residual/breakage [r, s] at these times and
volumes residual/v; measured/t, v, f [k] where sizes were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, verify
from pinnx.evals.gates import GATES
from pinnx.evals.size_table import ORDERS, diameters, relative_l2_of_sizes, size_table
from pinnx.jobs.breakage.breakage_problem import BreakageProblem
from pinnx.jobs.breakage.breakage_yardstick import Yardstick, fitted_kinetics, yardstick
from pinnx.jobs.outputs import hdf5_in_memory, training_figures
from pinnx.physics.breakage_pointwise import pointwise_balance
from pinnx.physics.term import Measured
from pinnx.solvers.breakage import SizeDistributions
from pinnx.train.trainer import Trainer

__all__ = [
    "BreakageResult",
    "checks_at_points",
    "found_numbers",
    "judged",
    "metrics_of",
    "stored_sizes",
    "write_sizes",
]

Array = NDArray[np.float64]

# Of the map of the residual.
MAP_TIMES, MAP_VOLUMES = 40, 40


@dataclass(frozen=True)
class BreakageResult:
    """What a trained network says, beside what is known."""

    table: SizeDistributions  # at the reported times
    yardstick: Yardstick  # the reference, and the classical solvers
    errors: dict[float, float]  # time -> relative error of f
    checks: list[Check]  # the verdicts


def named_time(t: float) -> str:
    """As metrics.json names the error at a time."""
    return f"t = {t:g}"


def checks_at_points(run: BreakageProblem, num_points: int) -> list[Check]:
    """The checks of the terms, of the network as it is."""
    return verify(_at_points(run, num_points), limits=run.limits)


def _at_points(run: BreakageProblem, num_points: int) -> list[Measured]:
    given = {"num_points": num_points, "seed": run.config.train.seed}
    return [item for term in run.problem.checked for item in term.measure(run.model, **given)]


def judged(run: BreakageProblem) -> BreakageResult:
    """Everything that is said of a network as it is."""
    table = size_table(run.model, run.times)
    beside = yardstick(run.case, run.model.kinetics, table, run.exact)
    wrong = np.count_nonzero(~(table.f >= 0) | ~np.isfinite(table.f))
    measured = _at_points(run, run.config.evals.points)
    measured += [Measured("negative_density", float(wrong), f"of {table.f.size} values"), _moments(table, beside)]
    checks = verify(measured, limits=run.limits)
    return BreakageResult(table, beside, relative_l2_of_sizes(table, beside.reference, run.case.sizes[1]), checks)


def _moments(table: SizeDistributions, beside: Yardstick) -> Measured:
    errors = {
        (order, t): abs(moment / beside.moments(order, t) - 1)
        for order in ORDERS
        for t, moment in zip(table.times.tolist(), table.moment(order), strict=True)
    }
    (order, t), worst = max(errors.items(), key=lambda item: item[1] if np.isfinite(item[1]) else np.inf)
    value, note = float(worst), f"M{order} at t = {t:g}, against {beside.reference_name}"
    return Measured("moments", value, note, worst=value, worst_at=(t,))


def metrics_of(
    run: BreakageProblem, trainer: Trainer, result: BreakageResult, command: str, rows: list[dict[str, float]]
) -> dict[str, Any]:
    """Everything that metrics.json says, but for ``wall_s``, which the caller sets last."""
    beside = result.yardstick
    return {
        "relative_l2": {named_time(t): error for t, error in result.errors.items()},
        "reference_error": None,
        "worst_component": None,
        "baseline": {name: {named_time(t): e for t, e in of.items()} for name, of in beside.solvers.items()} or None,
        "baseline_note": None,
        "solver": {"seconds": dict(beside.seconds), "reference": beside.reference_name},
        "solver_note": _advice(run, beside),
        "moments": {
            f"M{order}": dict(zip(map(named_time, run.times), result.table.moment(order).tolist(), strict=True))
            for order in ORDERS
        },
        "diameters": _diameters(result.table),
        **training_figures(trainer, rows),
        "seed": run.config.seed,
        "network": f"mlp, {sum(p.numel() for p in run.model.parameters())} parameters, one fused kernel",
        "found": found_numbers(run),
        "terms": list(run.problem.names),
        "checks": [item.as_dict() for item in result.checks],
        "source": "no data: the start and the balance" if run.measured is None else f"{len(run.measured.f)} densities",
        "failure": None,
        "notes": list(trainer.clock.notes),
        "command": command,
        "equations": ["df/dt = births from larger particles - S(v) f", *_stated(run)],
        "measured": [] if run.measured is None else ["f"],
        "descriptions": {item.name: GATES[item.name].description for item in result.checks},
        "beside_norms": None,
        "forces": [],
        "walls": [],
        "error_estimates": {},
        "free_sides": [],
    }


def _diameters(table: SizeDistributions) -> dict[str, dict[str, float | None]]:
    """d10, d50, d90, d32 -> time -> of the network; None below the smallest volume."""
    return {
        name: {named_time(t): float(d) if np.isfinite(d) else None for t, d in zip(table.times, of, strict=True)}
        for name, of in diameters(table).items()
    }


def found_numbers(run: BreakageProblem) -> dict[str, dict[str, Any]]:
    """Each number that was learned, its guess, and what a classical fit to the same measurements says of it."""
    learned = run.model.learned
    if not learned or run.measured is None:
        return {}
    fit, note = None, ""
    try:
        fit = fitted_kinetics(run.case, run.measured, learned)
    except PinnxError as error:
        note = f"no interval: {error}"
    found = {}
    for name in learned:
        estimate = None if fit is None else fit.found[name]._asdict()
        found[name] = {
            "value": float(getattr(run.model.kinetics, name)),
            "guess": float(getattr(run.case.kinetics, name)),
            "estimate": estimate,
            "note": note or "estimate: least squares with the collocation, an interval of 95 %",
        }
    return found


def _stated(run: BreakageProblem) -> list[str]:
    k = run.model.kinetics
    start = (
        "f(v, 0) is given" if run.case.delta_at is None else f"all particles have v = {run.case.delta_at:g} at t = 0"
    )
    return [
        f"S = {k.s0:g} v^{k.a:g}",
        f"daughters z^{k.daughters.c:g} (1 - z)^{k.daughters.q:g}, {k.daughters.number:g} in the mean",
        start,
    ]


def _advice(run: BreakageProblem, beside: Yardstick) -> str:
    """Which answer to believe, and why."""
    took = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in beside.seconds.items())
    if run.measured is not None:
        return f"Solved classically with these kinetics: {took}. pinnx.solvers.breakage fits kinetics to the same data."
    return (
        f"Solved classically as well: {took}. Breakage whose kinetics are known is linear: the collocation is the "
        "answer to believe, and the network is held against it."
    )


def stored_sizes(run: BreakageProblem, result: BreakageResult) -> dict[str, Array]:
    """What fields.h5 holds, by the names at the head of this module."""
    table, beside = result.table, result.yardstick
    v_all, times = table.grid.v, table.times.tolist()
    t, v, residual = _residual_map(run)
    along = size_table(run.model, t)
    stored = {
        "v": v_all,
        "t": table.times,
        "f": table.f,
        "delta": table.delta,
        "passing": table.below(v_all),
        "reference/f": np.array([beside.reference(v_all, time) for time in times]),
        "reference/moments": np.array([[beside.moments(order, time) for order in ORDERS] for time in times]),
        "curve/t": t,
        "curve/moments": np.column_stack([along.moment(order) for order in ORDERS]),
        "residual/v": v,
        "residual/breakage": residual,
    }
    measured = {} if run.measured is None else run.measured._asdict()
    return stored | {f"measured/{name}": column for name, column in measured.items()}


def write_sizes(path: Path, stored: Mapping[str, Array], reference_name: str) -> None:
    """Writes fields.h5, whole or not at all."""
    with hdf5_in_memory(path) as file:
        file.attrs.update(names="f", kind="breakage", reference=reference_name)
        for name, array in stored.items():
            file[name] = array


def _residual_map(run: BreakageProblem) -> tuple[Array, Array, Array]:
    """Times [r], volumes [s], and the relative residual there, [r, s], by a quadrature that no training uses."""
    case = run.case
    tau = np.linspace(0.0, np.log1p(case.end / case.time), MAP_TIMES + 1)[1:]
    largest = case.sizes[1] if case.delta_at is None else case.delta_at * (1 - 1e-6)
    t, v = np.expm1(tau) * case.time, np.geomspace(case.sizes[0], largest, MAP_VOLUMES)
    with torch.no_grad():
        found = pointwise_balance(run.model, np.repeat(t, len(v)), np.tile(v, len(t))).residual
    return t, v, found.double().cpu().numpy().reshape(len(t), len(v))
