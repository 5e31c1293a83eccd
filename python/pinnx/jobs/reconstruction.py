"""The job from end to end: data, sensors, training, checks, files, report.

Everything that can be wrong with the input is found before the folder of the run is made.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from pinnx.config import Config, dump_config, load_config
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs.case import Case
from pinnx.jobs.flow_problem import build_problem, term_weights
from pinnx.jobs.load_case import load_case
from pinnx.jobs.metrics import boundary_error_max, run_metrics
from pinnx.jobs.outputs import evaluate_output, write_fields
from pinnx.report import write_report
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import append_row, rewind
from pinnx.runs.progress import TrainingProgress
from pinnx.train.checkpoint import load_checkpoint, save_checkpoint
from pinnx.train.optimizers import cosine_schedule, make_optimizer
from pinnx.train.problem import Problem
from pinnx.train.trainer import LoggedStep, StoppedBetweenSteps, Trainer

__all__ = ["reconstruct", "resume"]


def reconstruct(
    config: Config, out: str | Path, *, console: Console | None = None, command: str = "pinnx.reconstruct"
) -> dict[str, Any]:
    """Reconstructs a flow and writes the folder of the run.

    Args:
        config: everything that decides the run.
        out: the folder, which must not hold a run yet.
        console: where progress is shown; None: nowhere.
        command: what is recorded as the command.

    Returns:
        The contents of metrics.json.

    Raises:
        PinnxError: bad input; nothing has been written then.
        Interrupted: Ctrl-C, after the folder was made; ``resume`` continues the run.
    """
    started = time.perf_counter()
    config = _with_absolute_paths(config)
    folder = RunFolder(out)
    folder.require_free()
    case = load_case(config, progress=_say(console))
    problem = build_problem(config, case)
    trainer = _trainer(config, problem, folder)
    # Numbers that overflow, and checks that would find nothing to check, are bad input too.
    with torch.no_grad():
        trainer.loss()
    if case.conditions:
        boundary_error_max(problem)
    folder.create()
    write_text(folder.config, dump_config(config))
    case.sensors.write_csv(folder.sensors)
    return _train_and_finish(config, case, trainer, folder, console, command, started)


def resume(out: str | Path, *, console: Console | None = None, command: str = "pinnx.resume") -> dict[str, Any]:
    """Continues a run that was interrupted, to the same result, bitwise on the CPU.

    From the last checkpoint; a run that was killed before its first one starts again, and says so.

    Args:
        out: the folder of the run.
        console: where progress is shown; None: nowhere.
        command: what is recorded as the command.

    Raises:
        PinnxError: no run that could be resumed: no configuration, a damaged checkpoint, or a finished run.
        Interrupted: Ctrl-C.
    """
    started = time.perf_counter()
    folder = RunFolder(out)
    if not folder.config.is_file():
        raise PinnxError(f"{folder.path}: expected the folder of an interrupted run, found no config.yaml in it")
    if folder.report.exists():
        raise PinnxError(f"{folder.path}: expected an interrupted run, got one that has ended")
    config = load_config(str(folder.config), [])
    state = load_checkpoint(folder.checkpoint) if folder.checkpoint.exists() else None
    case = load_case(config, progress=_say(console))
    trainer = _trainer(config, build_problem(config, case), folder)
    if state is None:
        _say(console)("no checkpoint had been saved: training starts again")
    else:
        trainer.load_state_dict(state)
    rewind(folder.history, trainer.step)
    case.sensors.write_csv(folder.sensors)
    return _train_and_finish(config, case, trainer, folder, console, command, started)


def _say(console: Console | None) -> Any:
    if console is None:
        return lambda text: None
    return lambda text: console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _with_absolute_paths(config: Config) -> Config:
    """The same data from any working directory, so that a run can be resumed from another one."""
    data = config.data
    given = {name: getattr(data, name) for name in ("path", "measurements")}
    absolute = {name: str(Path(path).expanduser().resolve()) for name, path in given.items() if path is not None}
    return config.model_copy(update={"data": data.model_copy(update=absolute)})


def _trainer(config: Config, problem: Problem, folder: RunFolder) -> Trainer:
    train = config.train
    parameters = [*problem.network.parameters(), *problem.equations.parameters()]
    optimizer = make_optimizer(
        train.optimizer,
        parameters,
        lr=train.lr,
        betas=train.betas,
        precondition_frequency=train.precondition_frequency,
    )
    return Trainer(
        problem,
        optimizer,
        cosine_schedule(optimizer, train.steps, train.final_lr),
        weights=term_weights(config, problem.term_names),
        steps=train.steps,
        log_every=train.log_every,
        checkpoint_every=train.checkpoint_every,
        on_checkpoint=lambda state: save_checkpoint(folder.checkpoint, state),
        cuda_graph=train.cuda_graph,
    )


def _train_and_finish(
    config: Config,
    case: Case,
    trainer: Trainer,
    folder: RunFolder,
    console: Console | None,
    command: str,
    started: float,
) -> dict[str, Any]:
    try:
        _train(trainer, folder, console)
        return _finish(config, case, trainer, folder, console, command, started)
    except StoppedBetweenSteps:
        save_checkpoint(folder.checkpoint, trainer.state_dict())
        done = f"interrupted after step {trainer.step} of {trainer.steps}; saved"
        raise Interrupted(f"{done}. Continue with: {folder.resume_command}") from None
    except KeyboardInterrupt:  # at once, maybe inside a step: what the last checkpoint holds is whole
        raise Interrupted(f"interrupted. Continue from the last checkpoint with: {folder.resume_command}") from None


def _train(trainer: Trainer, folder: RunFolder, console: Console | None) -> None:
    with TrainingProgress(trainer.steps, console) as progress:

        def on_log(logged: LoggedStep) -> None:
            append_row(folder.history, logged.as_row())
            progress.losses(logged.step, logged.total, logged.terms, logged.steps_per_s)

        trainer.on_log = on_log
        trainer.on_step = progress.step
        trainer.run()
    save_checkpoint(folder.checkpoint, trainer.state_dict())


def _finish(
    config: Config,
    case: Case,
    trainer: Trainer,
    folder: RunFolder,
    console: Console | None,
    command: str,
    started: float,
) -> dict[str, Any]:
    _say(console)("evaluating the fields and the checks")
    problem = trainer.problem
    flow = evaluate_output(case, problem.network, problem.equations)
    nu = float(problem.equations.nu.detach()) if config.flow.learn_nu else case.nu
    write_fields(folder.fields, case, flow, problem.equations.residual_names, nu)
    metrics = run_metrics(config, case, trainer, flow, nu, command)
    metrics["wall_s"] = time.perf_counter() - started
    write_text(folder.metrics, json.dumps(metrics, indent=2) + "\n")
    write_report(folder.path)
    return metrics
