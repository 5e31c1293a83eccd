"""``pinnx sensors``: where to measure, from snapshots."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pinnx.cli.shared import console_of, key_of, require_used
from pinnx.errors import PinnxError

if TYPE_CHECKING:
    from pinnx.config import Config

__all__ = ["add_to"]


USED = ("data", "sensors")
UNUSED = ("data.path", "data.measurements", "data.synthetic", "data.noise", "data.stream", "sensors.noise")


def add_to(commands: Any) -> None:
    """Adds the command."""
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
    add("--method", metavar="NAME", help="how to choose, as sensors.method (default: interpolation); exact is qr")
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
    from pinnx.jobs.placing.sensors import run_sensors
    from pinnx.jobs.placing.sensors_input import Question, parse_size, split_names
    from pinnx.sensors import SelectionCache

    names, points = options.variable, options.points
    question = Question(
        path=options.file,
        variables=None if names is None else split_names(names),
        points=None if points is None else split_names(points),
        weights=options.weights,
        memory_limit=None if options.memory_limit is None else parse_size(options.memory_limit),
        cache=None if options.cache is None else SelectionCache(options.cache or None),
        **{name: getattr(options, name) for name in ("basis", "hold_out", "plot", "out", "overwrite")},
    )
    run_sensors(_sensors_config(options), question, console_of(options))
    return 0


def _sensors_config(options: argparse.Namespace) -> Config:
    """The configuration of a choice, of which the sections data and sensors are used."""
    from pinnx.config import load_config

    require_used(options.overrides, USED, UNUSED)
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
    if twice := {key for key, _ in chosen} & {key_of(word) for word in options.overrides}:
        raise PinnxError(f"{twice.pop()}: expected the setting or the option of the same name, got both")
    return load_config(options.config, [*options.overrides, ("data.path", options.file), *others, *chosen])
