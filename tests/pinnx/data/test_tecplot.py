"""ASCII files of Tecplot, as programs write them, are one flow; what is not read is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.data import DataMapping, read_snapshots, summary_of
from pinnx.errors import PinnxError

X, Y = np.linspace(0, 3, 7), np.linspace(-1, 1, 6)
# x runs fastest, as Tecplot has it: [n_y, n_x].
MESH_X, MESH_Y = np.meshgrid(X, Y)
PHASE = 1.3 * MESH_X + 0.7 * MESH_Y
FIELDS = [MESH_X, MESH_Y, 0.7 * np.cos(PHASE), -1.3 * np.cos(PHASE)]
HEAD = 'TITLE = "a ZONE of I=5"\nVARIABLES = "X", "Y", "U", "V"\n'


def points(fields: list[np.ndarray] = FIELDS, separator: str = " ") -> str:
    rows = np.stack([field.ravel() for field in fields], axis=1)
    return "".join(separator.join(f"{value:.17g}" for value in row) + "\n" for row in rows)


def blocks(fields: list[np.ndarray] = FIELDS, per_line: int = 5) -> str:
    """One variable after the other, in lines of some numbers, as Fortran wraps them."""
    flat = [f"{value:.17g}" for field in fields for value in field.ravel()]
    return "".join("  ".join(flat[begin : begin + per_line]) + "\n" for begin in range(0, len(flat), per_line))


ELEMENTS = "".join(f"{k} {k + 1} {k + 8} {k + 7}\n" for k in range(1, 36) if k % 7)
VARIANTS = {
    "F=POINT": HEAD + 'ZONE T="z, J=2", I=7, J=6, F=POINT\n' + points(),
    "commas": HEAD + "ZONE I=7, J=6, F=POINT\n" + points(separator=", "),
    "DATAPACKING=POINT": HEAD + "ZONE I=7, J=6, K=1, DATAPACKING=POINT\n" + points(),
    "no packing": HEAD + 'ZONE T="Frame 0", I=7, J=6\n' + points(),
    "no sizes": HEAD + "ZONE\n" + points(),
    "wrapped points": HEAD + "ZONE I=7, J=6, F=POINT\n" + points().replace(" ", "\n"),
    "DATAPACKING=BLOCK": HEAD + "ZONE I=7, J=6, DATAPACKING=BLOCK\n" + blocks(),
    "F=BLOCK in quotes": HEAD + 'ZONE I=7, J=6, F="BLOCK"\n' + blocks(per_line=1),
    "Tecplot 360": 'VARIABLES = "X"\n"Y"\n"U"\n"V"\nDATASETAUXDATA Common.I="7"\nZONE T="z"\n STRANDID=0, '
    "SOLUTIONTIME=0\n I=7, J=6, K=1, ZONETYPE=Ordered\n DATAPACKING=POINT\n DT=(SINGLE SINGLE\n SINGLE SINGLE )\n"
    + points(),
    "no quotes": "VARIABLES = X, Y, U, V\nzone i=7, j=6, f=point\n# a comment\n" + points(),
    "four corners of elements": HEAD + "ZONE N=42, E=30, F=FEPOINT, ET=QUADRILATERAL\n" + points() + ELEMENTS,
    "elements after blocks": HEAD
    + "ZONE NODES=42, ELEMENTS=30, DATAPACKING=BLOCK, ZONETYPE=FEQUADRILATERAL\n"
    + blocks(per_line=42)
    + ELEMENTS,
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("ending", ["dat", "tec"])
def test_every_variant_is_the_same_flow(tmp_path: Path, variant: str, ending: str) -> None:
    path = tmp_path / f"flow.{ending}"
    path.write_text(VARIANTS[variant])
    flow = read_snapshots(path, DataMapping())
    assert flow.grid_shape == (7, 6)
    np.testing.assert_array_equal(flow.values[0], np.stack([field.T.ravel() for field in FIELDS[2:]], axis=-1))


def test_zones_are_times_and_a_series_takes_its_times_from_the_files(tmp_path: Path) -> None:
    times, zones = (0.5, 0.25, 1.5), []
    for number, time in enumerate(times):
        fields = [*FIELDS[:2], *(field + time for field in FIELDS[2:])]
        zones.append(f'ZONE T="{number}"\n I=7, J=6, F=POINT, STRANDID=1, SOLUTIONTIME={time}\n{points(fields)}')
        names = (
            HEAD.replace('"U", "V"', '"Velocity u [m/s]", "Velocity v [m/s]"')
            .replace('"X"', '"x [m]"')
            .replace('"Y"', '"y [m]"')
        )
        (tmp_path / f"B000{[1, 0, 2][number]}.dat").write_text(names + zones[-1])
    (tmp_path / "all.dat").write_text(HEAD + "".join(zones))
    flow = read_snapshots(tmp_path / "all.dat", DataMapping(t="t"))
    np.testing.assert_array_equal(flow.times, sorted(times))
    np.testing.assert_array_equal(flow.values[:, 0, 0] - FIELDS[2][0, 0], sorted(times))
    davis = DataMapping(t="SOLUTIONTIME", u="Velocity u", v="Velocity v")
    series = read_snapshots(tmp_path / "B*.dat", davis)
    np.testing.assert_array_equal(series.times, sorted(times))
    np.testing.assert_array_equal(series.values, flow.values)
    assert "    arrays: {x: x, y: y, t: SOLUTIONTIME, u: Velocity u, v: Velocity v}" in summary_of(tmp_path / "B*.dat")
    (tmp_path / "all.dat").write_text(HEAD + "".join(zones).replace("SOLUTIONTIME=1.5", "T=1"))
    with pytest.raises(PinnxError, match="expected one ZONE, or a SOLUTIONTIME in each, got 3 zones at 2 times"):
        read_snapshots(tmp_path / "all.dat", DataMapping())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ZONE I=7, J=7, F=POINT\n" + points(), r"line 4: expected 49 points of 4 values \(I=7, J=7\), got 168 values"),
        ("ZONE I=7, J=5, F=BLOCK\n" + blocks(), r"line 4: expected 35 points of 4 values \(I=7, J=5\), got 168 values"),
        ("ZONE F=BLOCK\n" + blocks(), "line 4: expected I=, J= or N= in a ZONE of BLOCK, got none"),
        ("ZONE I=7, J=6, DATAPACKING=BLOCK, VARLOCATION=([3-4]=CELLCENTERED)\n" + blocks(), "got CELLCENTERED"),
        ("ZONE I=7, J=6, F=POINT, VARSHARELIST=([1-2]=1)\n" + points(), "got VARSHARELIST; export them so"),
        ("ZONE I=7, J=6, F=POINT\n" + points().replace("-1 ", "-1x ", 1), "line 4, column Y: expected a finite number"),
    ],
)
def test_what_is_not_read_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "flow.dat").write_text(HEAD + text)
    with pytest.raises(PinnxError, match=message):
        read_snapshots(tmp_path / "flow.dat", DataMapping())
