"""Files without a header are read as they are stated, in every layout, and in no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pinnx.cli import main
from pinnx.data import DataMapping, read_snapshots
from pinnx.data.raw_arrays import RawArray
from pinnx.data.streamed_field import StreamedField
from pinnx.errors import PinnxError

X, Y, T = np.linspace(0.0, 4.0, 13), np.linspace(0.0, 2.0, 7), np.linspace(0.0, 2.0, 5)
MESH_T, MESH_Y, MESH_X = np.meshgrid(T, Y, X, indexing="ij")
FIELD = {"u": 3 * np.sin(MESH_X + MESH_T) * np.cos(MESH_Y), "v": -3 * np.cos(MESH_X + MESH_T) * np.sin(MESH_Y)}
LINES = [
    {"name": name, "line": [line[0], line[-1]], "shape": [line.size]}
    for name, line in zip("xyt", (X, Y, T), strict=True)
]
SHAPE = [5, 7, 13]
DTYPES = ["<f4", ">f4", ">f8", "f2", ">i2", "u1"]


def written(folder: Path, kind: str) -> tuple[Path, list[dict[str, Any]]]:
    """FIELD in files of a kind, and what states them."""
    arrays = {
        name: np.rint(30 * a + (120 if kind == "u1" else 0)) if kind[-2] in "iu" else a for name, a in FIELD.items()
    }
    if kind in DTYPES:
        for name, array in arrays.items():
            array.astype(kind).tofile(folder / f"{name}.bin")
        return folder, [{"name": n, "file": f"{n}.bin", "shape": SHAPE, "dtype": kind} for n in "uv"]
    single = {name: array.astype("f4") for name, array in FIELD.items()}
    path = folder / "flow.raw"
    if kind == "fortran":  # u(x, y, t) as records
        mark = np.int32(4 * single["u"].size).tobytes()
        path.write_bytes(b"".join(mark + a.tobytes() + mark for a in single.values()))
        turned = {"shape": SHAPE[::-1], "order": "F"}
        begins = {"u": 4, "v": 12 + single["u"].nbytes}
        return path, [{"name": n, "offset": begin, "after": 4 * (n == "v"), **turned} for n, begin in begins.items()]
    if kind == "slabs":
        np.stack([single["u"], single["v"]], axis=1).tofile(path)
        return path, [{"name": "velocity", "shape": [5, 2, 7, 13]}]
    if kind == "interleaved":
        np.stack([single["u"], single["v"]], axis=-1).tofile(path)
        return path, [{"name": "velocity", "shape": [*SHAPE, 2]}]
    for number in range(5):
        for name, array in single.items():
            array[number].tofile(folder / f"{name}_{number:03}.f32")
        np.stack([array[number] for array in single.values()]).tofile(folder / f"step_{number}.f32")
    if kind == "frames":
        return folder, [{"name": f"{n}_*", "file": f"{n}_*.f32", "shape": SHAPE[1:]} for n in "uv"]
    return folder / "step_*.f32", [
        {"name": n, "shape": SHAPE[1:], "offset": 364 * k, "after": 364 * (1 - k)} for k, n in enumerate("uv")
    ]


NAMES = {
    "slabs": {"u": "velocity[:, 0]", "v": "velocity[:, 1]"},
    "interleaved": {"u": "velocity[..., 0]", "v": "velocity[..., 1]"},
    "frames": {"u": "u_*", "v": "v_*", "t": 0.5},
    "series": {"t": 0.5},
}
KINDS = [*DTYPES, "fortran", *NAMES]


def stated(folder: Path, kind: str) -> tuple[Path, DataMapping]:
    path, raw = written(folder, kind)
    arrays = tuple(
        RawArray(**{key: tuple(v) if isinstance(v, list) else v for key, v in a.items()}) for a in [*raw, *LINES]
    )
    return path, DataMapping(**{"t": "t"} | NAMES.get(kind, {}), raw=arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_the_same_flow(tmp_path: Path, kind: str) -> None:
    path, mapping = stated(tmp_path, kind)
    flow = read_snapshots(path, mapping, check_orientation=kind != "u1")
    scale, shift, atol = {"u1": (30, 120, 0.51), ">i2": (30, 0, 0.51), "f2": (1, 0, 2e-3)}.get(kind, (1, 0, 1e-6))
    wanted = np.stack([scale * FIELD[name] + shift for name in "uv"], axis=-1).swapaxes(1, 2).reshape(5, -1, 2)
    np.testing.assert_allclose(flow.values, wanted, atol=atol)
    np.testing.assert_allclose(flow.times, T)
    part = read_snapshots(
        path, mapping, check_orientation=False, limits={"x": (1, 3), "t": (0.5, 2)}, stride={"t": 2, "y": 3}
    )
    kept = np.isin(flow.points[:, 0], X[3:10]) & np.isin(flow.points[:, 1], Y[::3])
    np.testing.assert_array_equal(part.values, flow.values[1::2, kept])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "slabs"])
def test_it_is_streamed_as_it_is_read(tmp_path: Path, kind: str) -> None:
    path, mapping = stated(tmp_path, kind)
    whole = read_snapshots(path, mapping, check_orientation=False)
    field = StreamedField(path, mapping)
    points = field.draw(0, range(200), 200)
    frames = np.rint(points.coordinates[:, 0] / 0.5).astype(int)
    places = [int(np.abs(whole.points - place).sum(axis=1).argmin()) for place in points.coordinates[:, 1:]]
    np.testing.assert_allclose(points.values, whole.values[frames, places], atol=1e-6)
    field.close()


def test_lines_alone_are_added_to_the_arrays_of_a_file(tmp_path: Path) -> None:
    lines = tuple(RawArray(line["name"], tuple(line["shape"]), line=tuple(line["line"])) for line in LINES)
    np.savez(tmp_path / "flow.npz", **FIELD)
    flow = read_snapshots(tmp_path / "flow.npz", DataMapping(t="t", raw=lines))
    np.savez(tmp_path / "whole.npz", x=X, y=Y, t=T, **FIELD)
    whole = read_snapshots(tmp_path / "whole.npz", DataMapping(t="t"))
    np.testing.assert_allclose(flow.points, whole.points, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(flow.values, whole.values)
    with pytest.raises(PinnxError, match=r"data.raw: expected lines that whole.npz does not have, got t, x, y"):
        read_snapshots(tmp_path / "whole.npz", DataMapping(t="t", raw=lines))


def test_nothing_but_the_part_is_read(tmp_path: Path) -> None:
    """A file of a petabyte, of which nothing was written but its length; only some lines of it are looked at."""
    with (tmp_path / "u.bin").open("wb") as file:
        file.truncate(2**42)
    raw = (RawArray("u", (2**20, 2**10, 2**10), "u.bin"), *(RawArray(n, (2**10,), line=(0, 1)) for n in "xy"))
    mapping = DataMapping(u="u", v="u", t=1.0, axes=("t", "y", "x"), raw=raw)
    limits = {"x": (0.0, 0.01), "y": (0.0, 0.01), "t": (10.0, 12.0)}
    flow = read_snapshots(tmp_path, mapping, limits=limits, zeros_are_values=True, check_orientation=False)
    assert flow.values.shape == (3, 121, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (5, 7, 12)}, r"u.bin: expected 1,680 bytes by data.raw: u \[5, 7, 12\] of float32 .*; got 1,820"),
        (
            {"dtype": "f8"},
            r"u.bin: expected 3,640 bytes .* of float64 from byte 0 on, and 0 bytes behind it; got 1,820",
        ),
        ({"offset": 4}, r"expected 1,824 bytes .* from byte 4 on"),
        ({"after": 4}, r"expected 1,824 bytes .* and 4 bytes behind it; got 1,820"),
        ({"dtype": "float"}, r"expected 3,640 bytes"),
        ({"dtype": "real"}, r"data.raw: expected a dtype such as f4, '>f8' or i2 of u, got 'real'"),
        ({"dtype": "c8"}, r"data.raw: expected a dtype .* of u, got 'c8'"),
        ({"file": "w.bin"}, r"data.raw: expected a file of u, found none at .*w.bin"),
        ({"file": None}, r"data.raw: expected a file of u, found none at "),
        ({"name": "v"}, r"data.raw: expected v once, out of a file or a line, got more than one"),
        ({"line": (0.0, 1.0)}, r"data.raw: expected u once, out of a file or a line"),
        ({"file": "v.bin"}, r"data.raw: expected v behind u in v.bin, from byte 1,820 on, got offset 0"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path, mapping = stated(tmp_path, "<f4")
    u, *others = mapping.raw
    with pytest.raises(PinnxError, match=message):
        read_snapshots(path, DataMapping(t="t", raw=(RawArray(**vars(u) | change), *others)))


def test_another_byte_order_is_not_the_flow(tmp_path: Path) -> None:
    path, mapping = stated(tmp_path, ">f4")
    raw = tuple(RawArray(**vars(array) | {"dtype": "<f4"}) for array in mapping.raw)
    with pytest.raises(PinnxError, match=r"expected finite values below 1e\+18, got .*; or state the other byte order"):
        read_snapshots(path, DataMapping(t="t", raw=raw))


def test_the_commands_say_what_is_needed_and_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, raw = written(tmp_path, ">f4")
    path = folder / "u.bin"
    assert main(["inspect", str(path)]) == 2
    error = capsys.readouterr().err
    assert (
        "numbers without a header, 1,820 bytes here, are stated by data.raw: [{name: u, file: u.bin, shape: " in error
    )
    given = f"data.raw={json.dumps([*raw, *LINES])}"
    assert main(["inspect", str(path), given]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  u [5, 7, 13] >f4" in lines
    assert "axes: (t, y, x), from the shapes" in lines
    section = yaml.safe_load("\n".join(lines[lines.index("yaml:") + 1 :]))
    assert section["data"]["raw"][0] == raw[0]
    case = tmp_path / "case.yaml"
    train = {"steps": 2, "collocation_points": 16}
    case.write_text(yaml.safe_dump(section | {"flow": {"nu": 0.1}, "train": train, "sensors": {"count": 3}}))
    assert main(["reconstruct", str(case), "--out", str(tmp_path / "run"), "--quiet"]) in (0, 1)
    assert (tmp_path / "run" / "fields.h5").is_file()
    sensors = tmp_path / "sensors.csv"
    given_names = ["data.arrays.t=t", "--count", "3", "--out", str(sensors), "--quiet", "--memory-limit", "1GB"]
    assert main(["sensors", str(path), given, *given_names]) == 0
    assert len(sensors.read_text().splitlines()) == 4
