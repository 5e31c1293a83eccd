"""The command `pinnx sensors`: its options, the files it reads and writes.

flow                the data section of a configuration says which array is what, as for `pinnx reconstruct`
any other quantity  --variable NAME[,NAME...], with coordinates named by --points
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinnx.errors import PinnxError

if TYPE_CHECKING:
    from rich.console import Console

    from pinnx.config import Config
    from pinnx.data.fields import Fields
    from pinnx.runs.progress import ProgressBar

# Everything else is imported where it is used, so that help works where a package is missing.

__all__ = ["add_parser", "run"]

# Passes over the data by the names that `SensorSelector.fit` reports; the others are counted from 1.
PASSES = {"hashing": "looking in the cache", "held-out": "testing on held-out snapshots"}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds `sensors` to the commands of `pinnx`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "sensors",
        help="choose where to measure, from snapshots",
        description="Chooses the places from which fields like those of the snapshots can best be recovered, by "
        "pivoted QR, and says how good they are beside random ones.",
        epilog="Settings are those of the section data of pinnx reconstruct, such as data.arrays.t=t "
        "'data.axes=[t,n]' 'data.window.x=[1,7]'; docs/sensors.md has examples.",
    )
    parser.add_argument("file", nargs="?", metavar="DATA", help="file of snapshots (.mat .npz .h5)")
    parser.add_argument("overrides", nargs="*", metavar="data.key=value", help="which array of the file is what")
    parser.add_argument("--count", type=int, default=12, metavar="K", help="number of sensors (default: 12)")
    parser.add_argument("--variable", metavar="NAME[,NAME]", help="what is measured, in place of the velocity")
    parser.add_argument("--points", metavar="NAME[,NAME]", help="with --variable: arrays of the coordinates")
    parser.add_argument("--config", metavar="NAME", help="a preset or a YAML file whose section data is used")
    parser.add_argument("--method", choices=("exact", "randomized"), default="exact", help="pivoted QR")
    parser.add_argument("--basis", choices=("pod", "identity", "randomized"), default="pod", help="what is pivoted")
    parser.add_argument(
        "--modes",
        type=int,
        metavar="R",
        help="number of modes (default: as many as sensors, with c components K (1 + c) / 2)",
    )
    parser.add_argument("--keep-mean", action="store_true", help="the mean counts too, not the fluctuation alone")
    parser.add_argument("--min-distance", type=float, metavar="D", help="least distance between two sensors")
    parser.add_argument(
        "--weights",
        metavar="NAME",
        help="array of the file with a weight >= 0 for each place; or channel: 5 within a tenth of the half height of "
        "a wall y = const, else 1",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is random (default: 0)")
    parser.add_argument(
        "--hold-out", type=float, default=0.2, metavar="SHARE", help="snapshots kept back to test on (default: 0.2)"
    )
    parser.add_argument("--plot", metavar="FILE.png", help="picture of the fields, the sensors and their ranks")
    parser.add_argument("--out", metavar="FILE.csv", help="the sensors: rank,x,y[,z]")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--cache", nargs="?", const="", metavar="DIR", help="keep the choice (default: PINNX_CACHE, or ~/.cache/pinnx)"
    )
    parser.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="such as 512MB: with --variable, an HDF5 file beyond it is read in blocks; other files must fit",
    )
    parser.add_argument("--quiet", action="store_true", help="show nothing but errors")
    parser.set_defaults(run=run, word="file")
    return parser


def run(options: argparse.Namespace) -> int:
    """Does it; returns the exit status."""
    if options.file is None:
        raise PinnxError("sensors: expected a file of snapshots, got none (see pinnx sensors --help)")
    _require_writable(options)
    from rich.console import Console

    # No markup: a path such as run[1] is shown as it is.
    console = Console(quiet=options.quiet, markup=False, emoji=False, highlight=False)
    from pinnx.runs.progress import ProgressBar
    from pinnx.select.inputs import configured, opened_fields
    from pinnx.select.memory import parse_size

    memory_limit = None if options.memory_limit is None else parse_size(options.memory_limit)
    config = configured(options)
    with (
        ProgressBar(console, transient=True) as progress,
        opened_fields(options, config, memory_limit, progress.status) as fields,
    ):
        _select_and_write(options, config, fields, memory_limit, console, progress)
    return 0


def _select_and_write(
    options: argparse.Namespace,
    config: Config,
    fields: Fields,
    memory_limit: int | None,
    console: Console,
    progress: ProgressBar,
) -> None:
    from pinnx.data.stored_frames import StoredFrames
    from pinnx.select.job import choose_sensors
    from pinnx.select.table import figures_table, notes, sensors_table
    from pinnx.select.weights import place_weights
    from pinnx.sensors.cache import SelectionCache

    in_file = isinstance(fields.values, StoredFrames)
    selection = choose_sensors(
        fields,
        options.count,
        method=options.method,
        basis=options.basis,
        modes=options.modes,
        keep_mean=options.keep_mean,
        min_distance=options.min_distance,
        seed=options.seed,
        hold_out=options.hold_out,
        weights=place_weights(options, config, fields),
        memory_limit=memory_limit,
        cache=None if options.cache is None else SelectionCache(options.cache or None),
        say=progress.status,
        progress=lambda name, done, total: progress.advance(PASSES.get(name, f"reading the data, {name}"), done, total),
    )
    # The picture first: should it fail, no file is there yet.
    if options.plot is not None:
        progress.status("drawing")
        from pinnx.report.picture import to_png
        from pinnx.report.placement import draw_placement
        from pinnx.runs.files import atomic_write

        shown = fields.values[:1] if in_file else fields.values
        picture = draw_placement(
            fields.axes, shown, selection.sensors.positions, fields.names, grid=fields.grid_shape is not None
        )
        with atomic_write(options.plot) as partial:
            partial.write_bytes(to_png(picture.figure, dpi=150))
    if options.out is not None:
        selection.sensors.write_csv(options.out)
    progress.stop()
    console.print(figures_table(selection))
    if options.out is None:
        console.print(sensors_table(selection))
    if options.plot is not None and in_file and fields.num_times > 1:
        console.print("The picture shows the first snapshot, as the others are in the file.")
    for note in notes(selection):
        console.print(note)
    for path in filter(None, (options.out, options.plot)):
        console.print(f"written: {path}", soft_wrap=True)


def _require_writable(options: argparse.Namespace) -> None:
    """Refuses what would fail, or be lost, after the work."""
    for option, ending in (("plot", ".png"), ("out", ".csv")):
        given = getattr(options, option)
        if given is None:
            continue
        path = Path(given)
        if path.suffix.lower() != ending:
            raise PinnxError(f"--{option}: expected a file that ends in {ending}, got {given}")
        if path.exists() and not (options.overwrite and path.is_file()):
            raise PinnxError(f"--{option}: {given} exists; expected another name, or --overwrite")
        if not path.parent.is_dir():
            raise PinnxError(f"--{option}: expected a folder that exists, got {path.parent}")
