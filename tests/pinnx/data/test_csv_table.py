"""One table in every form that people have it in, and units in its header."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from pinnx.data.csv_table import read_csv_table
from pinnx.data.measured_rows import Measurements
from pinnx.data.measurements import Columns, read_measurements
from pinnx.errors import PinnxError

ROWS = [[0.0, 0.5, 1.25, -2e-3, 4.0], [1.0, 0.75, 1.5, 0.25, -1.0]]


def table(separator: str = ",", header: str | None = None, decimal: str = ".", end: str = "\n") -> str:
    lines = [header or separator.join("txyuv")]
    lines += [separator.join(format(value, "g").replace(".", decimal) for value in row) for row in ROWS]
    return end.join(lines) + end


FORMS = {
    "commas": table(),
    "semicolons": table(";"),
    "tabs": table("\t"),
    "runs of spaces": table("   "),
    "German Excel": table(";", decimal=",", end="\r\n"),
    "tabs and decimal commas": table("\t", decimal=","),
    "byte order mark": "\ufeff" + table(),
    "old Macintosh": table(end="\r"),
    "upper case": table(header="T,X,Y,U,V"),
    "units": table(header="t [s],x [m],y (m),u (m/s),v [m s^-1]"),
    "units behind spaces": table("  ", header="t [s]  x [m]  y [m]  u [m s^-1]  v [m/s]"),
    "units behind a slash": table("\t", header="t / s\tx / m\ty / m\tu / m/s\tv / m/s"),
    "a line of units": table(header="t,x,y,u,v\ns,m,m,m/s,m s^-1"),
    "a line of units in brackets": table("\t", header="t\tx\ty\tu\tv\n[s]\t[m]\t[m]\t[m/s]\t[m/s]", decimal=","),
    "Fortran": table("  ").replace("-0.002", "-2.0D-03"),
    "units in brackets behind a slash": table(header="t/s,x/m,y/(m),u/(m/s),v/[m/s]"),
    "a minus sign of typography": table().replace("-", "\N{MINUS SIGN}", 1),
    "time": table(header="Time (s),x,y,u,v"),
    "header in a comment": table("\t", header="# made today\n# t\tx\ty\tu\tv"),
    "other separator in the header": table("\t", header="# t x y u v"),
    "COMSOL": table("  ", header="% Model: a.mph\n% t x y u (m/s) v (m/s)"),
    "CFX": table(header="[Name]\nLine 1\n\n[Data]\nt [ s ], X [ m ], Y [ m ], u [ m s^-1 ], v [ m s^-1 ]")
    + "[Faces]\n0, 1, 2\n",
    "Tecplot": table("  ", header='TITLE = "a"\nVARIABLES = "t"\n"x" "y"\n"u" "v"\nZONE T="1", I=2, F=POINT'),
    "Tecplot without quotes": table(" ", header="TITLE = a\nvariables = T, X, Y, U, V\nZONE I=2, F=POINT"),
    "words about x and y": table(header="# x and y in metres\nt,x,y,u,v"),
    "text above the header": table(header="Messung 7;2 Sonden\nt,x,y,u,v"),
    "separators at the end": "t,x,y,u,v,\n" + "".join(",".join(map(str, row)) + ",\n" for row in ROWS) + ",,,,,\n",
    "quoted numbers": '"t";"x";"y";"u";"v"\n' + "".join(";".join(f'"{v}"' for v in row) + "\n" for row in ROWS),
    "quoted decimal commas": '"t"\t"x"\t"y"\t"u"\t"v"\n'
    + "".join("\t".join(f'"{v}"'.replace(".", ",") for v in row) + "\n" for row in ROWS),
    "a column of row numbers": ",t,x,y,u,v\n" + "".join(f"7,{','.join(map(str, row))}\n" for row in ROWS),
}  # fmt: skip


def read(folder: Path, text: str, **columns: object) -> Measurements:
    path = folder / "form.csv"
    path.write_bytes(text.encode())
    return read_measurements(path, Columns(**columns))


@pytest.mark.parametrize("form", FORMS)
def test_a_table_in_every_form(tmp_path: Path, form: str):
    rows = read(tmp_path, FORMS[form])
    np.testing.assert_array_equal(np.column_stack([rows.coordinates, rows.velocity]), ROWS)
    assert rows.notes == (("Columns that are not used: column 1.",) if form == "a column of row numbers" else ())


def test_damaged_tables_are_read_or_refused_in_one_line(tmp_path: Path, seed: int):
    draw = random.Random(seed)
    pieces = [
        *(mark.encode() for mark in ',;\t"#%[(_-'),
        b"\n",
        b"\r",
        b"nan",
        b"1e999",
        b"1e308",
        b"VARIABLES=",
        b"x",
        b"\0",
    ]
    pieces += [b"\xff", b"\xe2\x80\xa8", b"t,x,y,u,v\n", b"7" * 400, b"1d5", b"\xd9\xa1", b"[mm]", b"\x1b[2J"]
    read_ones, refused = [], []
    for _ in range(400):
        text = bytearray(draw.choice(list(FORMS.values())).encode())
        for _ in range(draw.randint(1, 5)):
            place = draw.randint(0, len(text))
            text[place : place + draw.choice((0, 0, 3, 1000))] = draw.choice(pieces)
        (tmp_path / "a.csv").write_bytes(text)
        columns = draw.choice((Columns(), Columns(units="si"), Columns(x=1, y=2, u=3), Columns(x="y", y="x", v=None)))
        try:
            read_ones.append(read_measurements(tmp_path / "a.csv", columns))
        except PinnxError as error:
            refused.append(str(error))
    assert min(len(read_ones), len(refused)) > 20, "some of both"
    for message in (*refused, *(note for rows in read_ones for note in rows.notes)):
        assert message.isprintable()
        assert len(message) < 900
    assert all(np.isfinite(rows.coordinates).all() for rows in read_ones)


def test_texts_of_other_programs_are_decoded(tmp_path: Path):
    for coding, unit in (
        ("utf-16", "\N{MICRO SIGN}m"),
        ("cp1252", "\N{MICRO SIGN}m"),
        ("utf-8", "\N{GREEK SMALL LETTER MU}m"),
    ):
        (tmp_path / "a.txt").write_bytes(f"x [{unit}]\ty [{unit}]\tu [{unit}/s]\n0,5\t1\t2\n".encode(coding))
        rows = read_measurements(tmp_path / "a.txt", Columns(units="si"))
        found = np.column_stack([rows.coordinates, rows.velocity[:, :1]])
        np.testing.assert_allclose(found, [[0.5e-6, 1e-6, 2e-6]], rtol=1e-15)


def test_the_lines_are_those_of_an_editor(tmp_path: Path):
    (tmp_path / "a.csv").write_text("# a\u2028b\x0cc\n\nx,y\n1,2\n\n3,4\n")
    assert [line for line, _ in read_csv_table(tmp_path / "a.csv").rows] == [4, 6]


def test_units_that_are_not_si_are_kept_and_said(tmp_path: Path):
    text = table(header="t [ms],x [mm],y [mm],u [mm/ms],v [mm/ms]")
    rows = read(tmp_path, text)
    np.testing.assert_array_equal(rows.velocity, np.array(ROWS)[:, 3:])
    (note,) = rows.notes
    assert note.startswith("Units of the file: t in ms; x, y in mm; u, v in mm/ms. Nothing is converted:")
    pixels = read(tmp_path, table(header="t,x [px],y [px],u [px/frame],v [px/frame]")).notes
    assert pixels[0].startswith("Units of the file: x, y in px; u, v in px/frame.")
    for header in ("t,x,y,u [U0],v [U0]", "t,x,y,u,v\ns,m,m,U0,U0"):
        (scaled,) = read(tmp_path, table(header=header)).notes
        assert "u, v in U0" in scaled, "a unit that is not known"


def test_comments_of_comsol_say_the_unit_of_length_and_times(tmp_path: Path):
    head = "% Model: a.mph\n% Length unit:        mm\n% t  x  y  "
    rows = read(tmp_path, table("  ", header=head + "u (m/s)  v (m/s)"), units="si")
    np.testing.assert_allclose(rows.coordinates, np.array(ROWS)[:, :3] * [1, 1e-3, 1e-3], rtol=1e-15)
    np.testing.assert_array_equal(rows.velocity, np.array(ROWS)[:, 3:])
    with pytest.raises(PinnxError, match=r"got mm in x .mm., y .mm. and m in u"):
        read(tmp_path, table("  ", header=head + "u (m/s)  v (m/s)"))
    with pytest.raises(PinnxError, match=r"line 3: .* got 'u \(m/s\) @ t=0.5', a column for each time; write a row"):
        read(tmp_path, table("  ", header=head + "u (m/s) @ t=0.5  v (m/s) @ t=0.5"))


def test_a_unit_at_the_end_of_a_name(tmp_path: Path):
    (note,) = read(tmp_path, table(header="time_ms,x_mm,Y_MM,u,v")).notes
    assert note.startswith("Units of the file: t in ms; x in mm; y in MM. Nothing is converted:")
    assert read(tmp_path, table(header="t,x,y,u,v_ms"), v="v_ms").notes == (), "m/s as likely as milliseconds"


@pytest.mark.parametrize(
    ("header", "units"),
    [
        ("t_s,x_mm,y_mm,u_mm/s,v_mm/s", "t in s; x, y in mm; u, v in mm/s"),
        ("time_s,x_m,y_m,u_m/s,v_m/s", None),
        ("t_s,x_m,y_m,u_mps,v_m_s", None),
        ("t_s,x_m,y_m,u_m_per_s,V_m_s-1", None),
        ("t_s,x_mm,y_mm,u_mm_s,v_mmps", "t in s; x, y in mm; u, v in mm/s"),
        ("t,x_cm,y_cm,u_cm_s,v_cm_s", "x, y in cm; u, v in cm/s"),
        (
            "t,x (mm),y (mm),u (mm\u22c5s\u207b\xb9),v (mm s\u207b\xb9)",
            "x, y in mm; u in mm\u22c5s\u207b\xb9; v in mm s\u207b\xb9",
        ),
    ],
)
def test_units_of_velocity_at_the_end_of_a_name_and_with_superscripts(tmp_path: Path, header: str, units: str | None):
    rows = read(tmp_path, table(header=header))
    np.testing.assert_array_equal(rows.velocity, np.array(ROWS)[:, 3:])
    assert [note.split(". ")[0] for note in rows.notes] == ([f"Units of the file: {units}"] if units else [])
    with pytest.raises(PinnxError, match="expected one unit of length in all columns"):
        read(tmp_path, table(header=re.sub("mm|cm", "m", header, count=1) if units else header.replace("x_m", "x_mm")))


@pytest.mark.parametrize(
    ("header", "unread"),
    [("t,x,y,u_ms,v_ms", "u_ms, v_ms"), ("t,x,y,u_mph,v_knots", "u_mph, v_knots"), ("t,x_rod,y,u,v", "x_rod")],
)
def test_an_end_of_a_name_that_is_no_unit_lists_those_that_are(tmp_path: Path, header: str, unread: str):
    with pytest.raises(PinnxError, match=f"Ends of {unread} are not read; units are, as in x_mm, .*u_mps, u_m_s"):
        read(tmp_path, table(header=header))
    with pytest.raises(PinnxError, match="missing one of u, v, p, speed; it has") as caught:
        read(tmp_path, table(header="t,x,y,a,b"))
    assert "Ends of" not in str(caught.value)


def test_a_pressure_beside_what_is_read_does_not_matter(tmp_path: Path):
    rows = read(tmp_path, table(header="Total Pressure (Pa),X (m),Y (m),Velocity[i] (m/s),Velocity[j] (m/s)"),
                u="Velocity[i]", v="Velocity[j]")  # fmt: skip
    np.testing.assert_array_equal(rows.velocity, np.array(ROWS)[:, 3:])


def test_angles_as_coordinates_are_questioned(tmp_path: Path):
    (note,) = read(tmp_path, table(header="t,lon,lat,u,v"), x="lon", y="lat").notes
    assert note.startswith("Look at lon, lat: x, y and z are lengths")


def test_columns_without_a_unit_beside_others_are_said(tmp_path: Path):
    assert (
        read(tmp_path, table(header="t,x [mm],y,u,v"))
        .notes[0]
        .endswith(" t, y, u, v: no unit in the file; taken to fit.")
    )
    assert "no unit" not in read(tmp_path, table(header="t [s],x [mm],y [mm],u [mm/s],v [mm/s]")).notes[0]


def test_row_names_of_r(tmp_path: Path):
    text = '"t" "x" "y" "u" "v"\n' + "".join(f'"{i}" {" ".join(map(str, row))}\n' for i, row in enumerate(ROWS))
    rows = read(tmp_path, text)
    np.testing.assert_array_equal(np.column_stack([rows.coordinates, rows.velocity]), ROWS)
    with pytest.raises(PinnxError, match="line 2: expected 5 values"):
        read(tmp_path, "t x y u v\n1 2 3 4 5 6\n")


def test_units_are_converted_on_request(tmp_path: Path):
    text = table(header="t [ms],x [mm],y [cm],u [m/s],v [mm/ms]")
    rows = read(tmp_path, text, units="si")
    np.testing.assert_allclose(rows.coordinates, np.array(ROWS)[:, :3] * [1e-3, 1e-3, 1e-2], rtol=1e-15)
    np.testing.assert_allclose(rows.velocity, np.array(ROWS)[:, 3:], rtol=1e-15)
    assert rows.notes == ("All columns are converted to m and s: the domain, nu and all else must be in these units.",)
    mixed = read(tmp_path, table(header="t,x [mm],y [mm],u [mm/s],v [mm/s]"), units="si")
    assert mixed.notes[1] == "t: no unit in the file; taken to be in m and s."


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("t,x [mm],y [mm],u [m/s],v [m/s]", {}, r"got mm in x \[mm\], y \[mm\] and m in u .*units=si converts"),
        ("t [ms],x [m],y [m],u [m/s],v [m/s]", {}, r"one unit of time in all columns, got ms in t \[ms\] and s in u"),
        ("t,x [px],y [px],u [px/frame],v", {"units": "si"}, "x: expected a unit that can be converted .*, got 'px'"),
        ("t,x [m],y [m],p [Pa],v", {}, "p: expected the kinematic pressure .* got one in Pa; divide it by the density"),
    ],
)  # fmt: skip
def test_units_that_contradict_each_other_are_refused(tmp_path: Path, header: str, columns: dict, message: str):
    with pytest.raises(PinnxError, match=message) as raised:
        read(tmp_path, table(header=header), **columns)
    assert "\n" not in str(raised.value)


def test_a_name_of_two_parts_is_no_name_with_a_unit(tmp_path: Path):
    """x/D and u rms are other quantities than x and u."""
    with pytest.raises(PinnxError, match="missing x, y; it has t, x/D, y/D, u, u rms"):
        read(tmp_path, table(header="t,x/D,y/D,u,u rms"))
    rows = read(tmp_path, table(header="t,x/D,y/D,u,u rms"), x="x/D", y="y/D")
    np.testing.assert_array_equal(rows.velocity[:, 0], np.array(ROWS)[:, 3])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("T [\xb0C],x,y,u,v", "t: expected a unit of time, got 'T .*data.measurements.t=null"),
        ("T [C],x [c],y [c],u,v", "t: expected a unit of time"),
        ("T [K],x,y,u,v", "t: expected a unit of time"),
        ("t [mm],x [mm],y [mm],u,v", "t: expected a unit of time"),
        ("t,x [s],y,u,v", "x: expected a unit of length, got 'x .s.'; convert the column$"),
        ("t,x [deg],y [deg],u [cm/s],v [cm/s]", "x: expected a unit of length"),
        ("t,x [m],y [m],u [kn],v [kn]", "u: expected a unit of velocity"),
        ("t,x [m],y [m],u [V],v [%]", "u: expected a unit of velocity"),
        ("t,x [m],y [m],u [m/s],p [-]", "p: expected a unit of velocity.2, as x has m, got 'p .-.'"),
    ],
)  # fmt: skip
def test_units_of_another_quantity_are_refused(tmp_path: Path, header: str, message: str):
    with pytest.raises(PinnxError, match=message):
        read(tmp_path, table(header=header))
    with pytest.raises(PinnxError, match=message):
        read(tmp_path, table(header=header), units="si")


def test_units_that_make_numbers_dimensionless_are_read(tmp_path: Path):
    for header in ("t [-],x [D],y [c],u [U0],v [-]", "t [-],x [-],y [-],u [-],v [-]"):
        np.testing.assert_array_equal(read(tmp_path, table(header=header)).coordinates, np.array(ROWS)[:, :3])
    assert read(tmp_path, table(header="T [K],x,y,u,v"), t=None).steady


def test_a_capital_t_beside_x_is_questioned(tmp_path: Path):
    (note,) = read(tmp_path, table(header="T,x,y,u,v")).notes
    assert note == "Column T is taken for the time; data.measurements.t=null leaves it out."
    assert read(tmp_path, table(header="T [s],x,y,u,v")).notes == ()


def test_separators_of_thousands_are_refused(tmp_path: Path):
    for separator, mark in (("\t", ","), (";", "."), (";", ",")):
        text = table(separator).split("\n")[0] + "\n0;350;300;-248;457\n0;1M150;550;-340;802\n".replace(";", separator)
        with pytest.raises(PinnxError, match=r"line 3, column x: .* got '1.150' beside whole .* write 1150, or"):
            read(tmp_path, text.replace("M", mark))
    for first, second in (("350.0", "1.150"), ("35", "1.150"), ("0.350", "1.150"), ("350", "1.15"), ("1.250", "1.150")):
        decimals = f"t\tx\ty\tu\tv\n0\t{first}\t1\t1\t1\n100\t{second}\t1\t1\t1\n"
        assert read(tmp_path, decimals).coordinates[:, 1].tolist() == [float(first), float(second)]
    assert read(tmp_path, "t,x,y,u,v\n0,350,1,1,1\n1,1.150,1,1,1\n").coordinates[1, 1] == 1.15
    with pytest.raises(PinnxError, match=r"line 2: expected numbers without separators of thousands, got '2,042.56'$"):
        read(tmp_path, "x;y;u;v\n2,042.56;1.5;1;1\n")
    for cells in ('"1,042.5",1,1', "1'042.5,1,1", "1\u202f042,5;1;1", "-1.042.000,1,1"):
        separator = cells[-2]
        with pytest.raises(PinnxError, match=r"line 2, column x: .*; write numbers without separators of thousands$"):
            read(tmp_path, f"{separator.join('xyu')}\n{cells}\n")


def test_labels_that_begin_with_a_hash_are_rows(tmp_path: Path):
    head, row = "sensor,x,y,u,v\n", ",0.5,1,2,3\n"
    assert read(tmp_path, f"{head}S1{row}#4{row}S5{row}").num_rows == 3
    assert read(tmp_path, f"{head}#1{row}#2{row}# the end, or not\n").num_rows == 2
    # Rows that are switched off, and a comment with numbers.
    off = read(tmp_path, table() + "#2,0.5,1,2,3\n# 7,0.5,1,2,3\n")
    assert (off.num_rows, off.notes) == (2, ("2 rows begin with # and are left out: lines 4, 5.",))
    assert read(tmp_path, f"{head}S1{row}#S2{row}").notes[-1].endswith("left out: lines 3.")
    assert read(tmp_path, f"{head}S1{row}#4, 5\n").notes == ("Columns that are not used: sensor.",)
