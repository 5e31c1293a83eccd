"""``pinnx reconstruct``, ``demo`` and ``resume``: a run, from its settings to its report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pinnx.cli.shared import console_of, load_jobs
from pinnx.errors import PinnxError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["add_showing", "add_to", "run_job"]


def add_to(commands: Any) -> None:
    """Adds the three commands."""
    job = commands.add_parser(
        "reconstruct",
        help="reconstruct velocity and pressure from measurements",
        description="Reconstructs velocity and pressure everywhere from a few velocity sensors.",
        epilog="Overrides are dotted keys with YAML values, such as train.steps=5000 or "
        "'sensors.positions=[[0.2,0.3],[0.5,0.5]]'; docs/configuration.md lists every key.",
    )
    job.add_argument("config", nargs="?", help="a preset, such as cavity, or a YAML file")
    job.add_argument("overrides", nargs="*", metavar="key=value", help="settings that replace those of the file")
    job.add_argument(
        "--data", metavar="FILE", help="file of snapshots (.mat .npz .nc .h5), or of measurements (.csv .txt .dat .vec)"
    )
    job.add_argument("--sensors", metavar="FILE", help="positions of the sensors (the .csv that pinnx sensors writes)")
    job.add_argument("--out", metavar="DIR", help="new folder for the files of the run")
    job.add_argument("--resume", metavar="DIR", help="the same as pinnx resume DIR")
    add_showing(job)
    job.set_defaults(run=_reconstruct, on_ranks=True, word="config")

    demo = commands.add_parser(
        "demo",
        help="the whole job on a synthetic flow; no file is needed",
        description="Computes a flow with a built-in solver, chooses 12 sensors, and reconstructs the flow from them.",
    )
    demo.add_argument("overrides", nargs="*", metavar="key=value", help="settings, as for reconstruct")
    demo.add_argument("--out", metavar="DIR", default="demo_run", help="folder for the run (default: demo_run)")
    add_showing(demo)
    demo.set_defaults(run=_demo, on_ranks=True, word=None)

    again = commands.add_parser(
        "resume",
        help="continue a run that was interrupted",
        description="Continues a run from its newest whole checkpoint, with the settings that it has.",
    )
    again.add_argument("folder", nargs="?", metavar="DIR", help="folder of the run")
    again.add_argument(
        "--step", type=int, metavar="N", help="continue from the checkpoint of this step; later ones are removed"
    )
    add_showing(again)
    again.set_defaults(run=_resume, on_ranks=True, word="folder", overrides=[])


def add_showing(command: argparse.ArgumentParser) -> None:
    """What is shown of a training."""
    how = command.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="show no progress")
    how.add_argument("--live", action="store_true", help="show curves of the losses and the checks, on a terminal")
    command.add_argument(
        "--profile", action="store_true", help="record a few steps: profile.txt and profile.json in the run's folder"
    )


def _shown(options: argparse.Namespace) -> dict[str, Any]:
    """What a job is given of these options."""
    return {
        "console": console_of(options),
        "live": options.live,
        "profile": options.profile,
        "command": options.command_line,
    }


def _reconstruct(options: argparse.Namespace) -> int:
    job = load_jobs()
    from pinnx.config import load_config

    if options.resume is not None:
        extra = [name for name in ("config", "data", "sensors", "out") if getattr(options, name) is not None]
        if extra or options.overrides:
            raise PinnxError(
                "--resume: expected no other options, as a resumed run keeps its settings; got "
                + (", ".join(extra) or "overrides")
            )
        return _continued(job, options.resume, None, options)
    if options.config is None or options.out is None:
        missing = "a preset or a configuration" if options.config is None else "--out DIR"
        raise PinnxError(f"reconstruct: expected {missing}, got none (see pinnx reconstruct --help)")
    overrides: list[str | tuple[str, Any]] = list(options.overrides)
    if options.data is not None:
        from pinnx.data.table_fields import TABLES

        table = Path(options.data).suffix.lower() in TABLES
        key = "data.measurements.path" if table else "data.path"
        overrides.append((key, options.data))
    if options.sensors is not None:
        overrides += _placed(options.sensors)
    return run_job(job, load_config(options.config, overrides), options)


def _resume(options: argparse.Namespace) -> int:
    if options.folder is None or options.overrides:
        got = f"the setting {options.overrides[0]}" if options.overrides else "none"
        raise PinnxError(f"resume: expected the folder of a run and no setting, as a run keeps its own; got {got}")
    return _continued(load_jobs(), options.folder, options.step, options)


def _continued(job: ModuleType, folder: str, step: int | None, options: argparse.Namespace) -> int:
    shown = _shown(options)
    return _done(job.resume(folder, step=step, **shown), folder, shown["console"])


def _placed(path: str) -> list[str | tuple[str, Any]]:
    """The settings that measure at the positions of a file, in place of those that choose."""
    from pinnx.sensors import SensorSet

    places = SensorSet.read_csv(path).positions.tolist()
    chosen = {"method": "positions", "positions": places, "modes": None, "min_distance": None, "margin": None}
    return [(f"sensors.{key}", value) for key, value in chosen.items()]


def _demo(options: argparse.Namespace) -> int:
    job = load_jobs()
    from pinnx.config import load_config

    return run_job(job, load_config("demo", options.overrides), options)


def run_job(job: ModuleType, config: Any, options: argparse.Namespace) -> int:
    """Trains and reports; the exit status."""
    shown = _shown(options)
    return _done(job.reconstruct(config, options.out, **shown), options.out, shown["console"])


def _beside_norms(metrics: dict[str, Any]) -> Iterator[str]:
    """The worst place of the error, the forces on bodies, the estimates of the error."""
    beside = metrics["beside_norms"]
    if beside is not None:
        place = ", ".join(f"{x:.4g}" for x in beside["worst_at"])
        yield f"largest error of the velocity: {beside['largest']:.3g} at ({place})"
    for body in metrics["forces"]:
        box = f", {body['drag_of_box']:.3g} from a box around it" if "drag_of_box" in body else ""
        yield f"drag of {body['name']}: {body['drag']:.3g}{box}; lift: {body['lift']:.3g}"
    estimates = "  ".join(f"{name} {value:.3g}" for name, value in metrics["error_estimates"].items())
    free = metrics["free_sides"]
    unseen = f"; they do not see errors at sides whose velocity is not given: {', '.join(free)}" if free else ""
    if estimates:
        yield f"estimates of the error without a reference, no bounds: {estimates}{unseen}"


def _found_numbers(metrics: dict[str, Any]) -> Iterator[str]:
    """Each number that the training found, with the estimate and interval that it has, or why it has none."""
    for name, item in metrics["found"].items():
        shown = {key: f"{value:.3g}" for key, value in (item["estimate"] or {}).items()}
        beside = "estimate {value}, interval {low} to {high}".format(**shown) if shown else item["note"]
        yield f"{name} found: {item['value']:.4g} from the guess {item['guess']:.4g}; {beside}"


def _done(metrics: dict[str, Any], out: str, console: Console) -> int:
    errors, worst = metrics["relative_l2"], metrics["worst_component"]
    if errors is not None:
        listed = "  ".join(f"{name} {value:.4f}" for name, value in errors.items())
        beside = f"; worst component: {worst['name']} {worst['relative_l2']:.4f}" if worst else ""
        console.print(f"relative L2 error: {listed}{beside}", soft_wrap=True)
    for line in (*_found_numbers(metrics), *_beside_norms(metrics)):
        console.print(line, soft_wrap=True)
    if metrics.get("solver"):
        console.print(metrics["solver_note"], soft_wrap=True)
    console.print(
        f"training {metrics['train_s']:.0f} s, {metrics['steps_per_s']:.0f} steps/s; {_verdicts(metrics)}",
        soft_wrap=True,
    )
    for line in _unchecked(metrics):
        console.print(line, soft_wrap=True)
    console.print(f"report: {Path(out) / 'report.html'}", soft_wrap=True)
    if metrics["failure"]:
        print(f"pinnx: {metrics['failure']}", file=sys.stderr)
    return 1 if metrics["failure"] else 0


def _unchecked(metrics: dict[str, Any]) -> Iterator[str]:
    """Why each check could not be made: nothing else of a run may show what it was for."""
    for item in metrics["checks"]:
        if item["status"] == "not checked" and item["note"]:
            yield f"{item['name']} not checked: {item['note']}"


def _verdicts(metrics: dict[str, Any]) -> str:
    """Checks that failed, those with a warning, and those that could not be made, by name."""
    parts = []
    for status, words in (("failed", "checks failed"), ("warning", "with a warning"), ("not checked", "not checked")):
        names = [
            f"{item['name']} ({item['part']})" if "part" in item else item["name"]
            for item in metrics["checks"]
            if item["status"] == status
        ]
        parts += [f"{words}: {', '.join(names)}"] if names else []
    return "; ".join(parts) or "all checks passed"
