"""What the first line of a text file of DaVis (LaVision) says.

    #DaVis 8.1.6 2D-vector 32 64 64 "position" "mm" "position" "mm" "velocity" "m/s"
           version         step, rows and columns of the grid; name and unit of x, y, and the velocity

The rows are x, y, u, v. A vector that is masked or was not found is 0 in both components, which no other is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pinnx.data.table_cells import number_of
from pinnx.errors import PinnxError

__all__ = ["davis_table"]

FIRST_LINE = re.compile(r"#DaVis\s+\S+\s+2D-vector\s+\d+\s+(\d+)\s+(\d+)" + r'\s+"[^"]*"\s+"([^"]*)"' * 3)

Rows = Sequence[tuple[int, list[str]]]


def davis_table(path: Path, first_line: str, rows: Rows) -> tuple[tuple[str, ...], Rows] | None:
    """Return names with units, and rows with a column isValid; None: of another program, or another kind of file.

    Raises:
        PinnxError: fewer rows than the grid has, or more.
    """
    said = FIRST_LINE.match(first_line)
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
