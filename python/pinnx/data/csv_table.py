"""A CSV file with a header and numbers below it; empty lines and lines that begin with # are skipped."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnx.errors import PinnxError

__all__ = ["CsvTable", "read_csv_table"]


@dataclass(frozen=True)
class CsvTable:
    """Args:
    path: of the file.
    header: names of the columns; empty where the file is.
    rows: (line of the file, cells) of each row, lines as an editor counts them.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]

    def numbers(self) -> np.ndarray:
        """Return the cells [rows, columns] as float64.

        Raises:
            PinnxError: a row of another length than the header, or a cell that is no finite number
                (the line and the column are named).
        """
        found = np.empty((len(self.rows), len(self.header)))
        for index, (line, row) in enumerate(self.rows):
            where = f"{self.path.name}, line {line}"
            if len(row) != len(self.header):
                raise PinnxError(
                    f"{where}: expected {len(self.header)} values ({','.join(self.header)}), got {len(row)}"
                )
            for column, (name, cell) in enumerate(zip(self.header, row, strict=True)):
                try:
                    found[index, column] = float(cell)
                except ValueError:
                    found[index, column] = np.nan
                if not np.isfinite(found[index, column]):
                    raise PinnxError(f"{where}, column {name}: expected a finite number, got {cell.strip()!r}")
        return found


def read_csv_table(path: str | os.PathLike[str]) -> CsvTable:
    """Read a UTF-8, comma-separated file with one header line.

    Raises:
        PinnxError: no such file, or no text.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PinnxError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PinnxError(f"{path}: expected a CSV text file in UTF-8, got: {error}") from None
    rows = [
        (number, next(csv.reader([line])))
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    header = tuple(name.strip() for name in rows[0][1]) if rows else ()
    return CsvTable(path, header, tuple(rows[1:]))
