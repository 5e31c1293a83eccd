"""Units that a file of arrays names, brought to one system: that of the velocity.

Times in "minutes since 2024-05-01" beside a velocity in m/s are two units of time, coordinates in mm two of length.
The velocity decides: times become seconds (or what it is measured by), coordinates metres. Arrays without an attribute
`units`, or with one that is not known, stay as they are.
"""

from __future__ import annotations

import numpy as np

from pinnx.data.array_files import ArrayFile
from pinnx.data.column_units import LENGTHS, TIMES, Unit, parse_unit
from pinnx.data.mapping import DataMapping
from pinnx.errors import PinnxError

__all__ = ["in_one_system"]


def in_one_system(
    file: ArrayFile, mapping: DataMapping, coordinates: dict[str, np.ndarray], times: np.ndarray | None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return coordinates and times in the units of length and time of the velocity.

    Raises:
        PinnxError: coordinates in degrees; components of the velocity in different units; a pressure that is not
            divided by the density.
    """
    named = {name: file.units(reference) for name, reference in mapping.components.items()}
    if len(set(named.values())) > 1:
        listed = ", ".join(f"{name} {units or 'without units'}" for name, units in named.items())
        raise PinnxError(f"{', '.join(named)}: expected one unit, got {listed}; convert them in the file")
    velocity = parse_unit("u", named["u"]) or Unit("")
    metre, second = LENGTHS.get(velocity.length or ""), TIMES.get(velocity.time or "")
    if mapping.p is not None:
        parse_unit("p", file.units(mapping.p))  # refuses what is no kinematic pressure
    converted = dict(coordinates)
    for axis, reference in mapping.coordinates.items():
        units = file.units(reference)
        if units.casefold().startswith("degree"):
            raise PinnxError(f"{axis}: expected a length, got {units}; project longitude and latitude to metres first")
        unit = parse_unit("x", units) or Unit("")
        length = LENGTHS.get(unit.length or "")
        if length is not None and metre not in (None, length):
            converted[axis] = coordinates[axis] * (length / metre)
            file.note(f"Converted from {units} to the length in {velocity.text}", f"{axis} (times {length / metre:g})")
    if times is not None and isinstance(mapping.t, str):
        units, _, since = file.units(mapping.t).partition(" since ")
        unit = parse_unit("t", units.strip()) or Unit("")
        time = TIMES.get(unit.time or "")
        if since and time is None:
            raise PinnxError(f"t: expected seconds, minutes, hours or days since a date, got {units} since {since}")
        wanted = 1.0 if second is None else second
        if time is not None and time != wanted:
            times = times * (time / wanted)
            file.note(f"Converted from {units} to {'seconds' if wanted == 1.0 else f'the time in {velocity.text}'}",
                      f"t (times {time / wanted:g})")  # fmt: skip
    return converted, times
