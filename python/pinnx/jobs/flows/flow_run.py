"""The run of a flow: what the driver of runs (`reconstruction`) asks of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from pinnx.config import Config
from pinnx.evals.checks import Check
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_model import described
from pinnx.jobs.flows.flow_problem import FlowProblem, flow_problem
from pinnx.jobs.flows.warm_start import fit_to_start
from pinnx.jobs.judging.beside_norms import beside_norms, outlying_sensors
from pinnx.jobs.judging.ensemble import Ensemble, check_members, sensor_parts, train_members
from pinnx.jobs.judging.error_estimates import error_estimates, free_sides
from pinnx.jobs.judging.held_out import held_out_sensors
from pinnx.jobs.judging.metrics import run_metrics
from pinnx.jobs.judging.noise import at_the_noise, noise_facts, noise_lines
from pinnx.jobs.judging.recorded_baseline import require_acknowledged
from pinnx.jobs.judging.run_guard import flow_guard, watched_physics
from pinnx.jobs.judging.wall_forces import body_forces, walls_and_shear
from pinnx.jobs.judging.yellow_lines import STOPPED, usual_performance, yellow_lines
from pinnx.jobs.outputs import evaluate_output, export_fields, require_packages, write_fields
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.report.formatting import plural
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import history_columns
from pinnx.runs.progress import ProgressBar, line_by_line
from pinnx.train.ranks import OneProcess
from pinnx.train.trainer import Trainer

__all__ = ["FlowRun", "flow_run"]


@dataclass(frozen=True, eq=False)
class FlowRun:
    """A flow that is ready to be trained."""

    stated: FlowProblem
    trainer: Trainer
    physics: Callable[[], list[Check]]
    console: Console | None

    def begin(self) -> None:
        """What comes before the first step: the fit to the field of a classical solver, where there is one."""
        if self.stated.case.start is not None:
            line_by_line(self.console)(fit_to_start(self.stated))

    def write_given(self, folder: RunFolder) -> None:
        """What is known before the training: the sensors."""
        self.stated.case.sensors.write_csv(folder.sensors)

    def judged(self, folder: RunFolder, command: str) -> dict[str, Any]:
        """Evaluates and checks what was trained, and writes its fields; the contents of metrics.json."""
        from pinnx.jobs.judging.second_opinion import (
            second_opinion,  # SciPy's sparse solvers: not while the training starts
        )

        flow, say = self.stated, line_by_line(self.console)
        config, case = flow.config, flow.case
        models = [] if config.evals.members is None else train_members(config, case, folder.members, self.console)
        times = "" if case.steady else f" at {plural(case.output.num_frames, 'time')}"
        with ProgressBar(self.console, transient=True) as bar:
            bar.status(f"evaluating the fields{times} and the checks")
            output = evaluate_output(
                case.output, flow.problem, lambda *done: bar.advance("evaluating the fields", *done)
            )
            ensemble = Ensemble.of(models, sensor_parts(config, case), case, output.fields) if models else None
            if ensemble is not None:
                say(str(ensemble))
            bar.status("comparing with the classical solver, where it applies")
            opinion = second_opinion(config, case, flow.model, output.fields, flow.nu)
            write_fields(folder.fields, flow, output, opinion, ensemble)
            export_fields(folder.fields, config.evals.formats)
            history = history_columns(folder.history)
        left_out = held_out_sensors(config, case, self.console, flow.model, flow.equations.found())
        metrics = run_metrics(flow, self.trainer, output, command, history, left_out, opinion)
        metrics |= {} if ensemble is None else {"ensemble": ensemble.facts}
        metrics["beside_norms"] = beside_norms(case, output.fields)
        forced = flow.equations.scaled_forcing is not None
        metrics["forces"] = body_forces(case, flow.model, flow.nu, forced=forced)
        metrics["walls"] = walls_and_shear(case, flow.model, flow.nu, config.train.corner_radius or 0.0)
        metrics["error_estimates"] = error_estimates(flow, left_out, ensemble)
        metrics["free_sides"] = free_sides(case)
        metrics["noise"] = noise_facts(config, self.trainer)
        warned = yellow_lines(metrics, usual_performance(config, metrics["versions"])) + noise_lines(metrics["noise"])
        warned += outlying_sensors(case, flow.model)
        if at_the_noise(metrics["noise"]):
            metrics["notes"] = [note for note in metrics["notes"] if STOPPED not in note]
        metrics["notes"] += warned
        for line in warned:
            say(f"note: {line}")
        return metrics


def flow_run(config: Config, console: Console | None, ranks: OneProcess) -> FlowRun:
    """A run of a configuration whose problem is of kind flow; the ranks train it together.

    Raises:
        PinnxError: what is wrong with the data or the settings.
    """
    say = line_by_line(console)
    case = load_case(config, say, ranks)
    case = replace(case, notes=(*case.notes, *require_acknowledged(config, case.nu)))
    for note in case.notes:
        say(f"note: {note}")
    check_members(config, case)
    require_packages(config.evals.formats)
    flow = flow_problem(config, case)
    say(f"network: {described(config.model, flow.model)}")
    trainer = make_trainer(config, flow.problem, flow.weights, flow_guard(flow, ranks), ranks)
    return FlowRun(flow, trainer, watched_physics(flow), console)
