"""Blocks of zeros, and of fill values, are no values in any file that is read whole; walls, a start from rest, rounding
and uniform streams are none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.data import DataMapping, Snapshots, read_snapshots, summary_of
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import load_snapshots

T, X, Y, Z = np.linspace(0, 1, 5), np.linspace(0, 3, 16), np.linspace(-1, 1, 12), np.linspace(0, 1, 6)
PLACES = np.random.default_rng(2).uniform([0, -1], [3, 1], (900, 2))
MESH_T, MESH_X, MESH_Y = np.meshgrid(T, X, Y, indexing="ij")
# Where the velocity is 0, [T, n_x, n_y].
BODY = np.hypot(MESH_X - 1.5, MESH_Y) < 0.5
BLOCKS: dict[str, np.ndarray] = {
    "a frame": T[2] == MESH_T,
    "the last frames": MESH_T > 0.6,
    "a slab of one frame": (T[3] == MESH_T) & (MESH_X > 2.3),
    "a chunk": (MESH_X < 0.5) & (MESH_Y < -0.5),
    "a body": BODY,
    "everything": MESH_T >= 0,
}
FLOWS: dict[str, np.ndarray] = {
    "nothing": MESH_T < 0,
    "walls": (np.abs(MESH_Y) == 1) | (MESH_X == 0),
    "a plate": np.abs(MESH_Y - Y[5]) + 0 * MESH_X < 0.1,
    "a start from rest": MESH_T == 0,
    "a start beside a lid": (MESH_T == 0) & (MESH_Y < 1),
}


def velocity(zeros: np.ndarray, *, uniform: bool = False) -> dict[str, np.ndarray]:
    phase = 1.3 * MESH_X + 0.7 * MESH_Y - MESH_T
    u, v = (1 + 0 * phase, 0 * phase) if uniform else (0.7 * np.cos(phase), -1.3 * np.cos(phase))
    return {"u": np.where(zeros, 0.0, u), "v": np.where(zeros, 0.0, v)}


def stored(folder: Path, zeros: np.ndarray, **change: Any) -> Path:
    np.savez(folder / "f.npz", **({"t": T, "x": X, "y": Y} | velocity(zeros) | change))
    return folder / "f.npz"


def read(path: Path, **options: Any) -> Snapshots:
    return read_snapshots(path, DataMapping(t="t", axes=("t", "x", "y")), check_orientation=False, **options)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_of_zeros_is_refused_and_accepted_by_its_option(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path, BLOCKS[name])
    with pytest.raises(
        PinnxError,
        match=r"f.npz: expected values, got blocks .* exactly 0 in . of 5 frames, as near \(.*domain.holes.*",
    ):
        read(path)
    flow = read(path, zeros_are_values=True)
    assert flow.notes[-1].startswith("Taken as fluid at rest: blocks in which all components are exactly 0 in ")
    np.testing.assert_array_equal((flow.values == 0).all(axis=2), BLOCKS[name].reshape(5, -1))


@pytest.mark.parametrize("name", FLOWS)
def test_walls_and_a_start_from_rest_are_no_blocks(tmp_path: Path, name: str) -> None:
    assert not any("at rest" in note for note in read(stored(tmp_path, FLOWS[name])).notes)


def test_a_component_of_zeros_is_none_and_a_uniform_flow_hides_no_block(tmp_path: Path) -> None:
    read(stored(tmp_path, FLOWS["nothing"], v=0 * MESH_T))
    with pytest.raises(PinnxError, match="expected values, got blocks"):
        read(stored(tmp_path, BODY, **velocity(BODY, uniform=True)))


@pytest.mark.parametrize("fill", [-1.0, -99.0, 999.0, -9999.0, 1e6, float(np.float32(-999.9))])
def test_a_block_of_a_fill_value_within_the_range_of_the_others_is_refused(tmp_path: Path, fill: float) -> None:
    """Beyond that range one such number is enough (tests of `refuse_marks`)."""
    exact = {name: 2.0 * abs(fill) * array for name, array in velocity(FLOWS["nothing"]).items()}
    filled = {name: np.where(BODY, fill, array) for name, array in exact.items()}
    path = stored(tmp_path, BODY, **filled)
    with pytest.raises(PinnxError, match=rf"all components are exactly {fill:.10g} in 5 of 5 frames, as near .*mask"):
        read(path)
    if fill == -1.0:
        notes = read(path, zeros_are_values=True).notes
        assert "Taken as a uniform stream: blocks in which all components are exactly -1 in 5 of 5 frames" in notes[-1]
    else:
        with pytest.raises(PinnxError, match=r"leave the part out by data.window or data.times$"):
            read(path, zeros_are_values=True)
    read(stored(tmp_path, BODY, **(filled | {"u": exact["u"]})))  # one component alone


@pytest.mark.parametrize("fill", [-1.0, -9999.0])
@pytest.mark.parametrize("beyond", [False, True])
def test_a_fill_value_is_a_number_of_the_file_also_where_units_are_converted(
    tmp_path: Path, fill: float, beyond: bool
) -> None:
    size = abs(fill) * (0.01 if beyond else 2.0)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for name, array in {"t": T, "x": X, "y": Y, **velocity(FLOWS["nothing"])}.items():
            unit = "mm/s" if name in "uv" else "s" if name == "t" else "m"
            file[name] = np.where(BODY, fill, size * array) if name in "uv" else array
            file[name].attrs["units"] = unit
    message = "got {} in .* all others are within" if beyond and fill != -1.0 else "exactly {} in 5 of 5"
    with pytest.raises(PinnxError, match=message.format(f"{fill:g}")):
        read(tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        for name in "uv":
            file[name][...] = np.where(BODY, 1e3 * fill, file[name])  # this number of m/s is none
    assert any(note.startswith("Converted to m and s") for note in read(tmp_path / "f.h5").notes)


@pytest.mark.parametrize("stream", [(1.0, 0.0), (-1.0, 0.0), (1.0, 1.0), (-0.5, -0.5), (-1.0, 1.0)])
def test_a_uniform_stream_is_none(tmp_path: Path, stream: tuple[float, float]) -> None:
    inflow = MESH_X < 1.5
    arrays = {name: np.where(inflow, c, velocity(FLOWS["nothing"])[name]) for name, c in zip("uv", stream, strict=True)}
    read(stored(tmp_path, BODY, **arrays))
    read(stored(tmp_path, BODY, u=stream[0] + 0 * MESH_X, v=stream[1] + 0 * MESH_X))


def test_whole_pixels_are_no_blocks(tmp_path: Path) -> None:
    """Displacements that are rounded to whole pixels are -1 in large regions, beside -2 and 0."""
    slow = {name: np.round(30.0 * MESH_X**3 / 27.0 - 1.0) for name in "uv"}
    assert ((slow["u"] == -1.0) & (slow["v"] == -1.0)).mean() > 0.2
    read(stored(tmp_path, BODY, **slow))
    with pytest.raises(PinnxError, match="got blocks in which all components are exactly -1"):
        read(stored(tmp_path, BODY, **{name: np.where(MESH_X > 2.3, -1.0, array) for name, array in slow.items()}))


def test_a_body_is_named_or_masked_or_left_out(tmp_path: Path) -> None:
    path = stored(tmp_path, BODY, solid=BODY[0].astype(int))
    assert any(line.startswith("refused: ") and "got blocks" in line for line in summary_of(path))
    given = [f"data.path={path}", "data.arrays.t=t", "data.axes=[t, x, y]", "flow.nu=0.1"]
    with pytest.raises(PinnxError, match="got blocks"):
        load_snapshots(load_config(None, given))
    hole = "domain.holes=[{circle: {center: [1.5, 0], radius: 0.5}}]"
    for remedy in (hole, "data.arrays.mask=~solid", "data.window.x=[2.05, 3]"):
        flow = load_snapshots(load_config(None, [*given, remedy]))
        assert "x" in remedy or flow.in_flow.sum() == (~BODY[0]).sum()
    notes = load_snapshots(load_config(None, [*given, "data.zeros_are_values=true"])).notes
    assert any(note.startswith("Taken as fluid at rest") for note in notes)


@pytest.mark.parametrize("kind", ["scattered", "3-D"])
def test_blocks_of_scattered_places_and_in_three_dimensions(tmp_path: Path, kind: str) -> None:
    if kind == "scattered":
        radius = np.hypot(PLACES[:, 0] - 1.5, PLACES[:, 1])
        arrays = {"x": PLACES[:, 0], "y": PLACES[:, 1]}
        field, names = np.cos(PLACES @ [1.3, 0.7]), DataMapping()
        wall, body = np.abs(radius - 0.6) < 0.05, radius < 0.5
    else:
        x, y, z = np.meshgrid(X, Y, Z, indexing="ij")
        arrays = {"x": X, "y": Y, "z": Z}
        field, names = np.cos(1.3 * x + 0.7 * y + z), DataMapping(z="z", w="w")
        wall, body = np.abs(y) == 1, np.hypot(x - 1.5, y) < 0.5
    for zeros, fails in ((wall, False), (body, True)):
        np.savez(tmp_path / "f.npz", **arrays, **dict.fromkeys("uvw"[: len(arrays)], np.where(zeros, 0, field)))
        if fails:
            with pytest.raises(PinnxError, match=r"exactly 0, as near \(1\..*, "):
                read_snapshots(tmp_path / "f.npz", names, check_orientation=False)
        else:
            read_snapshots(tmp_path / "f.npz", names, check_orientation=False)


def test_rounded_numbers_are_no_blocks(tmp_path: Path) -> None:
    strength = np.exp(-4 * ((MESH_X - 1.5) ** 2 + MESH_Y**2))  # of a vortex; 7e-6 at the far ends
    exact = {"u": -MESH_Y * strength, "v": (MESH_X - 1.5) * strength}
    rounded = {name: np.round(array, 2) for name, array in exact.items()}
    assert ((rounded["u"] == 0) & (rounded["v"] == 0)).mean() > 0.2
    read(stored(tmp_path, BODY, **rounded))
    with pytest.raises(PinnxError, match="got blocks"):
        read(stored(tmp_path, BODY, **{name: np.where(BODY, 0, array) for name, array in rounded.items()}))


CAVITIES = [f"ldc_re{number}{end}" for number in (100, 1000, 3200) for end in (".mat", "_converged.npz")]
REAL = {
    "cylinder_wake_re100.h5": DataMapping(t="t", axes=("t", "n")),
    "steady_cylinder_re40.npz": DataMapping(),
    "backward_step_re100.npz": DataMapping(),
    **dict.fromkeys(CAVITIES, DataMapping(axes=("x", "y"))),
}


@pytest.mark.parametrize("name", REAL)
def test_no_real_flow_is_refused(data_dir: Path, name: str) -> None:
    flow = read_snapshots(data_dir / name, REAL[name])
    assert (flow.values == 0).all(axis=2).any(), "its walls"
