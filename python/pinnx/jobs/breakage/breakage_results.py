"""What is said of a breakage network: its verdicts, and the contents of metrics.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, verify
from pinnx.evals.gates import GATES
from pinnx.evals.size_table import ORDERS, diameters, relative_l2_of_sizes, size_table
from pinnx.jobs.breakage.breakage_problem import BreakageProblem
from pinnx.jobs.breakage.breakage_yardstick import Yardstick, fitted_kinetics, yardstick
from pinnx.jobs.outputs import training_figures
from pinnx.physics.term import Measured
from pinnx.solvers.breakage import SizeDistributions
from pinnx.train.trainer import Trainer

__all__ = ["BreakageResult", "checks_at_points", "found_numbers", "judged", "metrics_of"]


@dataclass(frozen=True)
class BreakageResult:
    """What a trained network says, beside what is known.

    Args:
        table: its size distributions at the reported times.
        yardstick: the reference, and the classical solvers.
        errors: time -> relative error of f.
        checks: the verdicts.
    """

    table: SizeDistributions
    yardstick: Yardstick
    errors: dict[float, float]
    checks: list[Check]


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
