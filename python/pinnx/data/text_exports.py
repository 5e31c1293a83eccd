"""What text files of COMSOL and of DaVis (LaVision) say above their rows.

    % Length unit:   mm                                   COMSOL: of x, y, z, whose names carry none
    % x   y   u (m/s) @ t=0   u (m/s) @ t=0.5             a column for each time, which no table of rows has

    #DaVis 8.1.6 2D-vector 32 64 64 "position" "mm" "position" "mm" "velocity" "m/s"
           version         step, rows and columns of the grid; name and unit of x, y, and the velocity

Rows of DaVis are x, y, u, v. A vector that is masked or was not found is 0 in both components, which no other is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pinnx.data.table_cells import Lines, number_of
from pinnx.errors import PinnxError

__all__ = ["comsol_names", "davis_table"]

LENGTH_UNIT = re.compile(r"\s*%\s*Length unit:\s*(\S+)")
TIME_OF_COLUMN = re.compile(r"\s*%.*?(\S+\s*(\([^)]*\)\s*)?@\s*t=\S+)")
FIRST_OF_DAVIS = re.compile(r"#DaVis\s+\S+\s+2D-vector\s+\d+\s+(\d+)\s+(\d+)" + r'\s+"[^"]*"\s+"([^"]*)"' * 3)

Rows = Sequence[tuple[int, list[str]]]


def comsol_names(path: Path, names: Sequence[str], above: Lines) -> tuple[str, ...]:
    """Return names of columns, those of x, y and z with their unit; of another program as they are.

    Args:
        path: of the file.
        names: of its columns.
        above: (number, text) of the lines above the rows.

    Raises:
        PinnxError: columns at times of their own.
    """
    for number, line in above:
        if found := TIME_OF_COLUMN.match(line):
            raise PinnxError(
                f"{path.name}, line {number}: expected one row for each place and time, got {found[1]!r}, a column for "
                "each time; write a row for each, with a column t"
            )
    unit = next((found[1] for _, line in above if (found := LENGTH_UNIT.match(line))), None)
    return tuple(f"{name} [{unit}]" if unit and name.casefold() in ("x", "y", "z") else name for name in names)


def davis_table(path: Path, first_line: str, rows: Rows) -> tuple[tuple[str, ...], Rows] | None:
    """Return names with units, and rows with a column isValid; None: of another program, or another kind of file.

    Raises:
        PinnxError: fewer rows than the grid has, or more.
    """
    said = FIRST_OF_DAVIS.match(first_line)
    if said is None or {len(cells) for _, cells in rows} != {4}:
        return None
    count = int(said[1]) * int(said[2])
    if len(rows) != count:
        raise PinnxError(
            f"{path.name}: expected {said[1]} x {said[2]} vectors, as its first line says, got {len(rows):,} rows; "
            "export it again"
        )
    units = (*said.group(3, 4, 5), said[5])
    names = [f"{name} [{unit}]" if unit else name for name, unit in zip("xyuv", units, strict=True)]
    zero = [all(number_of(cell, ",") == 0.0 for cell in cells[2:]) for _, cells in rows]
    marked = [(line, [*cells, str(int(not none))]) for (line, cells), none in zip(rows, zero, strict=True)]
    return (*names, "isValid"), marked
