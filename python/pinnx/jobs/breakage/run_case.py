"""One breakage problem from Python, without a folder: train, judge, and ask for sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.config import Config, load_config
from pinnx.data.size_densities import SizeDensities
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check
from pinnx.evals.size_table import ORDERS
from pinnx.jobs.breakage.breakage_results import found_numbers, judged, stored_sizes
from pinnx.jobs.breakage.breakage_run import breakage_run
from pinnx.physics.breakage_model import BreakageModel
from pinnx.report.breakage_pictures import SizeFields, draw_moments, draw_passing, draw_residual_map, draw_sizes
from pinnx.report.curves import draw_loss
from pinnx.train.hooks import Hook, LoggedStep

__all__ = ["CaseResult", "run_case"]

Array = NDArray[np.float64]


class _History(Hook):
    """Keeps the logged rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_log(self, logged: LoggedStep) -> None:
        self.rows.append(logged.as_row())

    def on_return(self, step: int) -> None:
        self.rows = [row for row in self.rows if row["step"] <= step]


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What a run has found.

    Args:
        config: every setting with the value that was used.
        model: the network, with the numbers that were found as ``model.kinetics``.
        history: column -> its value at each logged step.
        errors: time -> relative L2 of v f over ln v, against the exact solution, else a classical solver.
        moments: name -> [T] at the reported times; "t" are these.
        timings: seconds and steps in a second.
        checks: the verdicts.
        found: name of a learned number -> its value, guess, and the estimate of a classical fit with its interval.
        solvers: name of a classical solver -> time -> its error.
        sizes: what the pictures show.
    """

    config: Config
    model: BreakageModel
    history: Mapping[str, Array]
    errors: Mapping[float, float]
    moments: Mapping[str, Array]
    timings: Mapping[str, float]
    checks: list[Check]
    found: Mapping[str, Mapping[str, Any]]
    solvers: Mapping[str, Mapping[float, float]]
    sizes: SizeFields = field(repr=False)

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Figures of matplotlib: sizes, passing, moments, residual, loss."""
        return {
            "sizes": draw_sizes(self.sizes).figure,
            "passing": draw_passing(self.sizes).figure,
            "moments": draw_moments(self.sizes).figure,
            "residual": draw_residual_map(self.sizes).figure,
            "loss": draw_loss(self.history).figure,
        }

    def predict(self, v: ArrayLike, t: ArrayLike) -> Array:
        """The continuous part of f at volumes and times that broadcast, in the user's units."""
        return self.model.density(v, t)

    def delta_amplitude(self, t: ArrayLike) -> Array:
        """How many particles of the first size are left, of the shape of t; zero without a delta."""
        return self.model.delta_amplitude(t)


def run_case(
    case: str,
    adam_epochs: int = 3000,
    *,
    lbfgs_epochs: int = 0,
    optimizer: str = "soap",
    seed: int = 0,
    loss: str = "log",
    refine: bool = False,
    measured: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    learn: Sequence[str] = (),
    guess: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
) -> CaseResult:
    """Solves a breakage problem by a network; a forward solve unless something was measured.

    Args:
        case: case1, case2, case3, case4, or a YAML file whose problem is of kind breakage.
        adam_epochs: steps of the first optimiser.
        lbfgs_epochs: steps of L-BFGS behind it, in float64.
        optimizer: the first one: soap, which is Adam in the eigenbasis of a preconditioner, or adam.
        seed: of the network and the points.
        loss: log, adaptive_huber or adaptive_epsilon.
        refine: points where the residual is large are added (`residual_adaptive_refinement`).
        measured: times, volumes and number densities, each [k], that the network is to match too.
        learn: which of s0 and a are found from ``measured``.
        guess: their first values; those of the case without.
        overrides: any other setting, as on the command line.

    Raises:
        PinnxError: a setting that is wrong; its message is one line.
    """
    steps = adam_epochs + lbfgs_epochs
    given: list[Any] = [("seed", seed), ("train.optimizer", optimizer), ("train.steps", steps), ("breakage.loss", loss)]
    if lbfgs_epochs:
        phase = {"start": adam_epochs / steps, "optimizer": "lbfgs"}
        given.append(("train.phases", [phase]))
    if refine:
        given.append(("train.points.refine.method", "rar"))
    if measured is not None:
        given.append(("breakage.measurements", "arrays"))
    if learn:
        given.append(("breakage.learn", list(learn)))
    given += [(f"breakage.{name}", value) for name, value in (guess or {}).items()]
    config = load_config(case, [*given, *overrides])
    if config.problem.kind != "breakage":
        raise PinnxError(f"case: expected case1, case2, case3, case4 or a file of kind breakage, got {case}")
    arrays = None if measured is None else SizeDensities(*(np.asarray(item, dtype=np.float64) for item in measured))
    return _trained(config, arrays)


def _trained(config: Config, measured: SizeDensities | None) -> CaseResult:
    ready, history = breakage_run(config, measured), _History()
    run, trainer = ready.stated, ready.trainer
    trainer.hooks.append(history)
    trainer.run()
    result = judged(run)
    names = dict.fromkeys(name for row in history.rows for name in row)
    return CaseResult(
        config,
        run.model,
        {name: np.array([row.get(name, np.nan) for row in history.rows]) for name in names},
        result.errors,
        {"t": result.table.times, **{f"M{order}": result.table.moment(order) for order in ORDERS}},
        {"train_s": trainer.train_s, "steps_per_s": trainer.step / trainer.train_s},
        result.checks,
        found_numbers(run),
        result.yardstick.solvers,
        SizeFields.read(stored_sizes(run, result), result.yardstick.reference_name),
    )
