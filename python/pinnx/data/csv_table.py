"""A table of numbers in a text file, as measuring programs and spreadsheets write it.

    columns    separated by tabs, semicolons, commas or spaces; the header may have another separator than the rows
    header     the first line that names the wanted columns; else a comment that does (# x y u v); a line of units may
               follow; a file without one has the names "1", "2", ...; those of DaVis and Tecplot: text_exports, tecplot
    numbers    1.5e-3, or 1,5e-3 where commas separate no columns; Fortran's 1.5D-3
    comments   lines that begin with # or %, and empty lines

Lines are named as an editor counts them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pinnx.data.table_cells import (
    MISSING,
    SEPARATORS,
    Lines,
    cells_of,
    is_number,
    number_of,
    separator_of_numbers,
    shortened,
    trimmed,
)
from pinnx.data.tecplot import is_tecplot, tecplot_rows
from pinnx.data.text_exports import comsol_names, davis_table
from pinnx.errors import PinnxError

__all__ = ["CsvTable", "column_key", "read_csv_table"]

COMMENTS = ("#", "%")
THOUSANDS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
WITH_THOUSANDS = re.compile(r"[+-]?\d{1,3}([.,'\N{RIGHT SINGLE QUOTATION MARK}\s]\d{3})+([.,]\d*)?")
# A word as units are, with a letter unless it says that there is none.
UNIT = re.compile(r"-?|1|(?=.*[^\W\d_])[^\W_][\w/^*.\xb7 -]{0,11}")


@dataclass(frozen=True)
class CsvTable:
    """Args:
    path: of the file.
    header: names of the columns; empty where the file is.
    rows: (line of the file, cells) of each row.
    separator: of the columns of the rows: a tab, ";", "," or " ".
    commented: lines that a # leaves out, though they have the cells of a row.
    time: of all rows, where the file says one beside them.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]
    separator: str = ","
    commented: tuple[int, ...] = ()
    time: float | None = None

    def numbers(
        self,
        columns: Sequence[int] | None = None,
        *,
        optional: Collection[int] = (),
        words: Mapping[str, float] = MappingProxyType({}),
    ) -> np.ndarray:
        """Return columns [rows, k] as float64, NaN where an optional one has none.

        Args:
            columns: their indices, from 0; None: all.
            optional: those in which a number may be missing.
            words: that stand for numbers, in small letters.

        Raises:
            PinnxError: a cell that is no finite number, or decimal commas beside decimal points (line and column are
                named).
        """
        columns = range(len(self.header)) if columns is None else columns
        decimal = self._decimal(columns)
        found = np.full((len(self.rows), len(columns)), np.nan)
        for index, (line, row) in enumerate(self.rows):
            for place, column in enumerate(columns):
                cell = row[column].strip()
                if column in optional and cell.lower() in MISSING:
                    continue
                value = words[cell.lower()] if cell.lower() in words else number_of(cell, decimal)
                if not math.isfinite(value):
                    raise PinnxError(
                        f"{self.path.name}, line {line}, column {self.header[column]}: "
                        f"expected a finite number, got {shortened(repr(cell), 60)}{self._hint(cell)}"
                    )
                found[index, place] = value
        return found

    @property
    def separated(self) -> str:
        """How the columns are separated, in words: "separated by commas"."""
        return f"separated by {SEPARATORS[self.separator]}"

    def _decimal(self, columns: Sequence[int]) -> str:
        """The decimal mark of some columns: "," or "."."""
        if self.separator == ",":
            return "."
        first: dict[str, tuple[int, str]] = {}
        for line, row in self.rows:
            for column in columns:
                for mark in ",.":
                    if mark not in first and mark in row[column]:
                        first[mark] = (line, row[column].strip())
        if len(first) == 2:
            (comma, a), (point, b) = first[","], first["."]
            if comma == point and a == b:
                raise PinnxError(
                    f"{self.path.name}, line {comma}: expected numbers without separators of thousands, "
                    f"got {shortened(repr(a), 60)}"
                )
            raise PinnxError(
                f"{self.path.name}: expected decimal points or decimal commas, got {shortened(repr(a), 60)} in line "
                f"{comma} and {shortened(repr(b), 60)} in line {point}"
            )
        mark = "," if "," in first else "."
        for column in columns if first else ():
            self._refuse_thousands(column, mark)
        return mark

    def _refuse_thousands(self, column: int, mark: str) -> None:
        """Refuses 1,150 beside 550, which is 1150: decimals have other lengths, too, and no integers beside them."""
        cells = [row[column].strip().lstrip("+-") for _, row in self.rows]
        marked = [index for index, cell in enumerate(cells) if mark in cell]
        plain = [cell for cell in cells if mark not in cell and cell.isdecimal()]
        if (
            marked
            and len(marked) + len(plain) + sum(not cell for cell in cells) == len(cells)
            and all(THOUSANDS.fullmatch(cells[index]) for index in marked)
            and max(map(float, plain), default=0.0) >= 100.0
        ):
            line, row = self.rows[marked[0]]
            raise PinnxError(
                f"{self.path.name}, line {line}, column {self.header[column]}: expected numbers without separators "
                f"of thousands, got {row[column].strip()!r} beside whole numbers; write "
                f"{row[column].strip().replace(mark, '')}, or all numbers of the column with decimals"
            )

    def _hint(self, cell: str) -> str:
        if re.search(r"\d:\d\d|\d{4}-\d\d-\d\d", cell):
            return "; write times as numbers, seconds from the first"
        if not cell:
            return "; fill it in, or leave the row out"
        if WITH_THOUSANDS.fullmatch(cell):
            return "; write numbers without separators of thousands"
        others = [name for mark, name in SEPARATORS.items() if mark != self.separator and mark in cell]
        return f", which has {' and '.join(others)}; the columns are {self.separated}" if others else ""


def read_csv_table(path: str | os.PathLike[str], named: Sequence[str] = ("x", "y")) -> CsvTable:
    """Read a table of numbers from a text file.

    Args:
        path: the file.
        named: the columns that the header names at least; it is recognised by them, capitals and units apart.

    Raises:
        PinnxError: no such file, no text, or a row of another length than the header (its line is named).
    """
    path = Path(path)
    # Not splitlines(), which also ends lines at characters that an editor shows within one.
    text = _text_of(path).replace("\r\n", "\n").replace("\r", "\n")
    text = text.partition("\n[Faces]\n")[0]  # CFX: which nodes make a face
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    plain = [(number, line) for number, line in lines if not line.lstrip().startswith(COMMENTS)]
    first = next((number for number, line in plain if separator_of_numbers(line)), len(text) + 1)
    if is_tecplot([(number, line) for number, line in plain if number < first]):
        names, points, separator, time = tecplot_rows(path, plain)
        header = tuple(_shown_name(name) for name in names)
        return CsvTable(path, header, _table_rows(path, points, header, separator), separator, time=time)
    header, header_line, separator = _header(lines, first, [column_key(name) for name in named])
    rows = [(number, line) for number, line in plain if number > header_line]
    if not header and rows:
        separator = separator_of_numbers(rows[0][1]) or ","
        header = tuple(str(number) for number in range(1, len(cells_of(rows[0][1], separator)) + 1))
    if rows:
        separator = _separator_of(rows[0][1], len(header), separator)
        if rows[0][1].lstrip().startswith('"') and len(cells_of(rows[0][1], separator)) == len(header) + 1:
            header = ("", *header)  # R's write.table names no column of row names
        if rows[0][0] < first and (units := _units(cells_of(rows[0][1], separator), len(header))):
            header = tuple(f"{name} {unit}" for name, unit in zip(header, units, strict=True))
            rows = rows[1:]
    header = comsol_names(path, header, [(number, line) for number, line in lines if number < first])
    header = tuple(_shown_name(name) for name in header)
    below = [(number, line) for number, line in lines if number > header_line > 0]
    labelled, left_out = _commented(below, rows, len(header), separator)
    rows = sorted((*rows, *labelled))
    cells = [(number, trimmed(cells_of(line, separator), len(header))) for number, line in rows]
    if lines and (davis := davis_table(path, lines[0][1], cells)):
        header, cells = davis
    return CsvTable(path, header, _table_rows(path, cells, header, separator), separator, tuple(left_out))


def column_key(name: str) -> str:
    """A column's name as names are compared: without its unit, and without capitals."""
    return re.sub(r"[\s/]*(\[[^\]]*\]|\([^)]*\))\s*$", "", name.strip()).casefold()


def _shown_name(name: str) -> str:
    """A name as messages can show it: on one line, without characters that steer a terminal."""
    return shortened(" ".join("".join(letter if letter.isprintable() else " " for letter in name).split()), 100)


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PinnxError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise PinnxError(f"{path}: expected a text file, got: {error}") from None
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheets on Windows; each byte but a few is a letter there.
        text = data.decode("cp1252", errors="replace")
    if "\0" in text or "\N{REPLACEMENT CHARACTER}" in text:
        raise PinnxError(
            f"{path}: expected a text file (UTF-8) with a table, got binary data; unpack it, export it as CSV, "
            "or state what a field without a header is by data.raw"
        )
    return text


def _header(lines: Lines, first: int, named: Sequence[str]) -> tuple[tuple[str, ...], int, str]:
    """The names of the columns, the line after which the rows follow, and what separates the names.

    Args:
        lines: (number, text) of all lines that are not empty.
        first: number of the first line of nothing but numbers.
        named: keys of names that make a line the header.
    """
    above = [(number, line) for number, line in lines if number < first]
    plain = [(number, line) for number, line in above if not line.lstrip().startswith(COMMENTS)]
    for number, line in (*plain, *reversed(above)) if named else ():
        comment = line.lstrip().startswith(COMMENTS)
        for separator in SEPARATORS:
            names = _names(line.lstrip("#% \t") if comment else line, separator)
            # Its first word, too, so that "x / mm" is one name and not three.
            keys = {key for name in names for key in (column_key(name), re.split(r"[\s/]", column_key(name))[0])}
            if set(named) <= keys:
                return names, 0 if comment else number, separator
    if not plain or any(is_number(cell) for separator in SEPARATORS for cell in cells_of(plain[0][1], separator)):
        return (), 0, ","
    # Text that does not name what is wanted: the caller says what is missing in it.
    number, line = plain[0 if lines[-1][0] < first else -1]
    separator = max(SEPARATORS, key=lambda mark: len(_names(line, mark)) - (mark == " "))
    return _names(line, separator), number, separator


def _units(cells: Sequence[str], width: int) -> list[str]:
    """A line of units below the names, each in brackets; empty where a line is none."""
    plain = [cell.strip("[]() ") for cell in cells]
    if len(plain) != width or not any(plain) or not all(UNIT.fullmatch(unit) for unit in plain):
        return []
    return [f"[{unit}]" for unit in plain]


def _names(line: str, separator: str) -> tuple[str, ...]:
    """The names in a header; a unit behind a name belongs to it where spaces separate the names."""
    if separator == " ":
        line = re.sub(r"\s+([\[(][^\])]*[\])])", lambda unit: unit[1].replace(" ", ""), line)
    return tuple(trimmed(cells_of(line, separator)))


def _commented(lines: Lines, rows: Lines, width: int, separator: str) -> tuple[list[tuple[int, str]], list[int]]:
    """Lines with the cells of a row that begin with #: rows whose label is #1, #2, ..., and numbers of other lines."""
    labels = not any(is_number(cells_of(row, separator)[0], ",.") for _, row in rows)
    labelled, left_out = [], []
    for number, line in lines:
        cells = cells_of(line.strip(), separator)
        if line.lstrip().startswith("#") and len(cells) == width > 1 and all(is_number(c, ",.") for c in cells[1:]):
            if labels and cells[0][1:].strip().isdecimal():
                labelled.append((number, line.strip()))
            else:
                left_out.append(number)
    return labelled, left_out


def _table_rows(
    path: Path, rows: Sequence[tuple[int, list[str]]], header: Sequence[str], separator: str
) -> tuple[tuple[int, list[str]], ...]:
    """Rows that are not empty, each with a cell for each name."""
    for number, cells in rows:
        if any(cells) and len(cells) != len(header):
            raise PinnxError(
                f"{path.name}, line {number}: expected {len(header)} values ({shortened(','.join(header))}) "
                f"separated by {SEPARATORS[separator]}, got {len(cells)}"
            )
    return tuple((number, cells) for number, cells in rows if any(cells))


def _separator_of(line: str, width: int, likely: str) -> str:
    """The separator that makes as many cells of a line as there are names; else that of the names."""
    for separator in (likely, *SEPARATORS):
        if len(trimmed(cells_of(line, separator), width)) == width:
            return separator
    return likely
