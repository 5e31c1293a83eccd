"""Rows of points out of an ASCII file of Tecplot, as PIV programs and solvers write it.

    VARIABLES = "X", "Y", "U", "V"
    ZONE I=4, J=3, DATAPACKING=POINT      a row for each point, or wrapped;  BLOCK: one variable after the other
    0 0 1 2                               N=, E=: points, then the corners of elements, which are left out

Several zones are times: those of SOLUTIONTIME become the column t. `5*0.1` is five numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pinnx.data.table_cells import Lines, cells_of, number_of, separator_of_numbers
from pinnx.errors import PinnxError

__all__ = ["TecplotRows", "is_tecplot", "tecplot_rows"]

VARIABLES = re.compile(r'\bVARIABLES\s*=\s*("[^"]*"(?:[\s,]+"[^"]*")*|[^"\n]+)', re.IGNORECASE)
SIZE = re.compile(r"\b(I|J|K|N|NODES)\s*=\s*([0-9]{1,9})\b")
PACKING = re.compile(r"\b(?:F|DATAPACKING)\s*=\s*(\w+)")
TIME = re.compile(r"\bSOLUTIONTIME\s*=\s*([^\s,]+)")
# What is said of a file, a zone or a variable; all other lines are numbers.
RECORD = re.compile(
    r'\s*(TITLE|VARIABLES|ZONE|TEXT|GEOMETRY|CUSTOMLABELS|\w*AUXDATA|"|\w+\s*=|SINGLE|DOUBLE)', re.IGNORECASE
)
NOT_READ = re.compile(r"\b(CELLCENTERED|VARSHARELIST|PASSIVEVARLIST)\b")
REPEATED = re.compile(r"([0-9]{1,6})\*(.+)")


class TecplotRows(NamedTuple):
    """Names of the columns, (line of the file, cells) of each row, their separator, and the time of the only zone."""

    names: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    separator: str
    time: float | None


@dataclass
class _Zone:
    """Where its numbers begin, what is said of it before them, and their lines."""

    line: int
    head: str
    lines: list[tuple[int, str]] = field(default_factory=list)


def is_tecplot(lines: Lines) -> bool:
    """Whether lines name variables as Tecplot does."""
    return VARIABLES.search("\n".join(line for _, line in lines)) is not None


def tecplot_rows(path: Path, lines: Lines) -> TecplotRows:
    """Return the points of all zones.

    Raises:
        PinnxError: values at cells, or shared between zones; fewer or more numbers than points; zones without times.
    """
    zones = _zones(lines)
    found = VARIABLES.search("\n".join(line for _, line in lines))
    assert found is not None
    names = tuple(re.findall(r'"([^"]*)"', found[1]) or re.split(r"[\s,]+", found[1].strip(" ,\t")))
    if not zones:
        return TecplotRows(names, [], " ", None)
    first = next((separator for _, line in zones[0].lines if (separator := separator_of_numbers(line))), " ")
    rows = [list(_rows(path, zone, len(names), first)) for zone in zones]
    times = [number_of(found[1], ".") for zone in zones if (found := TIME.search(zone.head))]
    if len(zones) == 1:
        return TecplotRows(names, rows[0], first, times[0] if np.isfinite(times).any() else None)
    if {"t", "time"} & {name.strip().casefold() for name in names}:
        return TecplotRows(names, list(chain.from_iterable(rows)), first, None)
    if len(set(times)) < len(zones) or not np.isfinite(times).all():
        raise PinnxError(
            f"{path.name}, line {zones[1].line}: expected one ZONE, or a SOLUTIONTIME in each, got {len(zones)} zones "
            f"at {len(set(times))} times; write each to its own file"
        )
    timed = [(line, [*row, f"{time:.17g}"]) for time, zone in zip(times, rows, strict=True) for line, row in zone]
    return TecplotRows((*names, "t"), timed, first, None)


def _zones(lines: Lines) -> list[_Zone]:
    zones: list[_Zone] = []
    head: list[str] = []
    for number, line in lines:
        if RECORD.match(line):
            head.append(line)
            continue
        if head or not zones:
            zones.append(_Zone(number, _said("\n".join(head))))
            head = []
        zones[-1].lines.append((number, line))
    return zones


def _said(head: str) -> str:
    """What is said of a zone in capitals; text in quotes is none of it, but for F="POINT"."""
    bare = re.sub(r'(\bF\s*=\s*|\bDATAPACKING\s*=\s*)?"([^"]*)"', lambda m: (m[1] or "") + m[2] * bool(m[1]), head)
    return re.split(r"\bZONE\b", bare.upper())[-1]


def _rows(path: Path, zone: _Zone, width: int, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The points of a zone; without its sizes a line is a point."""
    if unread := NOT_READ.search(zone.head):
        raise PinnxError(
            f"{path.name}, line {zone.line}: expected values of all variables at the points of each zone, got "
            f"{unread[0]}; export them so"
        )
    sizes = {name: int(size) for name, size in SIZE.findall(zone.head)}
    packing = "".join(PACKING.findall(zone.head))
    count = math.prod(sizes.values())
    if not sizes:
        if "BLOCK" in packing:
            raise PinnxError(f"{path.name}, line {zone.line}: expected I=, J= or N= in a ZONE of {packing}, got none")
        yield from ((number, _cells(line, separator)) for number, line in zone.lines)
        return
    stream = [(number, cell) for number, line in zone.lines for cell in _cells(line, separator)]
    elements = "N" in sizes or "NODES" in sizes
    if len(stream) < count * width or (len(stream) > count * width and not elements):
        listed = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise PinnxError(
            f"{path.name}, line {zone.line}: expected {count:,} points of {width} values ({listed}), got "
            f"{len(stream):,} values"
        )
    # Programs that leave the packing out write a line for each point.
    in_rows = "POINT" in packing or (not packing and len(_cells(zone.lines[0][1], separator)) == width)
    for begin in range(count):
        place = range(begin * width, (begin + 1) * width) if in_rows else range(begin, count * width, count)
        yield stream[place[0]][0], [stream[index][1] for index in place]


def _cells(line: str, separator: str) -> list[str]:
    cells: list[str] = []
    for cell in cells_of(line.strip(), separator):
        repeated = REPEATED.fullmatch(cell)
        cells += [repeated[2]] * int(repeated[1]) if repeated else [cell] if cell else []
    return cells
