"""The command ``pinnx``.

    pinnx reconstruct PRESET|CONFIG.yaml --out DIR [--data FILE] [key=value ...]
    pinnx reconstruct --resume DIR
    pinnx demo [--out DIR] [key=value ...]
    pinnx doctor

Exit status: 0 done, 1 the doctor found something missing, 2 bad input (one line on standard error), 130 interrupted.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pinnx import __version__
from pinnx.errors import PinnxError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    # Overrides may stand anywhere, also behind options, which argparse would not take for positional arguments.
    options, rest = parser.parse_known_args(given)
    unknown = [item for item in rest if item.startswith("-") or not hasattr(options, "overrides")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        options.overrides = [*options.overrides, *rest]
    options.command_line = shlex.join(["pinnx", *given])
    console = Console(quiet=getattr(options, "quiet", False))
    try:
        return int(options.run(options, console))
    except PinnxError as error:
        from pinnx.reconstruct.job import Interrupted

        interrupted = isinstance(error, Interrupted)
        print(f"pinnx: {error}" if interrupted else f"pinnx: error: {error}", file=sys.stderr)
        return 130 if interrupted else 2
    except KeyboardInterrupt:
        print("pinnx: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pinnx", description="Flow fields from a handful of sensors, with physics-informed networks."
    )
    parser.add_argument("--version", action="version", version=f"pinnx {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    job = commands.add_parser(
        "reconstruct",
        help="reconstruct velocity and pressure from measurements",
        description="Reconstructs velocity and pressure everywhere from a few velocity sensors.",
        epilog="Overrides are dotted keys with YAML values, such as train.steps=5000 or "
        "'sensors.positions=[[0.2,0.3],[0.5,0.5]]'; docs/configuration.md lists every key.",
    )
    job.add_argument("config", nargs="?", help="a preset (cavity, wake, demo) or a YAML file")
    job.add_argument("overrides", nargs="*", metavar="key=value", help="settings that replace those of the file")
    job.add_argument("--data", metavar="FILE", help="file of snapshots (.mat .npz .h5), or a .csv of measurements")
    job.add_argument("--out", metavar="DIR", help="folder for the run; must not hold one yet")
    job.add_argument("--resume", metavar="DIR", help="go on with an interrupted run, instead")
    job.add_argument("--quiet", action="store_true", help="show no progress")
    job.set_defaults(run=_reconstruct)

    demo = commands.add_parser(
        "demo",
        help="the whole job on a made flow, without any file",
        description="Makes a flow with a small built-in solver, picks 12 sensors, and reconstructs it.",
    )
    demo.add_argument("overrides", nargs="*", metavar="key=value", help="settings, as for reconstruct")
    demo.add_argument("--out", metavar="DIR", default="demo_run", help="folder for the run (default: demo_run)")
    demo.add_argument("--quiet", action="store_true", help="show no progress")
    demo.set_defaults(run=_demo)

    doctor = commands.add_parser(
        "doctor", help="what is installed and what was found, with remedies", description="Looks at the installation."
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _reconstruct(options: argparse.Namespace, console: Console) -> int:
    from pinnx.reconstruct import reconstruct, resume

    if options.resume is not None:
        extra = [name for name in ("config", "data", "out") if getattr(options, name) is not None]
        if extra or options.overrides:
            raise PinnxError(
                f"--resume: expected nothing else, a run goes on as it began; got {', '.join(extra) or 'overrides'}"
            )
        return _done(resume(options.resume, console=console, command=options.command_line), options.resume, console)
    if options.config is None or options.out is None:
        missing = "a preset or a configuration" if options.config is None else "--out DIR"
        raise PinnxError(f"reconstruct: expected {missing}, got none (see pinnx reconstruct --help)")
    from pinnx.config import load_config

    overrides: list[str | tuple[str, Any]] = list(options.overrides)
    if options.data is not None:
        key = "data.measurements" if Path(options.data).suffix.lower() == ".csv" else "data.path"
        overrides.append((key, str(Path(options.data).resolve())))
    config = load_config(options.config, overrides)
    metrics = reconstruct(config, options.out, console=console, command=options.command_line)
    return _done(metrics, options.out, console)


def _demo(options: argparse.Namespace, console: Console) -> int:
    from pinnx.config import load_config
    from pinnx.reconstruct import reconstruct

    config = load_config("demo", options.overrides)
    metrics = reconstruct(config, options.out, console=console, command=options.command_line)
    return _done(metrics, options.out, console)


def _done(metrics: dict[str, Any], out: str, console: Console) -> int:
    errors = metrics["relative_l2"]
    if errors is not None:
        shown = "  ".join(f"{name} {value:.4f}" for name, value in errors.items())
        console.print(f"relative L2 error: {shown}", highlight=False)
    failed = [item["name"] for item in metrics["checks"] if not item["passed"]]
    console.print(
        f"training {metrics['train_s']:.0f} s, {metrics['steps_per_s']:.0f} steps/s; "
        + (f"checks not met: {', '.join(failed)}" if failed else "all checks met"),
        highlight=False,
    )
    console.print(f"report: {Path(out) / 'report.html'}", highlight=False, soft_wrap=True)
    return 0


def _doctor(options: argparse.Namespace, console: Console) -> int:
    from pinnx.doctor import findings

    healthy = True
    for item in findings():
        healthy &= item.fine
        console.print(f"{'ok     ' if item.fine else 'MISSING'}  {item.name}: {item.found}", highlight=False)
        if item.remedy:
            console.print(f"         -> {item.remedy}", highlight=False)
    return 0 if healthy else 1
