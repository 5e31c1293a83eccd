"""The command ``pinnx``.

    pinnx reconstruct PRESET|CONFIG.yaml --out DIR [--data FILE] [key=value ...]
    pinnx resume DIR [--step N]
    pinnx demo [--out DIR] [key=value ...]
    pinnx reference PRESET|CONFIG.yaml --out FILE.npz [key=value ...]
    pinnx verify RUN|CHECKPOINT|DATA [--conservation] [--boundary] [--pde-residual] [--verbose] [--json] [key=value ...]
    pinnx sensors DATA [--count K] [--plot FILE.png] [--out FILE.csv] [key=value ...]
    pinnx doctor

Exit status: 0 done, 1 the doctor found something missing or a check did not pass, 2 bad input (one line on standard
error), 130 interrupted (143 by SIGTERM).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from pinnx import __version__
from pinnx.errors import Interrupted, PinnxError
from pinnx.threads import wait_passively

if TYPE_CHECKING:
    from rich.console import Console

    from pinnx.config import Config

# Endings of tables of measurements.
TABLES = (".csv", ".txt", ".tsv", ".dat", ".vec")
# Everything else is imported where it is used, so that help and the doctor work where a package is missing.

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error of this command does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"pinnx: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    wait_passively()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    # Words may stand anywhere, also behind options, where argparse would not take them for positional arguments.
    options, rest = parser.parse_known_args(given)
    unknown = [item for item in rest if item.startswith("-") or not hasattr(options, "overrides")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.command_line = shlex.join(["pinnx", *given])
    try:
        if hasattr(options, "overrides"):
            _sort_words(options, rest)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return int(options.run(options))
    except Interrupted as stop:
        print(f"pinnx: {stop}", file=sys.stderr)
        return 128 + stop.signal
    except PinnxError as error:
        print(f"pinnx: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pinnx: interrupted", file=sys.stderr)
        return 130


def _sort_words(options: argparse.Namespace, rest: Sequence[str]) -> None:
    """Separates the one other word (a configuration, a folder) from the overrides: they have an = and are no file."""
    name = options.word
    first = None if name is None else getattr(options, name)
    words = [*([] if first is None else [first]), *options.overrides, *rest]
    # Not Path.exists, which raises where a value is longer than any name of a file.
    options.overrides = [word for word in words if "=" in word and not os.path.exists(word)]
    others = [word for word in words if word not in options.overrides]
    if name is not None:
        setattr(options, name, others.pop(0) if others else None)
    if others:
        raise PinnxError(f"override {others[0]!r}: expected key=value")


def _show_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    print(f"pinnx: warning: {message}", file=sys.stderr)


def _console(options: argparse.Namespace) -> Console:
    from rich.console import Console

    # No markup: a path such as run[1] is shown as it is.
    return Console(quiet=options.quiet, markup=False, emoji=False, highlight=False)


def _job() -> ModuleType:
    """The package of the jobs.

    Raises:
        PinnxError: a package is missing, or the kernels cannot run here.
    """
    try:
        with _no_collection():
            from pinnx import jobs
    except (ImportError, RuntimeError) as error:
        raise PinnxError(f"{error} (run pinnx doctor for details)") from error
    return jobs


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector away from what is imported, now and later: a tenth of the time of a start."""
    imported, enabled = "pinnx.jobs" in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not imported:
            gc.freeze()
        if enabled:
            gc.enable()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pinnx", description="Flow fields from a handful of sensors, with physics-informed networks.")
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
    job.add_argument(
        "--data", metavar="FILE", help="file of snapshots (.mat .npz .nc .h5), or of measurements (.csv .txt .dat .vec)"
    )
    job.add_argument("--sensors", metavar="FILE", help="positions of the sensors (the .csv that pinnx sensors writes)")
    job.add_argument("--out", metavar="DIR", help="new folder for the files of the run")
    job.add_argument("--resume", metavar="DIR", help="the same as pinnx resume DIR")
    _add_showing(job)
    job.set_defaults(run=_reconstruct, word="config")

    demo = commands.add_parser(
        "demo",
        help="the whole job on a synthetic flow; no file is needed",
        description="Computes a flow with a built-in solver, chooses 12 sensors, and reconstructs the flow from them.",
    )
    demo.add_argument("overrides", nargs="*", metavar="key=value", help="settings, as for reconstruct")
    demo.add_argument("--out", metavar="DIR", default="demo_run", help="folder for the run (default: demo_run)")
    _add_showing(demo)
    demo.set_defaults(run=_demo, word=None)

    again = commands.add_parser(
        "resume",
        help="continue a run that was interrupted",
        description="Continues a run from its newest whole checkpoint, with the settings that it has.",
    )
    again.add_argument("folder", nargs="?", metavar="DIR", help="folder of the run")
    again.add_argument(
        "--step", type=int, metavar="N", help="continue from the checkpoint of this step; later ones are removed"
    )
    _add_showing(again)
    again.set_defaults(run=_resume, word="folder", overrides=[])

    _add_verify(commands)
    _add_sensors(commands)

    reference = commands.add_parser(
        "reference",
        help="solve a steady flow in a box with a classical solver",
        description="Solves the steady flow in a box whose sides all have a prescribed velocity, on three grids, and "
        "writes it with its own error, as a file that pinnx reconstruct --data reads.",
        epilog="The sections domain, flow, boundaries and solver are used, such as flow.nu=1e-3; docs/choosing.md says "
        "when this is the better tool.",
    )
    reference.add_argument("config", nargs="?", help="a preset (cavity) or a YAML file")
    reference.add_argument("overrides", nargs="*", metavar="key=value", help="settings that replace those of the file")
    reference.add_argument("--out", metavar="FILE.npz", help="new file for the flow")
    reference.add_argument("--quiet", action="store_true", help="show nothing but errors")
    reference.set_defaults(run=_reference, word="config")

    doctor = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Shows what is installed, what is missing, and how to install it.",
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _add_showing(command: argparse.ArgumentParser) -> None:
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
        "console": _console(options),
        "live": options.live,
        "profile": options.profile,
        "command": options.command_line,
    }


def _add_verify(commands: Any) -> None:
    verify = commands.add_parser(
        "verify",
        help="check the physics of a run or of a file",
        description="Checks the model of a run, or the flow of a file, anew; without an option all checks. The exit "
        "status is 0 where all passed, 1 where one did not, 3 where none failed and one could not be checked.",
        epilog="Settings are for files: those of the section data, flow.nu and evals.limits, such as data.arrays.u=U "
        "flow.nu=0.01; docs/verification.md explains each check.",
    )
    add = verify.add_argument
    add("target", nargs="?", metavar="RUN|CHECKPOINT|DATA", help="folder of a run, .safetensors in it, or snapshots")
    add("overrides", nargs="*", metavar="key=value", help="which array of the file is what")
    add("--full", action="store_true", help="all checks (default)")
    add("--conservation", action="append_const", dest="groups", const="conservation", help="mass, momentum, energy")
    add("--boundary", action="append_const", dest="groups", const="boundary", help="boundary conditions, periods")
    add("--pde-residual", action="append_const", dest="groups", const="pde-residual", help="residuals of the equations")
    add("--corner-radius", type=_radius, metavar="R", help="leave out points nearer to a corner where sides disagree")
    add("--verbose", action="store_true", help="points, own error and worst place of each check, and all that it says")
    add("--json", action="store_true", help="print the verdicts as JSON and nothing else")
    add("--quiet", action="store_true", help="show nothing but errors")
    verify.set_defaults(run=_verify, word="target", groups=[])


def _verify(options: argparse.Namespace) -> int:
    if options.target is None:
        raise PinnxError("verify: expected a run, a checkpoint or a file, got none (see pinnx verify --help)")
    _job()
    from pinnx.config import load_config
    from pinnx.jobs.flow_verification import verify_flow
    from pinnx.jobs.verdicts import closing_line, exit_status, notes, verdicts_table
    from pinnx.jobs.verification import is_run, verify_run

    path, console = Path(options.target), _console(options)
    console.quiet |= options.json
    groups = set() if options.full else set(options.groups)
    if not path.exists():
        raise PinnxError(f"{path}: expected a run, a checkpoint or a file, found nothing there")
    if is_run(path):
        if options.overrides:
            raise PinnxError(f"verify: expected no settings, as a run has its own, got {', '.join(options.overrides)}")
        checks = verify_run(path, groups, console.print, corner_radius=options.corner_radius)
    else:
        for word in options.overrides:
            if not word.startswith(("data.", "flow.nu=", "evals.limits.")):
                raise PinnxError(f"override {word!r}: expected a key of data, flow.nu or evals.limits")
        # A wrong order of the axes is a verdict here.
        given = [("data.check_orientation", False), *options.overrides, ("data.path", options.target)]
        checks = verify_flow(load_config(None, given), groups, console.print, corner_radius=options.corner_radius)
    if options.json:
        print(json.dumps([item.as_dict() for item in checks], allow_nan=False, indent=1))
    console.print(verdicts_table(checks, verbose=options.verbose))
    for line in notes(checks, verbose=options.verbose):
        console.print(line, soft_wrap=True)
    console.print(closing_line(checks), soft_wrap=True)
    return exit_status(checks)


def _radius(text: str) -> float:
    """A length > 0."""
    try:
        radius = float(text)
    except ValueError:
        radius = 0.0
    if not 0.0 < radius < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a length > 0, got {text!r}")
    return radius


def _add_sensors(commands: Any) -> None:
    sensors = commands.add_parser(
        "sensors",
        help="choose where to measure, from snapshots",
        description="Chooses the places from which fields like those of the snapshots can best be recovered, as pinnx "
        "reconstruct does, and says how good they are beside random ones.",
        epilog="Settings are those of the sections data and sensors of pinnx reconstruct, such as data.arrays.t=t "
        "'data.axes=[t,n]' 'data.window.x=[1,7]'; docs/sensors.md has examples.",
    )
    add = sensors.add_argument
    add("file", nargs="?", metavar="DATA", help="file of snapshots (.mat .npz .nc .h5)")
    add("overrides", nargs="*", metavar="key=value", help="which array of the file is what, and how to choose")
    add("--count", type=int, metavar="K", help="number of sensors (sensors.count; default: 12)")
    add("--variable", metavar="NAME[,NAME]", help="what is measured, in place of the velocity")
    add("--points", metavar="NAME[,NAME]", help="with --variable: arrays of the coordinates")
    add("--config", metavar="NAME", help="a preset or a YAML file whose sections data and sensors are used")
    methods = ("interpolation", "qr", "exact", "randomized", "coverage", "lattice", "farthest", "random")
    add("--method", choices=methods, help="how to choose (default: that of sensors.method); exact is qr")
    add("--basis", choices=("pod", "identity", "randomized"), default="pod", help="what is pivoted (default: pod)")
    add("--modes", type=int, metavar="R", help="number of modes (sensors.modes; default: (1 + c) / 2 a sensor)")
    mean = sensors.add_mutually_exclusive_group()
    mean.add_argument("--keep-mean", action="store_true", help="the mean counts too (default)")
    mean.add_argument("--subtract-mean", action="store_true", help="the fluctuation alone (sensors.subtract_mean)")
    add("--min-distance", type=float, metavar="D", help="least distance between two sensors (sensors.min_distance)")
    add(
        "--weights",
        metavar="NAME",
        help="array of the file with a weight >= 0 for each place; or channel: 5 within a tenth of the half height of "
        "a wall y = const, else 1",
    )
    add("--seed", type=int, help="of what is random (sensors.seed; default: 0)")
    add("--hold-out", type=float, default=0.2, metavar="SHARE", help="snapshots to measure the error on (default: 0.2)")
    add("--plot", metavar="FILE.png", help="picture of the fields, the sensors and their ranks")
    add("--out", metavar="FILE.csv", help="the sensors: rank,x,y[,z]")
    add("--overwrite", action="store_true", help="replace files that exist")
    add("--cache", nargs="?", const="", metavar="DIR", help="keep the choice (default: PINNX_CACHE, or ~/.cache/pinnx)")
    add(
        "--memory-limit",
        metavar="SIZE",
        help="such as 512MB: with --variable, an HDF5 file beyond it is read in blocks; other files must fit",
    )
    add("--quiet", action="store_true", help="show nothing but errors")
    sensors.set_defaults(run=_sensors, word="file")


def _sensors(options: argparse.Namespace) -> int:
    if options.file is None:
        raise PinnxError("sensors: expected a file of snapshots, got none (see pinnx sensors --help)")
    from pinnx.jobs.sensors import run_sensors
    from pinnx.jobs.sensors_input import Question, parse_size, split_names
    from pinnx.sensors import SelectionCache

    names, points = options.variable, options.points
    question = Question(
        path=options.file,
        variables=None if names is None else split_names(names),
        points=None if points is None else split_names(points),
        weights=options.weights,
        memory_limit=None if options.memory_limit is None else parse_size(options.memory_limit),
    )
    run_sensors(
        _sensors_config(options),
        question,
        basis=options.basis,
        hold_out=options.hold_out,
        cache=None if options.cache is None else SelectionCache(options.cache or None),
        plot=options.plot,
        out=options.out,
        overwrite=options.overwrite,
        console=_console(options),
    )
    return 0


def _sensors_config(options: argparse.Namespace) -> Config:
    """The configuration of a choice, of which the sections data and sensors are used."""
    from pinnx.config import load_config

    for word in options.overrides:
        if not word.startswith(("data.", "sensors.")):
            raise PinnxError(
                f"override {word!r}: expected a key of the sections data or sensors, such as data.arrays.t=t"
            )
    if options.variable is None and options.points is not None:
        raise PinnxError("--points: expected together with --variable; for a flow name data.arrays.x and .y")
    if options.variable is not None:
        given = [word for word in options.overrides if word.startswith("data.") and not word.startswith("data.axes=")]
        if given or options.config is not None:
            raise PinnxError(
                f"--variable: expected no setting of data but data.axes, got "
                f"{', '.join(given) or '--config ' + options.config}"
            )
    # A preset may bring a source of its own, which the file replaces.
    others = [] if options.config is None else [("data.synthetic", None), ("data.measurements", None)]
    method = "qr" if options.method == "exact" else options.method
    mean = True if options.subtract_mean else False if options.keep_mean else None
    shorts = {"count": options.count, "method": method, "modes": options.modes, "subtract_mean": mean,
              "min_distance": options.min_distance, "seed": options.seed}  # fmt: skip
    chosen = [(f"sensors.{key}", value) for key, value in shorts.items() if value is not None]
    return load_config(options.config, [*options.overrides, ("data.path", options.file), *others, *chosen])


def _reconstruct(options: argparse.Namespace) -> int:
    job = _job()
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
        table = Path(options.data).suffix.lower() in TABLES
        key = "data.measurements.path" if table else "data.path"
        overrides.append((key, options.data))
    if options.sensors is not None:
        overrides += _placed(options.sensors)
    return _run(job, load_config(options.config, overrides), options)


def _resume(options: argparse.Namespace) -> int:
    if options.folder is None or options.overrides:
        got = f"the setting {options.overrides[0]}" if options.overrides else "none"
        raise PinnxError(f"resume: expected the folder of a run and no setting, as a run keeps its own; got {got}")
    return _continued(_job(), options.folder, options.step, options)


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
    job = _job()
    from pinnx.config import load_config

    return _run(job, load_config("demo", options.overrides), options)


def _reference(options: argparse.Namespace) -> int:
    if options.config is None or options.out is None:
        missing = "a preset or a configuration" if options.config is None else "--out FILE.npz"
        raise PinnxError(f"reference: expected {missing}, got none (see pinnx reference --help)")
    _job()
    from pinnx.config import load_config
    from pinnx.jobs.reference import make_reference

    # A configuration names a source of data, of which a reference needs none: it will be one.
    source = [("data.synthetic", None), ("data.measurements", None), ("data.path", options.out)]
    make_reference(load_config(options.config, [*options.overrides, *source]), options.out, console=_console(options))
    return 0


def _run(job: ModuleType, config: Any, options: argparse.Namespace) -> int:
    shown = _shown(options)
    return _done(job.reconstruct(config, options.out, **shown), options.out, shown["console"])


def _done(metrics: dict[str, Any], out: str, console: Console) -> int:
    errors, worst = metrics["relative_l2"], metrics["worst_component"]
    if errors is not None:
        listed = "  ".join(f"{name} {value:.4f}" for name, value in errors.items())
        beside = f"; worst component: {worst['name']} {worst['relative_l2']:.4f}" if worst else ""
        console.print(f"relative L2 error: {listed}{beside}", soft_wrap=True)
    estimates = "  ".join(f"{name} {value:.3g}" for name, value in metrics["error_estimates"].items())
    console.print(f"estimates of the error without a reference: {estimates}", soft_wrap=True)
    if metrics.get("solver"):
        console.print(metrics["solver_note"], soft_wrap=True)
    console.print(
        f"training {metrics['train_s']:.0f} s, {metrics['steps_per_s']:.0f} steps/s; {_verdicts(metrics)}",
        soft_wrap=True,
    )
    console.print(f"report: {Path(out) / 'report.html'}", soft_wrap=True)
    return 0


def _verdicts(metrics: dict[str, Any]) -> str:
    """Checks that failed, and those with a warning, by name."""
    parts = []
    for status, words in (("failed", "checks failed"), ("warning", "with a warning")):
        names = [
            f"{item['name']} ({item['part']})" if "part" in item else item["name"]
            for item in metrics["checks"]
            if item["status"] == status
        ]
        parts += [f"{words}: {', '.join(names)}"] if names else []
    return "; ".join(parts) or "all checks passed"


def _doctor(options: argparse.Namespace) -> int:
    from pinnx.doctor import findings

    healthy = True
    for item in findings():
        healthy &= item.ok
        print(f"{'ok     ' if item.ok else 'MISSING'}  {item.name}: {item.found}")
        if item.remedy:
            print(f"         -> {item.remedy}")
    return 0 if healthy else 1
