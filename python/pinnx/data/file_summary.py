"""What a file of arrays holds, in lines of text, and the lines of YAML that would use it.

Names are only proposed where they are usual ones; the proposal is then read, and what reading says is shown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from pinnx.data.array_files import ArrayFile
from pinnx.data.csv_table import read_csv_table
from pinnx.data.file_formats import open_arrays
from pinnx.data.fill_blocks import without_fill_blocks
from pinnx.data.mapping import DataMapping
from pinnx.data.measured_rows import measured_columns
from pinnx.data.measurements import read_measurements
from pinnx.data.orientation import relative_divergence
from pinnx.data.raw_arrays import RawArray
from pinnx.data.readers import open_flow, read_snapshots
from pinnx.data.series import files_of
from pinnx.data.snapshots import AXIS_NAMES, Snapshots
from pinnx.data.stored_numbers import text_of
from pinnx.data.table_fields import TABLES, is_field
from pinnx.errors import PinnxError

__all__ = ["summary_of"]

# Usual names by role, without their folders and in lower case; what JHTDB, PIVlab and meshio write is among them, and
# standard names of CF.
USUAL = {
    "x": ("x", "xcoor", "x_0"),
    "y": ("y", "ycoor", "y_0"),
    "z": ("z", "zcoor"),
    "t": ("t", "time", "times", "solutiontime"),
    "u": ("u", "u_*", "vx", "velocity_x", "velocity u", "eastward_wind", "x_wind", "eastward_sea_water_velocity"),
    "v": ("v", "v_*", "vy", "velocity_y", "velocity v", "northward_wind", "y_wind", "northward_sea_water_velocity"),
    "w": ("w", "w_*", "vz", "velocity_z", "velocity w"),
    "p": ("p", "pressure", "pressure_*"),
    "mask": ("mask",),
    "nu": ("nu", "viscosity"),
}
VECTORS = ("u", "u*", "velocity", "velocity_*", "vel", "uvw")
# Of a file with fields beyond the first, every k-th frame is read, as many as fit the second.
MOST_BYTES, PART_BYTES = 2**30, 2**28


def summary_of(path: str | os.PathLike[str], raw: tuple[RawArray, ...] = ()) -> list[str]:
    """Describe a file: its arrays, a proposal of what is what, what reading that says, and what is missing.

    Args:
        path: what `read_snapshots` or `read_measurements` reads; of several files the arrays are those of the first.
        raw: what is in files without a header.

    Raises:
        PinnxError: no such file, another kind of file, or one that is damaged.
    """
    series = "*" in Path(path).name
    table = not series and not raw and Path(path).suffix.lower() in TABLES and os.path.isfile(path)
    if table and not is_field(path):
        return _table(path)
    files = files_of(path, 1.0) if series else [Path(path)]
    with open_arrays(files[0], raw) as file:
        lines = [f"{path}", *_arrays(file), *(f"  {name}: not read, {what}" for name, what in file.others.items())]
        lines += [f"  @{name}: {_shown(value)}" for name, value in file.attributes.items()]
        roles = _roles(file)
        num_times = file.arrays[roles["t"]].size if "t" in roles else 1
        timed = num_times > 1
        if not (timed or series):  # one frame is a steady flow
            roles.pop("t", None)
        num_bytes = len(files) * sum(int(array.nbytes) for array in file.arrays.values())
    if series:
        lines[0] += f": {len(files)} files, {files[0].name} to {files[-1].name}; arrays of the first"
    # A series needs a time step, which only scales the times: 1 stands in for it here.
    stepped = "t" not in roles and (series or "*" in roles.get("u", ""))
    lines += _missing(roles, stepped)
    names: dict[str, Any] = roles | ({"t": 1.0} if stepped else {}) | {"raw": raw}
    axes: tuple[str, ...] | None = None
    if all(role in roles for role in "xyuv") and ("z" in roles) == ("w" in roles):
        every = 1 if num_bytes <= MOST_BYTES else -(-num_bytes // PART_BYTES)
        if every == 1 or (2 * every <= num_times and not series):
            found, axes = _read(path, files[0], names, timed=timed, every=every)
            lines += found
        else:
            lines.append(f"not read: {num_bytes:,} bytes, so neither its divergence nor its holes are known")
    if table:
        lines.append(f"note: a field on a grid; if its rows are sensors, name it by data.measurements={path}")
    named = (f'{role}: "{name}"' if set(name) & set("[*@") else f"{role}: {name}" for role, name in roles.items())
    shown = f'"{path}"' if series else path
    lines += ["yaml:", "  data:", f"    path: {shown}", f"    arrays: {{{', '.join(named)}}}"]
    if raw:
        lines.append("    raw:")
        usual = asdict(RawArray("", ()))
        for array in raw:
            stated = {key: value for key, value in asdict(array).items() if value != usual[key]}
            lines.append(f"      - {json.dumps(stated)}")
    return lines if axes is None else [*lines, f"    axes: [{', '.join(axes)}]"]


def _table(path: str | os.PathLike[str]) -> list[str]:
    """A table of measurements: its columns with their units, and what reading its rows says."""
    table = read_csv_table(path)
    lines = [f"{path}", *(f"  {name}" for name in table.header)]
    try:
        rows = read_measurements(path)
    except PinnxError as error:
        lines += [f"  {len(table.rows):,} rows, {table.separated}", f"refused: {error}"]
    else:
        times = "steady" if rows.times is None else f"{np.unique(rows.times).size} times"
        names = ([] if rows.steady else ["t"]) + list(AXIS_NAMES[: rows.dim])
        columns = dict(zip(names, rows.coordinates.T, strict=True))
        columns |= measured_columns(rows.velocity, rows.pressure, rows.speed)
        ranges = _ranges({name: (np.nanmin(column), np.nanmax(column)) for name, column in columns.items()})
        lines.append(f"read: {rows.num_rows:,} rows, {len(rows.positions()):,} places, {times}; {ranges}")
        lines += [f"note: {note}" for note in rows.notes]
    return [*lines, "yaml:", "  data:", f"    measurements: {path}"]


def _arrays(file: ArrayFile) -> list[str]:
    lines = []
    for name, array in sorted(file.arrays.items()):
        marks = dict.fromkeys(file.packing(name).missing)
        lines.append(
            f"  {name} {list(array.shape)} {array.dtype}"
            + (f", units {unit}" if (unit := file.units(name)) else "")
            + (f", missing where {', '.join(f'{mark:g}' for mark in marks)}" if marks else "")
        )
    return lines


def _roles(file: ArrayFile) -> dict[str, str]:
    """Names of arrays by role, for those with usual names; frames by number become a pattern."""
    known: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    stems = [re.sub(r"\d+$", "*", name) for name in file.arrays]
    # Names at the top come before those in groups: fields.h5 has u, and reference/u.
    named = sorted(zip(file.arrays.items(), stems, strict=True), key=lambda entry: entry[0][0].count("/"))
    for (name, array), stem in named:
        shown = stem if stem != name and stems.count(stem) > 1 else name
        shapes[shown] = array.shape
        for usual in (name, stem, text_of(file.of_arrays.get(name, {}).get("standard_name", ""))):
            known.setdefault(usual.rpartition("/")[2].lower(), shown)
    roles = {role: known[name] for role, names in USUAL.items() for name in names[::-1] if name in known}
    # Components last, or behind the times or first, as networks on grids have them.
    vectors = [known[name] for name in VECTORS if name in known]
    places = ((-1, "..., {}"), (1, ":, {}"), (0, "{}"))
    found = [
        (name, shapes[name][axis], index)
        for axis, index in places
        for name in vectors
        if len(shapes[name]) > 1 + (axis >= 0) and shapes[name][axis] in (2, 3)
    ]
    if found and "v" not in roles:
        vector, size, index = found[0]
        components = "uvw" if size == 3 and not _plane(file, roles) else "uv"
        roles |= {component: f"{vector}[{index.format(number)}]" for number, component in enumerate(components)}
        if vector.startswith("u") and (pressure := f"p{vector[1:]}") in shapes:  # u00010 and p00010 of JHTDB
            roles.setdefault("p", pressure)
    if "w" not in roles and "z" in roles:
        del roles["z"]
    attributes = {f"@{name}" for name in file.attributes}
    return roles | ({"nu": "@nu"} if "@nu" in attributes and "nu" not in roles else {})


def _plane(file: ArrayFile, roles: Mapping[str, str]) -> bool:
    """Whether all z are one, as in a mesh of a plane."""
    return "z" in roles and file.arrays[roles["z"]].size > 1 and np.unique(file.arrays[roles["z"]]).size == 1


def _missing(roles: Mapping[str, str], stepped: bool) -> list[str]:
    named = "name its array by data.arrays"
    remedies = {
        **{axis: f"{named}, {_line(axis)}" for axis in "xy"},
        **dict.fromkeys("uv", named),
        "nu": "give data.arrays.nu or flow.nu, or find it by flow.learn_nu=true",
        "p": "the pressure then has no reference",
    }
    lines = [f"missing: {role}; {remedy}" for role, remedy in remedies.items() if role not in roles]
    if "w" in roles and "z" not in roles:
        lines.append(f"missing: z; {named}, {_line('z')}")
    if stepped:
        lines.append("missing: t; give the time from one frame to the next, such as data.arrays.t=0.1")
    return lines


def _line(axis: str) -> str:
    """How coordinates are stated that the file does not have."""
    return f"or state evenly spaced ones by data.raw: [{{name: {axis}, line: [0.0, 1.0], shape: [N{axis.upper()}]}}]"


def _read(
    path: str | os.PathLike[str], first: Path, roles: Mapping[str, Any], *, timed: bool, every: int
) -> tuple[list[str], tuple[str, ...] | None]:
    """What reading by these names finds, and the order of axes, t among them, where only the divergence tells it."""
    try:
        lines = _described(*_flow(path, roles, None, every))
        with open_arrays(first, roles["raw"]) as file:
            _, _, part = open_flow(file, DataMapping(**roles), {}, {})
        return [f"axes: ({', '.join(part.whole.axes)}), from the shapes", *lines], None
    except PinnxError as error:
        refused = [f"refused: {error}"]
    # On a square grid the shapes leave several orders; the divergence refuses the wrong ones.
    space = [axis for axis in "xyz" if axis in roles]
    names = ["t", *space] if timed else space
    accepted: dict[tuple[str, ...], tuple[Snapshots, list[str]]] = {}
    for axes in permutations(names):
        with suppress(PinnxError):
            accepted[axes] = _flow(path, roles, axes, every)
    if len(accepted) != 1:
        return refused, None
    axes, found = next(iter(accepted.items()))
    return [f"axes: ({', '.join(axes)}), the only order that is divergence-free", *_described(*found)], axes


def _flow(
    path: str | os.PathLike[str], roles: Mapping[str, Any], axes: tuple[str, ...] | None, every: int
) -> tuple[Snapshots, list[str]]:
    """Every k-th frame of the flow, and a line where a run would refuse its zeros."""
    stride = {"t": every} if every > 1 else {}
    flow, refused = read_snapshots(path, DataMapping(**roles, axes=axes), keep_gaps=True, stride=stride), []
    try:
        without_fill_blocks(flow)
    except PinnxError as error:
        refused = [f"refused: {error}"]
    flow = flow.with_holes()
    flow.validate()
    return flow, refused


def _described(flow: Snapshots, refused: list[str]) -> list[str]:
    grid = "scattered" if flow.grid_shape is None else "grid " + " x ".join(map(str, flow.grid_shape))
    whole = flow.whole[1] if flow.whole else flow.num_times
    part = f" of {whole}" if whole > flow.num_times else ""
    lines = [f"read: {flow.num_points:,} points ({grid}), times: {flow.num_times}{part}; {_ranges(flow.bounds)}"]
    if flow.holes is not None and flow.holes.any():
        lines.append(f"holes: {int(flow.holes.sum()):,} places without values")
    return [*lines, *_divergence(flow), *(f"note: {note}" for note in flow.notes), *refused]


def _ranges(bounds: Mapping[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} {low:.10g} to {high:.10g}" for name, (low, high) in bounds.items())


def _divergence(flow: Snapshots) -> list[str]:
    if flow.grid_lines is None or min(flow.grid_shape or (0,)) < 2:
        return ["divergence: not known on scattered points"]
    values = flow.velocity if flow.holes is None else np.where(flow.holes[:, None], np.nan, flow.velocity)
    values = values.reshape(flow.num_times, *(flow.grid_shape or ()), flow.dim)
    return [f"divergence: |div u| / |grad u| = {relative_divergence(values, flow.grid_lines):.2g}"]


def _shown(value: Any) -> str:
    text = " ".join(str(value.decode("utf-8", "replace") if isinstance(value, bytes) else value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
