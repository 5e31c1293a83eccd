"""Measurements out of CSV files: what is read, and the line that each kind of damage gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.data import read_measurements
from pinnx.errors import PinnxError


def write(folder: Path, text: str) -> Path:
    path = folder / "probe.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_unsteady_rows_in_any_column_order(tmp_path: Path):
    path = write(tmp_path, "# probe 7\nu, v, x, y, t\n1,2,0.1,0.2,0\n\n3,4,0.1,0.2,0.5\n5,6,0,1,0\n")
    rows = read_measurements(path)
    assert (rows.dim, rows.num_rows, rows.steady) == (2, 3, False)
    assert np.array_equal(rows.coordinates, [[0, 0.1, 0.2], [0.5, 0.1, 0.2], [0, 0, 1]])
    assert np.array_equal(rows.velocity, [[1, 2], [3, 4], [5, 6]])
    assert np.array_equal(rows.times, [0, 0.5, 0])
    assert np.array_equal(rows.positions(), [[0.1, 0.2], [0, 1]])
    assert rows.source == str(path)


def test_steady_rows_in_space(tmp_path: Path):
    rows = read_measurements(write(tmp_path, "x,y,z,u,v,w\n1,2,3,4,5,6\n"))
    assert (rows.dim, rows.steady, rows.times) == (3, True, None)
    assert np.array_equal(rows.coordinates, [[1, 2, 3]])
    assert np.array_equal(rows.velocity, [[4, 5, 6]])
    assert np.array_equal(rows.positions(), [[1, 2, 3]])


def test_spreadsheet_export_with_byte_order_mark_and_quotes(tmp_path: Path):
    rows = read_measurements(write(tmp_path, '\ufeff"x","y","u","v"\r\n0,1,2e-1,-3\r\n'))
    assert np.array_equal(rows.velocity, [[0.2, -3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        ("x,y,u,v\n", "expected rows of numbers below the header, got none"),
        ("0,0,1,1\n", "expected columns out of t, x, y, z, u, v, w, got '0'"),
        ("x,y,u\n0,0,1\n", "expected columns x,y,u,v, missing v"),
        ("x,y,u,v,w\n0,0,1,1,1\n", "expected columns x,y,z,u,v,w, missing z"),
        ("x;y;u;v\n0;0;1;1\n", "got 'x;y;u;v'"),
        ("x,y,u,v,speed\n0,0,1,1,1\n", "got 'speed'"),
        ("x,y,u,v,u\n0,0,1,1,1\n", "got 'u' more than once"),
        ("x,y,u,v\n0,0,1,1\n0,0,1\n", r"line 3: expected 4 values \(x,y,u,v\), got 3"),
        ("x,y,u,v\n\n# c\n0,0,fast,1\n", "line 4, column u: expected a finite number, got 'fast'"),
        ("x,y,u,v\n0,0,1,nan\n", "line 2, column v: .* got 'nan'"),
        ("x,y,u,v\n0,0,1,\n", "line 2, column v: .* got ''"),
        ("t,x,y,u,v\ninf,0,0,1,1\n", "line 2, column t: .* got 'inf'"),
    ],
)
def test_damage_is_named_by_line_and_column(tmp_path: Path, text: str, message: str):
    with pytest.raises(PinnxError, match=message) as raised:
        read_measurements(write(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_missing_and_binary_files(tmp_path: Path):
    with pytest.raises(PinnxError, match="no such file"):
        read_measurements(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(PinnxError, match="expected a CSV text file in UTF-8"):
        read_measurements(binary)
