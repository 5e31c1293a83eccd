"""A breakage run: what the driver of runs (`reconstruction`) asks of it, and the files that it leaves.

fields.h5: v [m], t [T]; f [T, m] and reference/f, delta [T], reference/moments [T, 4]; passing [T, m], the share of
the volume up to v; curve/t [r] with curve/moments [r, 4] of the network; residual/breakage [r, s] at these times and
volumes residual/v; measured/t, v, f [k] where sizes were measured.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, verify
from pinnx.evals.gates import GATES
from pinnx.evals.size_table import ORDERS, SizeTable, relative_l2_of_sizes, size_table
from pinnx.evals.tabulated_sizes import as_distributions, diameters
from pinnx.jobs.breakage_problem import BreakageProblem, breakage_problem
from pinnx.jobs.breakage_yardstick import Yardstick, fitted_kinetics, yardstick
from pinnx.jobs.outputs import versions
from pinnx.jobs.run_recorder import Stopwatch
from pinnx.jobs.trackers import Tracker, make_trackers
from pinnx.jobs.training import make_trainer
from pinnx.physics.breakage_pointwise import pointwise_balance
from pinnx.physics.term import Measured
from pinnx.report import write_report
from pinnx.runs.convergence import Convergence
from pinnx.runs.files import atomic_write, write_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import read_rows
from pinnx.runs.memory import memory_now, peak_memory_gib
from pinnx.train.guard import Guard
from pinnx.train.problem import Problem
from pinnx.train.trainer import Trainer

__all__ = [
    "BreakageResult",
    "BreakageRun",
    "breakage_run",
    "found_numbers",
    "judged",
    "metrics_of",
    "named_time",
    "stored_sizes",
    "verify_breakage",
]

Array = NDArray[np.float64]

# Of the map of the residual.
MAP_TIMES, MAP_VOLUMES = 40, 40
WATCHED_POINTS = 1000


@dataclass(frozen=True)
class BreakageResult:
    """What a trained network says, beside what is known.

    Args:
        table: its size distributions at the reported times.
        yardstick: the reference, and the classical solvers.
        errors: time -> relative error of f.
        checks: the verdicts.
    """

    table: SizeTable
    yardstick: Yardstick
    errors: dict[float, float]
    checks: list[Check]


def named_time(t: float) -> str:
    """As metrics.json names the error at a time."""
    return f"t = {t:g}"


def measured_at_points(run: BreakageProblem, num_points: int, seed: int) -> list[Measured]:
    """The numbers of all terms."""
    model = run.model
    return [item for term in run.problem.checked for item in term.measure(model, num_points=num_points, seed=seed)]


def breakage_guard(config: Config, run: BreakageProblem) -> Guard | None:
    """The guard of a configuration; None where it is switched off."""
    settings = config.train.guard
    if settings is None:
        return None
    first: list[float] = []

    def checks() -> list[Check]:
        first.append(max(memory_now().values()))
        measured = [
            *measured_at_points(run, WATCHED_POINTS, config.train.seed),
            Measured("memory", first[-1] / first[0]),
        ]
        return verify(measured, limits=_limits(config))

    return Guard(checks, worse=settings.worse, returns=settings.returns)


def _limits(config: Config) -> dict[str, float]:
    limits: dict[str, float] = config.problem.limits.model_dump()
    return limits


def judged(config: Config, run: BreakageProblem) -> BreakageResult:
    """Everything that is said of a network as it is."""
    table = size_table(run.model, run.times)
    beside = yardstick(run.case, run.model.kinetics, table, run.exact)
    wrong = np.count_nonzero(~(table.f >= 0) | ~np.isfinite(table.f))
    measured = measured_at_points(run, config.evals.points, config.train.seed)
    measured += [Measured("negative_density", float(wrong), f"of {table.f.size} values"), _moments(table, beside)]
    checks = verify(measured, limits=_limits(config))
    return BreakageResult(table, beside, relative_l2_of_sizes(table, beside.reference), checks)


def _moments(table: SizeTable, beside: Yardstick) -> Measured:
    errors = {
        (order, t): abs(table.moments[row, order] / beside.moments(order, t) - 1)
        for row, t in enumerate(table.times.tolist())
        for order in ORDERS
    }
    (order, t), worst = max(errors.items(), key=lambda item: item[1] if np.isfinite(item[1]) else np.inf)
    return Measured("moments", float(worst), f"M{order} at t = {t:g}, against {beside.reference_name}")


class WatchedSizes:
    """The checks of a network while it trains, at a few points.

    Args:
        config: of the run.
        run: the network and the terms.
    """

    def __init__(self, config: Config, run: BreakageProblem) -> None:
        self._config, self._run = config, run

    def __call__(self) -> list[Check]:
        """The verdicts now."""
        return verify(
            measured_at_points(self._run, WATCHED_POINTS, self._config.train.seed), limits=_limits(self._config)
        )

    def row(self) -> dict[str, float]:
        """The values by name, for a row of the history; without those that are not finite."""
        return {f"physics/{item.name}": item.value for item in self() if np.isfinite(item.value)}


@dataclass
class BreakageRun:
    """One run, ready to be trained: what the driver asks for."""

    config: Config
    sizes: BreakageProblem
    trainer: Trainer
    folder: RunFolder
    shown: Any
    command: str
    watch: Stopwatch
    trackers: list[Tracker]
    physics: WatchedSizes

    @property
    def problem(self) -> Problem:
        """What is minimised."""
        return self.sizes.problem

    def write_given(self) -> None:
        """Nothing is chosen before the training."""

    def numbers(self) -> dict[str, float]:
        """What the history says beside the losses: numbers that are found, the size of a pool."""
        kinetics, pool = self.sizes.model.kinetics, self.sizes.balance.pool
        found = {name: float(getattr(kinetics, name)) for name in self.sizes.model.learned}
        return found | ({} if pool is None else {"pool_points": float(len(pool.points))})

    def finish(self) -> dict[str, Any]:
        """Checks, files and the report; the contents of metrics.json."""
        result, rows = judged(self.config, self.sizes), list(read_rows(self.folder.history))
        stored = stored_sizes(self.sizes, result)
        write_sizes(self.folder.fields, stored, result.yardstick.reference_name)
        metrics = metrics_of(self.config, self.sizes, self.trainer, result, self.command, rows)
        metrics["wall_s"] = self.watch.seconds
        write_text(self.folder.metrics, json.dumps(metrics, indent=2) + "\n")
        write_report(self.folder.path)
        return metrics


def breakage_run(config: Config, folder: RunFolder, shown: Any, command: str, watch: Stopwatch) -> BreakageRun:
    """A run of a configuration whose problem is of kind breakage.

    Args:
        config: everything that decides it.
        folder: of the run.
        shown: what the driver shows of it.
        command: what is recorded as the command.
        watch: of the job.
    """
    sizes = breakage_problem(config)
    trainer = make_trainer(config, sizes.problem, sizes.weights, breakage_guard(config, sizes))
    physics, trackers = WatchedSizes(config, sizes), make_trackers(config.train.track)
    return BreakageRun(config, sizes, trainer, folder, shown, command, watch, trackers, physics)


def verify_breakage(config: Config, state: dict[str, Any], groups: set[str], say: Callable[[str], None]) -> list[Check]:
    """The checks of a run made anew, from a checkpoint.

    Args:
        config: of the run.
        state: what the checkpoint holds.
        groups: of checks of flows; a breakage run has none of them.
        say: takes a word on what is being done.

    Raises:
        PinnxError: a group was named.
    """
    if groups:
        raise PinnxError(f"verify: expected no choice of checks for a breakage run, got {', '.join(sorted(groups))}")
    sizes = breakage_problem(config)
    trainer = make_trainer(config, sizes.problem, sizes.weights)
    trainer.load_state_dict({name: part for name, part in state.items() if name not in ("stopwatch", "guard")})
    say(f"checking the model of step {trainer.step} at {config.evals.points} points")
    return judged(config, sizes).checks


def metrics_of(
    config: Config,
    run: BreakageProblem,
    trainer: Trainer,
    result: BreakageResult,
    command: str,
    rows: list[dict[str, float]],
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
            f"M{order}": {named_time(t): float(result.table.moments[row, order]) for row, t in enumerate(run.times)}
            for order in ORDERS
        },
        "diameters": _diameters(run, result.table),
        "wall_s": 0.0,
        "train_s": trainer.train_s,
        "steps": trainer.step,
        "steps_per_s": trainer.step / trainer.train_s,
        "epochs_per_hour": 3600.0 * trainer.step / trainer.train_s,
        "peak_memory_gib": peak_memory_gib(),
        "convergence_rate": Convergence(iter(rows), window=None).rate,
        "seed": config.seed,
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
        "error_estimates": {},
        "free_sides": [],
        "versions": versions(run.model.frequencies.device),
    }


def _diameters(run: BreakageProblem, table: SizeTable) -> dict[str, dict[str, float | None]]:
    """d10, d50, d90, d32 -> time -> of the network; None below the smallest volume."""
    found = diameters(as_distributions(table, run.model.kinetics, run.case.delta_at))
    return {
        name: {named_time(t): float(d) if np.isfinite(d) else None for t, d in zip(run.times, of, strict=True)}
        for name, of in found.items()
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
    """What fields.h5 holds, by the names of the file's head."""
    table, beside = result.table, result.yardstick
    times = table.times.tolist()
    t, v, residual = residual_map(run)
    stored = {
        "v": table.v,
        "t": table.times,
        "f": table.f,
        "delta": table.delta,
        "passing": as_distributions(table, run.model.kinetics, run.case.delta_at).below(table.v),
        "reference/f": np.array([beside.reference(table.v, time) for time in times]),
        "reference/moments": np.array([[beside.moments(order, time) for order in ORDERS] for time in times]),
        "curve/t": t,
        "curve/moments": size_table(run.model, t).moments,
        "residual/v": v,
        "residual/breakage": residual,
    }
    measured = {} if run.measured is None else run.measured._asdict()
    return stored | {f"measured/{name}": column for name, column in measured.items()}


def write_sizes(path: Path, stored: Mapping[str, Array], reference_name: str) -> None:
    """Writes fields.h5, whole or not at all."""
    content = io.BytesIO()  # HDF5 crashes the process where a disk is full; a plain write says so
    with h5py.File(content, "w") as file:
        file.attrs.update(names="f", kind="breakage", reference=reference_name)
        for name, array in stored.items():
            file[name] = array
    with atomic_write(path) as partial:
        partial.write_bytes(content.getbuffer())


def residual_map(run: BreakageProblem) -> tuple[Array, Array, Array]:
    """Times [r], volumes [s], and the relative residual there, [r, s], by a quadrature that no training uses."""
    case = run.case
    tau = np.linspace(0.0, np.log1p(case.end / case.time), MAP_TIMES + 1)[1:]
    largest = case.sizes[1] if case.delta_at is None else case.delta_at * (1 - 1e-6)
    t, v = np.expm1(tau) * case.time, np.geomspace(case.sizes[0], largest, MAP_VOLUMES)
    with torch.no_grad():
        found = pointwise_balance(run.model, np.repeat(t, len(v)), np.tile(v, len(t))).residual
    return t, v, found.double().cpu().numpy().reshape(len(t), len(v))
