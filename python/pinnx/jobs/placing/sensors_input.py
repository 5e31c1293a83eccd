"""What `pinnx sensors` measures: fields of a file, read whole or left there, and a weight for each place.

In memory, snapshots are held up to three times: as stored, as arranged, and those that are not held out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnx.config import Config
from pinnx.data.file_formats import HDF5, stored_bytes
from pinnx.data.open_snapshots import work_bytes
from pinnx.data.quantities import open_fields, read_fields
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import data_mapping, load_snapshots, sensor_weights
from pinnx.sensors.fit_cache import SelectionCache
from pinnx.sensors.pivoted_matrix import default_modes, work_rows
from pinnx.sensors.place_weights import channel_wall_weights

__all__ = ["PlaceWeights", "Question", "opened_fields", "parse_size", "place_weights", "shown_size", "split_names"]

COPIES = 3
# A flow is cut to its window beside that, and is float64, where files are float32 as a rule.
FLOW_COPIES = 8
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([KMGT]I?)?B?", re.IGNORECASE)
CHANNEL = "channel"


@dataclass(frozen=True)
class Question:
    """What is measured and what is wanted of the choice, where the configuration does not say it."""

    path: str  # the file
    variables: Sequence[str] | None = None  # names of arrays, in place of the velocity; None: the velocity
    points: Sequence[str] | None = None  # with variables: names of the coordinates; None: the usual ones
    weights: str | None = None  # name of an array of weights, or "channel"; None: all places alike
    memory_limit: int | None = None  # bytes; None: no limit
    basis: str = "pod"  # of `SensorSelector`
    hold_out: float = 0.2  # share of the snapshots that the error is measured on, 0 to 0.5
    cache: SelectionCache | None = None  # where choices are looked up and kept; None: nowhere
    plot: str | None = None  # name of the picture; None: none
    out: str | None = None  # name of the table; None: it is shown
    overwrite: bool = False  # replace files that exist


@dataclass(frozen=True, eq=False)
class PlaceWeights:
    """Weights that multiply what a sensor at a place would add; 0 leaves the place out."""

    values: np.ndarray  # [n] float64, >= 0
    rule: str  # where they come from, for a sentence


@contextmanager
def opened_fields(config: Config, question: Question, step: Callable[[str], None]) -> Iterator[Snapshots]:
    """Yield the fields; those of an HDF5 file that memory does not hold stay there.

    Raises:
        PinnxError: what is not in the file; or more than memory holds, in a form that is read whole.
    """
    path, names, limit = question.path, question.variables, question.memory_limit
    suffix = Path(path).suffix.lower()
    if names is None:
        if limit is not None:
            arrays = config.data.arrays
            names = [name for name in (arrays.u, arrays.v, arrays.w) if name]
            needed = FLOW_COPIES * stored_bytes(path, names, data_mapping(config).raw)
            _require_fits(needed, limit, "a flow")
        yield load_snapshots(config, step)
        return
    settings = {"coordinates": question.points, "axes": config.data.axes}
    if limit is not None:
        needed = COPIES * stored_bytes(path, names)
        if suffix in HDF5:
            with open_fields(path, names, **settings) as fields:
                if needed + _work(fields, config) > limit:
                    step(f"reading {path} in blocks")
                    yield fields
                    return
        else:
            _require_fits(needed, limit, f"a {suffix} file")
    step(f"reading {path}")
    fields = read_fields(path, names, **settings)
    if limit is not None:
        _require_fits(COPIES * fields.values.nbytes + _work(fields, config), limit, f"a {suffix} file")
    yield fields


def place_weights(config: Config, question: Question, fields: Snapshots) -> PlaceWeights | None:
    """Return the weights that are named; None where none are.

    Raises:
        PinnxError: no such array, one that is no weight for each place, or a channel that is cut.
    """
    name = question.weights
    if name is None:
        values = sensor_weights(config, fields.points)
        return None if values is None else PlaceWeights(values, f"the formula {config.sensors.weight}")
    if config.sensors.weight is not None:
        raise PinnxError(f"--weights: expected none beside sensors.weight, got {name}; set one of them to none")
    window = {axis: limit for axis, limit in config.data.window.model_dump().items() if limit is not None}
    if name == CHANNEL:
        if "y" in window:
            raise PinnxError(
                f"--weights channel: expected the channel from wall to wall, got data.window.y={window['y']}"
            )
        across = fields.points[:, 1]
        low, high = float(across.min()), float(across.max())
        if not low < high:
            raise PinnxError(f"--weights channel: expected walls at two values of y, got y = {low:g} alone")
        values = channel_wall_weights(across, 0.5 * (high - low), centre=0.5 * (low + high))
        return PlaceWeights(values, f"the rule for channels, {values.max():g} near the walls y = {low:g} and {high:g}")
    points = question.points
    if question.variables is None:
        arrays = config.data.arrays
        points = [axis for axis in (arrays.x, arrays.y, arrays.z) if axis is not None]
    stored = read_fields(question.path, [name], coordinates=points, axes=config.data.axes)
    if stored.num_times != 1:
        raise PinnxError(f"{name}: expected one weight for each place, got {list(stored.values.shape[:2])}")
    stored = stored.window(**window)  # as the flow itself is cut
    values = stored.values[0, :, 0].astype(np.float64)
    if not np.array_equal(stored.points, fields.points):
        raise PinnxError(f"{name}: expected a weight for each of {fields.num_points} places, got others")
    if (values < 0.0).any() or not values.any():
        raise PinnxError(f"{name}: expected weights >= 0 that are not all 0, got {values.min():g} to {values.max():g}")
    return PlaceWeights(values, f"{name}, {values.min():g} to {values.max():g}")


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


def parse_size(text: str) -> int:
    """Return the bytes of "512MB" (10^6), "1.5GiB" (2^30), "800000".

    Raises:
        PinnxError: no such size.
    """
    found = SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * UNITS[(found[2] or "").upper()]) if found else 0
    if size < 1:
        raise PinnxError(f"--memory-limit: expected a size such as 512MB or 1.5GiB, got {text!r}")
    return size


def shown_size(num_bytes: int, rounded: Callable[[float], int] = math.ceil) -> str:
    """Return a size as --memory-limit takes it, rounded up where nothing else is given: "1234MB", "20kB"."""
    size, unit = (10**6, "MB") if num_bytes >= 10**6 else (10**3, "kB") if num_bytes >= 10**3 else (1, "B")
    return f"{rounded(num_bytes / size)}{unit}"


def _work(fields: Snapshots, config: Config) -> int:
    num_times, n, c = fields.values.shape
    modes = config.sensors.modes or default_modes(config.sensors.count, c)
    return work_bytes(n * c, fields.values.dtype.itemsize, work_rows(modes), num_times)


def _require_fits(needed: int, memory_limit: int, kind: str) -> None:
    if needed > memory_limit:
        raise PinnxError(
            f"--memory-limit: expected at least {shown_size(needed)}, as {kind} is read whole, got "
            f"{shown_size(memory_limit, math.floor)}; --variable NAME of an HDF5 file is read in blocks"
        )
