"""The cells of a line of a table, and the numbers that they say, with decimal points or commas, as 1.5e-3 or 1.5D-3."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence

__all__ = [
    "MISSING",
    "SEPARATORS",
    "Lines",
    "cells_of",
    "is_number",
    "number_of",
    "separator_of_numbers",
    "shortened",
    "trimmed",
]

# In the order in which they are tried: a tab or a semicolon is never part of a number, a space may surround any other.
SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "spaces"}
# What programs write where there is no number; #NV is Excel's #N/A in German.
MISSING = frozenset(("", "nan", "-nan", "na", "n/a", "#n/a", "#nv", "null", "none", "-", "--"))
FORTRAN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[dD][+-]?\d{1,3}")

Lines = Sequence[tuple[int, str]]


def shortened(text: str, most: int = 300) -> str:
    """A text out of a file as a message can show it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line; spaces separate in any number."""
    if separator == " ":
        line = " ".join(line.split())
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error:  # a cell of more than 131,072 characters
        return [line]


def trimmed(cells: list[str], least: int = 1) -> list[str]:
    """Cells without the empty ones that separators at the end of a line leave behind."""
    while len(cells) > least and not cells[-1]:
        cells.pop()
    return cells


def separator_of_numbers(line: str) -> str | None:
    """The separator that makes nothing but numbers, two at least, of a line."""
    for separator in SEPARATORS:
        cells = [cell for cell in cells_of(line, separator) if cell]
        if len(cells) > 1 and all(is_number(cell, "." if separator == "," else ",.") for cell in cells):
            return separator
    return None


def is_number(cell: str, decimals: str = ".") -> bool:
    """Whether a cell says a number, or that there is none."""
    return any(not math.isnan(number_of(cell, mark)) for mark in decimals) or cell.lower() in MISSING - {""}


def number_of(cell: str, decimal: str) -> float:
    """The number that a cell says; NaN where it says none. float() alone takes 1_000 for a number."""
    text = cell.replace("\N{MINUS SIGN}", "-")
    text = text if decimal == "." else text.replace(",", ".")
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return float(text.lower().replace("d", "e")) if FORTRAN.fullmatch(text) else math.nan
