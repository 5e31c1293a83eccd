"""Columns and arrays in which programs mark the vectors that they did not measure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pinnx.data.csv_table import CsvTable, column_key
from pinnx.errors import PinnxError

__all__ = ["LIKE_MARKS", "MARKS", "valid_rows"]

# Names of columns, and the marks of what was measured: OpenPIV (flags: 0 valid, 1 invalid, 2 interpolated; mask: 1
# masked), Insight (CHC: above 0 valid), PIVlab (1 valid, 3 second peak; 0 masked, 2 rejected), DaVis (isValid) and
# ParaView (vtkValidPointMask: 0 outside the data that was probed).
MARKS: Mapping[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "flags": ("0 is valid", lambda marks: marks == 0),
    "mask": ("0 is not masked", lambda marks: marks == 0),
    "chc": ("above 0 is valid", lambda marks: marks > 0),
    "vector type": ("1 and 3 are valid", lambda marks: (marks == 1) | (marks == 3)),
    "isvalid": ("1 is valid", lambda marks: marks == 1),
    "vtkvalidpointmask": ("1 is valid", lambda marks: marks == 1),
}
MARK_WORDS = {"true": 1.0, "false": 0.0}
# Names of marks whose numbers differ from program to program.
LIKE_MARKS = re.compile(r"flag|valid|quality|qc|status|masked|outlier|bad|typevector", re.IGNORECASE)


def valid_rows(table: CsvTable) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows no column of marks calls invalid, [rows], and a sentence for each column that calls some so.

    Raises:
        PinnxError: marks that are no numbers.
    """
    chosen, notes = np.ones(len(table.rows), dtype=bool), []
    for index, name in enumerate(table.header):
        if (mark := MARKS.get(column_key(name))) is None:
            continue
        try:
            valid = mark[1](table.numbers([index], optional={index}, words=MARK_WORDS)[:, 0])
        except PinnxError as error:
            wanted = f"{name} marks rows by numbers ({mark[0]}), true or false; write one of them, or rename the column"
            raise PinnxError(f"{error}. {wanted}") from None
        if not valid.all():
            count = f"{np.count_nonzero(~valid):,} of {valid.size:,}"
            notes.append(f"{count} rows are left out: {name} marks them as not measured ({mark[0]}).")
        chosen &= valid
    return chosen, notes
