"""Fields in text files, and several files as one series, are the flow that the same arrays are in one .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.data import DataMapping, Snapshots, read_snapshots
from pinnx.data.measurements import Columns, read_measurements
from pinnx.errors import PinnxError

T, X, Y = np.arange(3) / 4, np.linspace(0, 3, 7), np.linspace(-1, 1, 6)
PHASE = 1.3 * X[:, None] + 0.7 * Y + T[:, None, None]
U, V = 0.7 * np.cos(PHASE), -1.3 * np.cos(PHASE)
MESH_X, MESH_Y = np.meshgrid(X, Y, indexing="ij")
ROWS = [np.column_stack([a.ravel() for a in (MESH_X, MESH_Y, U[k], V[k])]) for k in range(3)]


def wanted(folder: Path) -> Snapshots:
    np.savez(folder / "plain.npz", x=X, y=Y, t=T, u=U, v=V)
    return read_snapshots(folder / "plain.npz", DataMapping(t="t"))


def write(path: Path, rows: np.ndarray, head: str, separator: str = ",") -> Path:
    path.write_text(head + "\n".join(separator.join(f"{number:.17g}" for number in row) for row in rows) + "\n")
    return path


# The first line or lines of what each program writes, its separator, and what one file's rows have beyond x, y, u, v.
PROGRAMS = {
    "plain CSV": ("x,y,u,v\n", ",", []),
    "OpenPIV": ("# x\ty\tu\tv\tflags\tmask\n", "\t", [0, 0]),
    "PIVlab": (
        "PIVlab, ASCII output\nFRAME: 1, filenames: A B\nx [m],y [m],u [m/s],v [m/s],Vector type [-]\n",
        ",",
        [1],
    ),
    "Insight": ('TITLE="a" VARIABLES="X m", "Y m", "U m/s", "V m/s", "CHC", ZONE I=7, J=6, F=POINT\n', ",", [1]),
    "DaVis .txt": ('#DaVis 8.1.6 2D-vector 32 6 7 "position" "m" "position" "m" "velocity" "m/s"\n', "\t", []),
    "DaVis": ('TITLE = "B"\nVARIABLES = "x", "y", "Vx", "Vy", "isValid"\nZONE T="F", I=7, J=6, F=POINT\n', " ", [1]),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_file_for_each_time_is_one_series_of_grids(tmp_path: Path, program: str) -> None:
    head, separator, more = PROGRAMS[program]
    for k in (0, 1, 2):
        rows = np.column_stack([ROWS[k][::-1], np.tile(more, (len(ROWS[k]), 1))])
        write(tmp_path / f"piv_{8 + k}.{'dat' if program == 'DaVis' else 'txt'}", rows, head, separator)
    names = {"u": "Vx", "v": "Vy"} if program == "DaVis" else {}
    flow = read_snapshots(tmp_path / "piv_*", DataMapping(t=0.25, **names))
    plain = wanted(tmp_path)
    np.testing.assert_array_equal(flow.values, plain.values)
    np.testing.assert_array_equal(flow.points, plain.points)
    np.testing.assert_array_equal(flow.times, T)
    assert flow.grid_shape == (7, 6)
    part = read_snapshots(tmp_path / "piv_*", DataMapping(t=0.25, **names), limits={"t": (0.2, 1)}, stride={"x": 3})
    np.testing.assert_array_equal(part.values, read_snapshots(
        tmp_path / "plain.npz", DataMapping(t="t"), limits={"t": (0.2, 1)}, stride={"x": 3}).values)  # fmt: skip


DAVIS = '#DaVis 8.1.6 2D-vector 32 ROWS 7 "position" "mm" "position" "mm" "velocity" "m/s"\n'


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_vectors_that_davis_masks_are_holes_with_decimal_commas(tmp_path: Path, separator: str) -> None:
    rows = ROWS[0].copy()
    rows[:7, 2:] = 0.0
    path = write(tmp_path / "B00001.txt", rows, DAVIS.replace("ROWS", "6"), separator)
    path.write_text(path.read_text().replace(".", ",").replace(",1,6", ".1.6"))
    flow = read_snapshots(path, DataMapping())
    np.testing.assert_array_equal(flow.holes, np.repeat([True, False], [7, 35]))
    np.testing.assert_allclose(flow.values[0, 7:], ROWS[0][7:, 2:], rtol=1e-15)
    assert any(note.startswith("Converted to m and s") for note in flow.notes)
    found = read_measurements(path, Columns(units="si"))
    assert found.num_rows == 35
    assert any("7 of 42 rows are left out: isValid marks them as not measured" in note for note in found.notes)
    with pytest.raises(PinnxError, match=r"B00002.txt: expected 60 x 7 vectors, as its first line says, got 42 rows"):
        read_snapshots(write(tmp_path / "B00002.txt", rows, DAVIS.replace("ROWS", "60"), "\t"), DataMapping())


def test_all_times_in_one_table_and_masked_rows_are_holes(tmp_path: Path) -> None:
    rows = np.vstack([np.column_stack([np.full(42, T[k]), ROWS[k], np.arange(42) == 10]) for k in range(3)])
    flow = read_snapshots(write(tmp_path / "f.csv", rows, "time [s],x,y,u,v,mask\n"), DataMapping(t="t"))
    assert flow.holes is not None
    assert np.flatnonzero(flow.holes).tolist() == [10]
    np.testing.assert_array_equal(flow.values[:, ~flow.holes], wanted(tmp_path).values[:, ~flow.holes])
    left_out = write(tmp_path / "g.csv", np.delete(rows, [10, 52, 94], axis=0), "time [s],x,y,u,v,mask\n")
    np.testing.assert_array_equal(read_snapshots(left_out, DataMapping(t="t")).holes, flow.holes)


def test_frames_of_arrays_in_files_of_their_own(tmp_path: Path) -> None:
    for k in range(3):
        np.savez(tmp_path / f"step{k}.npz", x=X, y=Y, t=T[k], u=U[k], v=V[k], p=PHASE[k])
    flow = read_snapshots(tmp_path / "step*.npz", DataMapping(t="t", p="p"))
    np.testing.assert_array_equal(flow.values, wanted(tmp_path).values)
    np.testing.assert_array_equal(flow.pressure, PHASE.reshape(3, -1))
    assert flow.pressure_frames.tolist() == [0, 1, 2]
    assert flow.notes[0] == "3 files are joined in time, step0.npz to step2.npz."


def test_columns_of_one_name_are_refused_unless_capitals_differ(tmp_path: Path) -> None:
    rows = np.column_stack([ROWS[0], ROWS[1][:, 2:]])
    capitals = write(tmp_path / "a.csv", rows, "x,y,u,v,U,V\n")
    for names, expected in (({}, ROWS[0]), ({"u": "U", "v": "V"}, ROWS[1])):
        flow = read_snapshots(capitals, DataMapping(**names))
        np.testing.assert_array_equal(flow.values[0], expected[:, 2:])
    write(capitals, rows, "x,y,u,v,u,w\n")
    with pytest.raises(PinnxError, match="expected each column once, got 'u' more than once; rename or remove one"):
        read_snapshots(capitals, DataMapping())


def test_what_is_no_field_or_no_series_is_one_line(tmp_path: Path) -> None:
    rows = ROWS[0][[3, 11, 17]]
    with pytest.raises(
        PinnxError, match=r"f\.csv: expected a field, .* got 3 places; a table of measurements is named by"
    ):
        read_snapshots(write(tmp_path / "f.csv", rows, "x,y,u,v\n"), DataMapping())
    with pytest.raises(
        PinnxError, match=r"expected one row for each place and time, got 2 at \(0, -1\); name the column"
    ):
        read_snapshots(write(tmp_path / "f.csv", np.vstack(ROWS[:2]), "x,y,u,v\n"), DataMapping())
    with pytest.raises(PinnxError, match=r"t: expected the times, .* of several files, got none"):
        read_snapshots(tmp_path / "*.csv", DataMapping())
    with pytest.raises(PinnxError, match=r"expected files of this pattern, found none"):
        read_snapshots(tmp_path / "*.npz", DataMapping(t=0.1))
    for k in range(2):
        np.savez(tmp_path / f"s{k}.npz", x=X + k, y=Y, u=U[k], v=V[k])
    with pytest.raises(PinnxError, match=r"s1\.npz: expected the places and arrays of s0\.npz, got others"):
        read_snapshots(tmp_path / "s*.npz", DataMapping(t=0.1))
