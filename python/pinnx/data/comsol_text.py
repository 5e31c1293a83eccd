"""What the comments above the rows of a text file of COMSOL say.

% Length unit:   mm                                   of x, y, z, whose names carry none
% x   y   u (m/s) @ t=0   u (m/s) @ t=0.5             a column for each time, which no table of rows has
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pinnx.data.table_cells import Lines
from pinnx.errors import PinnxError

__all__ = ["comsol_names"]

LENGTH_UNIT = re.compile(r"\s*%\s*Length unit:\s*(\S+)")
TIME_OF_COLUMN = re.compile(r"\s*%.*?(\S+\s*(\([^)]*\)\s*)?@\s*t=\S+)")


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
