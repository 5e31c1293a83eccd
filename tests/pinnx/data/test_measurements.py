"""Measurements out of tables: what is read, what is left out with a word, and the line that damage gets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pinnx.data import read_measurements
from pinnx.data.measured_rows import Measurements
from pinnx.data.measurements import Columns
from pinnx.errors import PinnxError

NAN = np.nan


def write(folder: Path, text: str) -> Path:
    path = folder / "probe.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, **columns: object) -> Measurements:
    return read_measurements(write(folder, text), Columns(**columns))


def test_unsteady_rows_in_any_column_order(tmp_path: Path):
    path = write(tmp_path, "# probe 7\nu, v, x, y, t\n1,2,0.1,0.2,0\n\n3,4,0.1,0.2,0.5\n5,6,0,1,0\n")
    rows = read_measurements(path)
    assert (rows.dim, rows.num_rows, rows.steady) == (2, 3, False)
    assert np.array_equal(rows.coordinates, [[0, 0.1, 0.2], [0.5, 0.1, 0.2], [0, 0, 1]])
    assert np.array_equal(rows.velocity, [[1, 2], [3, 4], [5, 6]])
    assert np.array_equal(rows.times, [0, 0.5, 0])
    assert np.array_equal(rows.positions(), [[0.1, 0.2], [0, 1]])
    assert rows.source == str(path)
    assert rows.notes == ()


def test_steady_rows_in_space(tmp_path: Path):
    rows = read(tmp_path, "x,y,z,u,v,w\n1,2,3,4,5,6\n1,2,4,4,5,6\n")
    assert (rows.dim, rows.steady, rows.times) == (3, True, None)
    assert np.array_equal(rows.coordinates, [[1, 2, 3], [1, 2, 4]])
    assert np.array_equal(rows.velocity, [[4, 5, 6], [4, 5, 6]])
    assert np.array_equal(rows.positions(), [[1, 2, 3], [1, 2, 4]])


def test_a_plane_leaves_z_and_w_out_and_says_so(tmp_path: Path):
    for text in ("x,y,z,u,v,w\n0,1,0.5,1,2,9\n1,1,0.5,3,4,9\n", "x,y,u,v,w\n0,1,1,2,9\n1,1,3,4,9\n"):
        rows = read(tmp_path, text)
        assert np.array_equal(rows.coordinates, [[0, 1], [1, 1]])
        assert np.array_equal(rows.velocity, [[1, 2], [3, 4]])
        assert "w is not used" in rows.notes[0]
    spatial = read_measurements(write(tmp_path, "x,y,z,u,v,w\n0,1,0.5,1,2,9\n1,1,0.5,3,4,9\n"), plane=False)
    assert (spatial.dim, spatial.notes) == (3, ())
    # Without w the flow is three-dimensional all the same, and w is what was not measured.
    (row, _) = read(tmp_path, "x,y,z,u,v\n0,1,0.5,1,2\n1,1,0.6,3,4\n").velocity
    np.testing.assert_array_equal(row, [1, 2, NAN])


@pytest.mark.parametrize(
    ("header", "row", "velocity", "pressure", "speed"),
    [
        ("t,x,y,u", "0,1,1,5", [5, NAN], None, None),
        ("t,x,y,v,p", "0,1,1,5,7", [NAN, 5], 7, None),
        ("x,y,speed", "1,1,5", [NAN, NAN], None, 5),
        ("x,y,u,v,speed", "1,1,3,,5", [3, NAN], None, 5),
        ("x,y,u,v,speed", "1,1,3,4,5", [3, 4], None, None),  # nothing new beside both components
        ("x,y,p", "1,1,5", [NAN, NAN], 5, None),
        ("x,y,u,v", "1,1,,2", [NAN, 2], None, None),
        ("x,y,u,v", "1,1,NaN,2", [NAN, 2], None, None),
        ("x;y;u;v", "1;1;#NV;2", [NAN, 2], None, None),
    ],
)
def test_any_part_may_be_measured(
    tmp_path: Path, header: str, row: str, velocity: list[float], pressure: float | None, speed: float | None
):
    rows = read(tmp_path, f"{header}\n{row}\n")
    np.testing.assert_array_equal(rows.velocity, [velocity])
    assert (None if rows.pressure is None else rows.pressure.tolist()) == (None if pressure is None else [pressure])
    assert (None if rows.speed is None else rows.speed.tolist()) == (None if speed is None else [speed])
    assert any("missing in 1 of 1 rows" in note for note in rows.notes) == (",," in row or "NaN" in row or "#" in row)


def test_rows_without_any_number_are_left_out_and_counted(tmp_path: Path):
    rows = read(tmp_path, "x,y,u,v,p\n0,1,1,5,\n1,1,,,3\n2,2,,,\n")
    np.testing.assert_array_equal(rows.velocity, [[1, 5], [NAN, NAN]])
    np.testing.assert_array_equal(rows.pressure, [NAN, 3])
    assert rows.notes[0] == "1 of 3 rows have no number in u, v, p and are left out."
    assert rows.notes[1] == "u is missing in 1 of 2 rows and counts as not measured there."
    with pytest.raises(PinnxError, match="expected rows that were measured, got none"):
        read(tmp_path, "x,y,u,v\n0,1,,\n")


@pytest.mark.parametrize(
    ("text", "column", "meaning"),
    [
        ("# x\ty\tu\tv\tflags\tmask\n1\t1\t5\t5\t0\t0\n2\t1\t5\t5\t1\t0\n3\t1\t5\t5\t2\t0\n", "flags", "0 is valid"),
        ("# x y u v flags mask\n1 1 5 5 0 0\n2 1 5 5 0 1\n3 1 nan nan 0 1\n", "mask", "0 is not masked"),
        ('TITLE="a.vec" VARIABLES="X m", "Y m", "U m/s", "V m/s", "CHC", ZONE I=3, J=1, F=POINT\n'
         "1, 1, 5, 5, 1\n2, 1, 5, 5, -1\n3, 1, 0, 0, -3\n", "CHC", "above 0 is valid"),
        ("PIVlab by W.Th. & E.J.S., ASCII chart output - 29-Jan-2014\n"
         "FRAME: 1, filenames: A & B, conversion factor xy (px -> m): 1\n"
         "x [m],y [m],u [m/s],v [m/s],Vector type [-]\n1,1,5,5,1\n2,1,NaN,NaN,0\n3,1,5,5,2\n",
         "Vector type [-]", "1 and 3 are valid"),
    ],
)  # fmt: skip
def test_vectors_that_a_program_marks_are_left_out(tmp_path: Path, text: str, column: str, meaning: str):
    rows = read(tmp_path, text)
    np.testing.assert_array_equal(rows.coordinates, [[1, 1]])
    assert rows.notes == (f"2 of 3 rows are left out: {column} marks them as not measured ({meaning}).",)
    every = read(tmp_path, text, flagged=True)
    assert every.num_rows + sum("no number" in note for note in every.notes) == 3
    assert any(note.startswith("Columns that are not used:") and column in note for note in every.notes)


def test_columns_by_name_and_by_number(tmp_path: Path):
    # U beside u is a speed, or a set of capitals of its own.
    assert read(tmp_path, "x,y,U,u,v\n0,0,5,3,4\n").velocity.tolist() == [[3.0, 4.0]]
    paraview = '"U:0","U:1","U:2","p","Points:0","Points:1","Points:2"\n1,2,0,3,0.1,0.2,0\n'
    rows = read(tmp_path, paraview, x="Points:0", y="points:1", u="U:0", v="U:1", p=None)
    assert (rows.coordinates.tolist(), rows.velocity.tolist(), rows.pressure) == ([[0.1, 0.2]], [[1, 2]], None)
    assert rows.notes == ("Columns that are not used: U:2, p, Points:2.",)
    davis = '#DaVis 8.1.6 2D-vector 32 64 64 "position" "mm"\n-14,9635\t32,4113\t0,5\t-0\n'
    rows = read(tmp_path, davis, x=1, y=2, u=3, v=4)
    assert (rows.coordinates.tolist(), rows.velocity.tolist()) == ([[-14.9635, 32.4113]], [[0.5, 0]])
    assert read(tmp_path, " 16  17 -1  5.5 51\n", x=1, y=2, u=3, v=4).velocity.tolist() == [[-1, 5.5]]
    with pytest.raises(PinnxError, match=r"no column 'U:3' for u; it has U:0, .*, Points:2 \(separated by commas\)"):
        read(tmp_path, paraview, x="Points:0", y="Points:1", u="U:3")


def test_a_place_twice_at_one_time(tmp_path: Path):
    rows = read(tmp_path, "t,x,y,u,v\n0,1,1,0.5,0.1\n1,1,1,0.5,0.1\n0,1,1,9.9,-9.9\n1,1,1,0.5,0.1\n")
    assert rows.num_rows == 4
    assert rows.notes == (
        "1 of 4 rows repeat an earlier one (same place, time and values) and count twice: lines 3 and 5.",
        "1 of 4 rows have the place and time of another one with other values, and both are fitted: lines 2 and 4.",
    )
    many = read(tmp_path, "x,y,u,v\n" + "".join(f"{i % 6},1,{i},0\n" for i in range(12))).notes
    assert many[0].endswith("lines 2 and 8, 3 and 9, 4 and 10, and 3 more.")
    # A pressure tap beside a velocity probe says nothing twice, and one sensor measures at many times.
    assert not any("rows" in note and "place" in note for note in read(tmp_path, "x,y,u,p\n1,1,5,\n1,1,,7\n").notes)
    assert read(tmp_path, "t,x,y,u,v\n0,1,1,5,5\n1,1,1,5,5\n").notes == ()


def test_a_flow_without_direction_is_said(tmp_path: Path):
    for text, said in (
        ("x,y,speed\n1,1,5\n", True),
        ("x,y,p\n1,1,5\n", True),
        ("x,y,u,speed\n1,1,,5\n1,2,4,5\n", False),
    ):
        assert any("from its reverse" in note for note in read(tmp_path, text).notes) == said


def test_many_rows_at_rest_are_questioned(tmp_path: Path):
    """DaVis writes masked vectors as 0 and -0, without a mark."""
    for still, said in ((2, False), (3, True)):
        rows = "".join(f"{i},1,{0 if i < still else i},-0\n" for i in range(20))
        notes = read(tmp_path, f"x,y,u,v\n{rows}").notes
        assert any(f"{still} of 20 rows have a velocity of exactly 0" in note for note in notes) == said


def test_a_pressure_out_of_scale_is_questioned(tmp_path: Path):
    absolute = read(tmp_path, "x,y,u,v,p\n0,0,1,2,101325\n1,1,2,1,101000\n").notes
    assert any("Is it divided by the density" in note for note in absolute)
    assert not any("divided by the density, and" in note for note in read(tmp_path, "x,y,u,p\n0,0,1,3\n").notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        ("x,y,u,v\n", "expected rows of numbers below the header, got none"),
        ("0,0,1,1\n", "missing x, y; it has 4 columns without names, separated by commas. Say .*x: 1, y: 2"),
        ("x,y\n0,0\n", r"missing one of u, v, p, speed; it has x, y \(separated by commas\)"),
        ("x,v,u\n0,0,1\n", "expected columns x, y and u, v, missing y; it has x, v, u"),
        ("x|y|u|v\n0|0|1|1\n", r"it has one column, 'x\|y\|u\|v': columns are separated by commas, semi"),
        ("# Probe 0 (0 0 0)\n# Time\n0.1 (1 0 0) (1 1 0)\n", "lines such as '0.1 .*', which are no"),
        ("x,y,u,v,u\n0,0,1,1,1\n", "got 'u' more than once; a column number chooses: data.measurements.u=3"),
        ("x,y,u,v\n0,0,1,1\n0,0,1\n", r"line 3: expected 4 values \(x,y,u,v\) separated by commas, got 3"),
        ("x;y;u;v\n0;0;1;1\n0;0;1,5;1;2\n", r"line 3: expected 4 values \(x,y,u,v\) separated by semicolons, got 5"),
        ("x,y,u,v\n\n# c\n0,0,fast,1\n", "line 4, column u: expected a finite number, got 'fast'"),
        ("x,y,u,v\n0,0,0_5,1\n", "line 2, column u: expected a finite number, got '0_5'"),
        ("x;y;u;v\n0,5;1;2;3\n0.5;1;2;3\n", "expected decimal points or decimal commas, got '0,5' in line 2 and '0.5'"),
        ("x;y;u;v\n0,5;1;1.234,5;3\n", "expected decimal points or decimal commas"),
        ('x,y,u,v\n"1,5",1,2,3\n', "line 2, column x: expected a finite number, got '1,5'"),
        ("x,y,u,v\nm,m,m/s,0.5\n0,0,1,1\n", "line 2, column x: expected a finite number, got 'm'"),
        ("x,y,u,v\n,0,1,1\n", "line 2, column x: .* got ''"),
        ("x,y,u,v\n0,0,1,inf\n", "line 2, column v: .* got 'inf'"),
        ("t,x,y,u,v\ninf,0,0,1,1\n", "line 2, column t: .* got 'inf'"),
        ("t,x,y,u,v\n2024-05-01 12:00,0,0,1,1\n", "column t: .* got '2024-05-01 12:00'; write times as numbers"),
    ],
)  # fmt: skip
def test_damage_is_named_by_line_and_column(tmp_path: Path, text: str, message: str):
    with pytest.raises(PinnxError, match=message) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_missing_and_binary_files(tmp_path: Path):
    with pytest.raises(PinnxError, match="no such file"):
        read_measurements(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    for content in (b"\x89HDF\r\n\x1a\n\x00\x00\x00", b"\xff\xfe\x00\x01\x02", b"\x81\x8d\x90"):
        binary.write_bytes(content)
        with pytest.raises(PinnxError, match="expected a text file"):
            read_measurements(binary)


PLAIN = "x,y,u,v,p\n" + "".join(f"{i},1,{1.3 - 0.1 * i},{0.2 * i},0.3\n" for i in range(8))


@pytest.mark.parametrize("mark", ["-999", "-99", "-9.99", "9999", "-32768", "1000000", "9.969209968386869e+36"])
def test_a_number_that_marks_missing_values_is_refused(tmp_path: Path, mark: str):
    text = PLAIN.replace("3,1,1.0,", f"3,1,{mark},")
    assert mark in text
    message = re.escape(f"u, v: expected measured values, got {mark} in line 5 where all other values are within 1.4. ")
    with pytest.raises(PinnxError, match=rf"{message}data.measurements.missing=\[{re.escape(mark)}\] leaves"):
        read(tmp_path, text)
    rows = read(tmp_path, text, missing=(float(mark),))
    assert np.flatnonzero(np.isnan(rows.velocity[:, 0])).tolist() == [3]
    assert any("u is missing in 1 of 8 rows" in note for note in rows.notes)
    assert read(tmp_path, text, missing=()).velocity[3, 0] == float(mark)
    with pytest.raises(PinnxError, match=r"p: expected measured values, got -999 in line 2"):
        read(tmp_path, PLAIN.replace("0.0,0.3", "0.0,-999"))


def test_values_out_of_scale_are_questioned(tmp_path: Path):
    def notes(text: str) -> list[str]:
        return [note for note in read(tmp_path, text, p=None).notes if "all other values" in note]

    assert notes(PLAIN) == []
    assert notes(PLAIN.replace("3,1,1.0,", "3,1,10.0,")) == []
    (note,) = notes(PLAIN.replace("3,1,1.0,", "3,1,1413,"))
    assert note == "Look at u, v in line 5: 1.41e+03 and above, where all other values are within 1.4."
    # As large as the flow itself: neither refused nor believed without a word.
    large = "x,y,u,v\n" + "".join(f"{i},1,{400 + i},{i}\n" for i in range(8))
    (note,) = notes(large.replace("403", "-999"))
    assert note.startswith("u, v: got -999 in line 5 where all other values are within 407.")
    assert notes(large.replace("403", "-99")) == []
    assert len(notes("x,y,u,v\n0,0,-999,0\n1,0,0,0\n")) == 1, "nothing to compare with"


def test_a_time_under_another_name_is_not_left_out(tmp_path: Path):
    rows = "".join(f"{time};{place};1;{time + place};0\n" for time in range(5) for place in range(10))
    for name, shown in (("Zeit [s]", "Zeit .s."), ("timestamp", "timestamp"), ("n", "n")):
        with pytest.raises(PinnxError, match=f"40 of 50 rows have the place .* in {shown}.*measurements.t=NAME"):
            read(tmp_path, f"{name};x;y;u;v\n{rows}")
        assert not read(tmp_path, f"{name};x;y;u;v\n{rows}", t=name).steady
        assert read(tmp_path, f"{name};x;y;u;v\n{rows}", t=None).steady
    assert read(tmp_path, "run,x,y,u,v\n1,0,0,1,1\n1,1,0,1,1\n1,2,0,1,1\n2,0,0,1,2\n").steady, "one row repeated"


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("vtkValidPointMask", "1", "0"),
        ("isValid", "1", "0"),
        ("isValid", "True", "False"),
        ("mask", "false", "true"),
    ],
)
def test_marks_of_further_programs(tmp_path: Path, column: str, good: str, bad: str):
    rows = read(tmp_path, f"x,y,u,v,{column}\n1,1,5,5,{good}\n2,1,9,9,{bad}\n")
    assert rows.velocity.tolist() == [[5, 5]]
    assert rows.notes[0].startswith(f"1 of 2 rows are left out: {column} marks")


def test_marks_without_a_meaning_are_questioned_or_refused(tmp_path: Path):
    with pytest.raises(PinnxError, match=r"line 2, column flags: .* 'OK'. flags marks rows by numbers \(0 is valid\)"):
        read(tmp_path, "x,y,u,v,flags\n1,1,5,5,OK\n2,1,9,9,BAD\n")
    for name, said in (("flag", True), ("quality", True), ("label", False)):
        notes = read(tmp_path, f"x,y,u,v,{name}\n1,1,5,5,OK\n2,1,9,9,BAD\n").notes
        assert (
            any(note == f"Look at {name}: if it marks bad rows, leave these out of the file." for note in notes) == said
        )


def test_rows_that_cannot_be_measurements(tmp_path: Path):
    with pytest.raises(PinnxError, match=r"speed: expected a length of the velocity, got -2 in line 3; .*u=NAME"):
        read(tmp_path, "x,y,speed\n0,0,1\n1,1,-2\n")
    head, row = "sensor,t,x,y,u,v\n", ",0,1,1,2,3\n"
    assert read(tmp_path, f"{head}S1{row}Mean,1,2,2,2,3\n").notes[-1].startswith("Look at line 3: if it sums up")
    assert len(read(tmp_path, f"{head}S1{row}summit,1,2,2,2,3\n").notes) == 1
