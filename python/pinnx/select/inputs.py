"""What the command line names, as fields: read whole, or left in the file where memory does not hold them.

In memory, snapshots are held up to three times: as stored, as arranged, and those that are not held out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pinnx.config import Config, load_config
from pinnx.data.fields import Fields, open_fields, read_fields
from pinnx.data.stored_size import stored_bytes
from pinnx.errors import PinnxError
from pinnx.select.memory import shown_size, work_bytes
from pinnx.sensors.pivoted_matrix import default_modes

__all__ = ["configured", "opened_fields", "split_names"]

COPIES = 3
# A flow is cut to its window beside that, and is float64, where files are float32 as a rule.
FLOW_COPIES = 8


def configured(options: argparse.Namespace) -> Config:
    """Return the configuration of a command, of which the section data is used.

    Raises:
        PinnxError: a setting of another section, or options that contradict one another.
    """
    for word in options.overrides:
        if not word.startswith("data."):
            raise PinnxError(f"override {word!r}: expected a key of the section data, such as data.arrays.t=t")
    # A preset may bring a source of its own, which the file replaces.
    others = [] if options.config is None else [("data.synthetic", None), ("data.measurements", None)]
    config = load_config(options.config, [*options.overrides, ("data.path", options.file), *others])
    if options.variable is None:
        if options.points is not None:
            raise PinnxError("--points: expected together with --variable; for a flow name data.arrays.x and .y")
        return config
    given = [word for word in options.overrides if not word.startswith("data.axes=")]
    if given or options.config is not None:
        raise PinnxError(
            f"--variable: expected no setting but data.axes, got {', '.join(given) or '--config ' + options.config}"
        )
    return config


@contextmanager
def opened_fields(
    options: argparse.Namespace, config: Config, memory_limit: int | None, say: Callable[[str], None]
) -> Iterator[Fields]:
    """Yield the fields; those of an HDF5 file that memory does not hold stay there.

    Raises:
        PinnxError: what is not in the file; or more than memory holds, in a form that is read whole.
    """
    if options.variable is None:
        if memory_limit is not None:
            arrays = config.data.arrays
            named = [name for name in (arrays.u, arrays.v, arrays.w) if name is not None]
            _require_fits(options.file, FLOW_COPIES, named, memory_limit, "a flow")
        from pinnx.jobs.load_case import load_snapshots  # with all that a reconstruction needs

        yield Fields.from_snapshots(load_snapshots(config, say))
        return
    names = split_names(options.variable)
    points = None if options.points is None else split_names(options.points)
    settings = {"coordinates": points, "axes": config.data.axes}
    if memory_limit is not None and Path(options.file).suffix.lower() in (".h5", ".hdf5"):
        needed = COPIES * stored_bytes(options.file, names)
        with open_fields(options.file, names, **settings) as fields:
            if needed + _work(fields, options) > memory_limit:
                say(f"reading {options.file} in blocks")
                yield fields
                return
    elif memory_limit is not None:
        _require_fits(options.file, COPIES, names, memory_limit, f"a {Path(options.file).suffix} file")
    say(f"reading {options.file}")
    fields = read_fields(options.file, names, **settings)
    if memory_limit is not None and (needed := COPIES * fields.values.nbytes + _work(fields, options)) > memory_limit:
        raise _too_small(needed, memory_limit, f"a {Path(options.file).suffix} file")
    yield fields


def split_names(text: str) -> list[str]:
    """Names between commas; a comma inside brackets belongs to an index."""
    names, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            names.append("")
        else:
            names[-1] += letter
    return [name.strip() for name in names if name.strip()]


def _work(fields: Fields, options: argparse.Namespace) -> int:
    _, n, c = fields.values.shape
    modes = options.modes or default_modes(max(1, options.count), c)
    return work_bytes(n * c, fields.values.dtype.itemsize, modes)


def _require_fits(path: str, copies: int, names: list[str], memory_limit: int, kind: str) -> None:
    needed = copies * stored_bytes(path, names)
    if needed > memory_limit:
        raise _too_small(needed, memory_limit, kind)


def _too_small(needed: int, memory_limit: int, kind: str) -> PinnxError:
    return PinnxError(
        f"--memory-limit: expected at least {shown_size(needed)}, as {kind} is read whole, got "
        f"{shown_size(memory_limit)}; --variable NAME of an HDF5 file is read in blocks"
    )
