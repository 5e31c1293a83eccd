"""What `pinnx inspect` shows: the arrays, what is missing, and lines of YAML that read the file as proposed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pinnx.cli import main
from pinnx.data import DataMapping, file_summary, read_snapshots, summary_of
from pinnx.data.raw_arrays import RawArray

X = np.linspace(0, 1, 9)
MESH_Y, MESH_X = np.meshgrid(X, X, indexing="ij")
U, V = np.sin(2 * MESH_Y), np.cos(3 * MESH_X)  # a shear in each direction, divergence-free as [y, x] alone


def stored(folder: Path, **change: np.ndarray) -> Path:
    np.savez(folder / "flow.npz", **({"x": X, "y": X, "u": U, "v": V} | change))
    return folder / "flow.npz"


def section(lines: list[str]) -> dict[str, object]:
    return yaml.safe_load("\n".join(lines[lines.index("yaml:") + 1 :]))["data"]


@pytest.mark.parametrize("turned", [False, True])
def test_the_divergence_finds_the_order_of_axes_and_the_yaml_reads_the_file(tmp_path: Path, turned: bool) -> None:
    path = stored(tmp_path, **({"u": U.T, "v": V.T} if turned else {}))
    lines = summary_of(path)
    found = section(lines)
    assert found["axes"] == (["x", "y"] if turned else ["y", "x"])
    assert "  u [9, 9] float64" in lines
    assert any(line.startswith("divergence: |div u| / |grad u| = ") for line in lines)
    assert [line[:10] for line in lines if line.startswith("missing")] == ["missing: n", "missing: p"]
    flow = read_snapshots(str(found["path"]), DataMapping(axes=tuple(found["axes"]), **found["arrays"]))
    np.testing.assert_array_equal(flow.values[0, :, 0], U.T.ravel())


def test_axes_that_the_shapes_settle_are_said(tmp_path: Path) -> None:
    frames = {name: np.stack([array[:, :7]] * 3) for name, array in (("u", U), ("v", V))}
    lines = summary_of(stored(tmp_path, x=X[:7], t=np.arange(3), **frames))
    assert "axes: (t, y, x), from the shapes" in lines
    assert "axes" not in section(lines)


def test_a_field_that_fits_no_order_is_refused_with_the_reason(tmp_path: Path) -> None:
    lines = summary_of(stored(tmp_path, u=U[:5]))
    assert any(line.startswith("refused: ") for line in lines)
    assert "axes" not in section(lines)


def test_the_command_prints_it_and_a_damaged_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(tmp_path)
    assert main(["inspect", str(path)]) == 0
    assert "arrays: {x: x, y: y, u: u, v: v}" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:100])
    assert main(["inspect", str(path)]) == 2
    assert capsys.readouterr().err.startswith("pinnx: error: flow.npz: cannot be read as npz")


@pytest.mark.parametrize("name", ["pyjhtdb_cutout", "giverny_velocity", "givernylocal_multi_time", "old_u00000"])
def test_the_four_containers_of_jhtdb(data_dir: Path, name: str) -> None:
    lines = summary_of(data_dir / "jhtdb_layouts" / f"{name}.h5")
    arrays = section(lines)["arrays"]
    assert str(arrays["w"]).endswith("[..., 2]")
    if name == "old_u00000":
        assert [line[:10] for line in lines if line.startswith("missing")].count("missing: x") == 1
    else:
        assert any(line.startswith("read: 120 points (grid 6 x 5 x 4)") for line in lines)
    assert any(line.startswith("missing: t") for line in lines) == (name == "givernylocal_multi_time")


def test_the_oldest_container_is_used_by_lines_that_inspect_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no coordinates: what is missing, and how it is stated, is printed; then its flow is read."""
    z, y, x = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 2, 5), np.linspace(0, 3, 6), indexing="ij")
    velocity = np.stack([y + z, x + 2 * z, x - y], axis=-1).astype("f4")
    with h5py.File(tmp_path / "cut.h5", "w") as file:
        file.update({"u00010": velocity, "p00010": velocity[..., :1]})
    lines = summary_of(tmp_path / "cut.h5")
    assert section(lines)["arrays"]["p"] == "p00010"
    remedy = "state evenly spaced ones by data.raw: [{name: z, line: [0.0, 1.0], shape: [NZ]}]"
    assert f"missing: z; name its array by data.arrays, or {remedy}" in lines
    sizes = {"x": (3.0, 6), "y": (2.0, 5), "z": (1.0, 4)}
    stated = ", ".join(f"{{name: {n}, line: [0.0, {high}], shape: [{size}]}}" for n, (high, size) in sizes.items())
    assert main(["inspect", str(tmp_path / "cut.h5"), f"data.raw=[{stated}]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("read: 120 points (grid 6 x 5 x 4)") for line in lines)
    found = section(lines)
    raw = tuple(RawArray(**{k: tuple(v) if isinstance(v, list) else v for k, v in a.items()}) for a in found["raw"])
    flow = read_snapshots(tmp_path / "cut.h5", DataMapping(**found["arrays"], raw=raw))
    px, py, pz = flow.points.T
    np.testing.assert_allclose(flow.values[0], np.stack([py + pz, px + 2 * pz, px - py], axis=-1), atol=1e-6)


def test_a_table_of_measurements(tmp_path: Path) -> None:
    path = tmp_path / "probes.csv"
    path.write_text("t,x,y,u,v,p\n0,0.1,0.2,1,0,nan\n1,0.1,0.2,-2,0,5\n0,0.3,0.2,3,1,7.5\n")
    lines = summary_of(path)
    assert lines[1:7] == ["  t", "  x", "  y", "  u", "  v", "  p"]
    ranges = "t 0 to 1, x 0.1 to 0.3, y 0.2 to 0.2, u -2 to 3, v 0 to 1, p 5 to 7.5"
    assert lines[7] == f"read: 3 rows, 2 places, 2 times; {ranges}"
    assert section(lines) == {"measurements": str(path)}
    path.write_text("x [mm],y [mm],u [m/s],v [m/s]\n0.1,0.2,1,0\n0.1,0.3,2,0\n")
    lines = summary_of(path)
    assert lines[1:6] == ["  x [mm]", "  y [mm]", "  u [m/s]", "  v [m/s]", "  2 rows, separated by commas"]
    assert lines[6].startswith("refused: probes.csv: expected one unit of length in all columns, got mm in x [mm]")


def test_a_table_of_a_field_is_described_as_the_field(tmp_path: Path) -> None:
    y, x = np.meshgrid(np.linspace(0, 2, 11), np.linspace(0, 1, 10), indexing="ij")
    rows = np.column_stack([x.ravel(), y.ravel(), np.sin(2 * y).ravel(), np.cos(3 * x).ravel()])
    np.savetxt(tmp_path / "field.csv", rows, delimiter=",", header="x,y,u,v", comments="")
    lines = summary_of(tmp_path / "field.csv")
    assert any(line.startswith("read: 110 points (grid 10 x 11), times: 1") for line in lines)
    assert any(line.startswith("divergence: ") for line in lines)
    assert any(
        line.startswith("note: a field on a grid; if its rows are sensors, name it by data.mea") for line in lines
    )
    assert section(lines)["path"] == str(tmp_path / "field.csv")
    np.savetxt(tmp_path / "field.csv", rows[:90], delimiter=",", header="x,y,u,v", comments="")
    assert "measurements" in section(summary_of(tmp_path / "field.csv"))


def test_every_kth_frame_of_a_large_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {name: np.stack([array[:, :7]] * 12) for name, array in (("u", U), ("v", V))}
    with h5py.File(tmp_path / "flow.h5", "w") as file:
        file.update({"x": X[:7], "y": X, "t": np.arange(12.0)} | frames)
    monkeypatch.setattr(file_summary, "MOST_BYTES", 2000)
    monkeypatch.setattr(file_summary, "PART_BYTES", 3200)
    lines = summary_of(tmp_path / "flow.h5")
    assert any(line.startswith("read: 63 points (grid 7 x 9), times: 3 of 12; t 0 to 8") for line in lines)
    assert any(line.startswith("divergence: |div u| / |grad u| = ") for line in lines)
    monkeypatch.setattr(file_summary, "PART_BYTES", 1000)
    lines = summary_of(tmp_path / "flow.h5")
    assert any(line.startswith("not read: 12,320 bytes, so neither its divergence nor its holes") for line in lines)


def test_the_time_of_one_frame_is_left_out(tmp_path: Path) -> None:
    assert "t" not in section(summary_of(stored(tmp_path, t=np.array([1.5]))))["arrays"]


@pytest.mark.parametrize("with_times", [False, True])
def test_a_pattern_is_one_series(tmp_path: Path, capsys: pytest.CaptureFixture[str], with_times: bool) -> None:
    for number in (9, 10, 11):
        times = {"t": [0.5 * number]} if with_times else {}
        np.savez(tmp_path / f"f_{number}.npz", x=X, y=X, u=U + number, v=V, **times)
    assert main(["inspect", str(tmp_path / "f_*.npz")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("f_*.npz: 3 files, f_9.npz to f_11.npz; arrays of the first")
    assert any(line.startswith("read: 81 points (grid 9 x 9), times: 3") for line in lines)
    assert any(line.startswith("missing: t; give the time from one frame to the next") for line in lines) != with_times
    found = section(lines)
    names = {"t": 0.1} | found["arrays"]
    flow = read_snapshots(str(found["path"]), DataMapping(axes=tuple(found["axes"]), **names))
    np.testing.assert_allclose(flow.values[:, 0, 0], U[0, 0] + np.array([9, 10, 11]))
    assert main(["inspect", "a.npz", "b.npz"]) == 2
    assert "expected one file, or a pattern in quotes such as 'piv_*.txt', got 2" in capsys.readouterr().err


def test_arrays_that_make_no_sense_are_described_all_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", x=np.zeros((3, 4)), z=np.zeros((4, 3), bool), t=np.zeros(0), U=np.zeros((4, 3)))
    assert "  z [4, 3] bool" in summary_of(tmp_path / "odd.npz")


def test_holes_do_not_count_in_the_divergence(tmp_path: Path) -> None:
    holes = {name: np.where(X[:, None] > 0.5, array, np.nan) for name, array in (("u", U), ("v", V))}
    lines = summary_of(stored(tmp_path, x=X[:7], **{name: array[:, :7] for name, array in holes.items()}))
    assert any(line.startswith("holes: ") for line in lines)
    (line,) = (line for line in lines if line.startswith("divergence: "))
    assert float(line.rpartition("= ")[2]) < 0.05


def test_names_at_the_top_come_before_those_in_groups(tmp_path: Path) -> None:
    """fields.h5 of a run has u and p, and reference/u: not the velocity of one beside the pressure of the other."""
    with h5py.File(tmp_path / "fields.h5", "w") as file:
        file.update({"x": X, "y": X, "u": U, "v": V, "p": U, "reference/u": U + 1, "reference/v": V})
    arrays = section(summary_of(tmp_path / "fields.h5"))["arrays"]
    assert arrays == {name: name for name in ("x", "y", "u", "v", "p")}


def test_standard_names_of_cf_are_usual_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "flow.nc", "w") as file:
        for name, array, standard in (("a", U, "eastward_wind"), ("b", V, "northward_wind")):
            file[name] = array
            file[name].attrs["standard_name"] = standard
        file["x"], file["y"] = X, X
    assert {"u": "a", "v": "b"}.items() <= section(summary_of(tmp_path / "flow.nc"))["arrays"].items()


@pytest.mark.parametrize(("axis", "index"), [(-1, "..., 1"), (1, ":, 1"), (0, "1")])
def test_components_on_any_axis_are_found(tmp_path: Path, axis: int, index: str) -> None:
    velocity = np.stack([np.stack([array[:, :7]] * 4) for array in (U, V)], axis=axis)
    np.savez(tmp_path / "flow.npz", x=X[:7], y=X, t=np.arange(4), velocity=velocity)
    lines = summary_of(tmp_path / "flow.npz")
    assert section(lines)["arrays"]["v"] == f"velocity[{index}]"
    assert any(line.startswith("read: 63 points (grid 7 x 9), times: 4") for line in lines)
