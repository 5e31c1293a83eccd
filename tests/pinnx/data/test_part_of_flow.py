"""A part of a file is read as the whole file is, cut afterwards; and nothing else of it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pinnx.data import DataMapping, Snapshots, read_snapshots
from pinnx.errors import PinnxError

T, X, Y = np.arange(6) / 4, np.linspace(0, 3, 13), np.linspace(2, -1, 10)  # y falls
PHASE = 1.3 * X[:, None] + 0.7 * Y + T[:, None, None]
FLOW = {"u": 0.7 * np.cos(PHASE), "v": -1.3 * np.cos(PHASE), "p": np.sin(PHASE)}
WALL = np.flatnonzero(np.indices((13, 10))[1] < 3)
LIMITS = {"x": (0.4, 2.1), "y": (-0.5, 1.1), "t": (0.2, 1.3)}


def stored(folder: Path, kind: str) -> tuple[Path, DataMapping]:
    more: dict[str, Any] = {"mask": "mask", "index_sets": {"wall": "wall"}, "nu": 0.1}
    arrays = FLOW | {"t": T, "x": X, "y": Y, "mask": (X[:, None] + Y > -0.9).astype("i1"), "wall": WALL}
    names: dict[str, Any] = {"t": "t", "p": "p"}
    if kind == "vector":
        arrays["vector"] = np.stack([arrays.pop("u"), arrays.pop("v")], axis=-1)
        names |= {"u": "vector[..., 0]", "v": "vector[..., 1]", "axes": ("t", "x", "y")}
    if kind == "frames":
        arrays |= {f"{name}_{k}": arrays[name][k] for name in ("u", "v", "p") for k in range(6)}
        names = {"t": "t", "u": "u_*", "v": "v_*", "p": "p_*"}
    if kind == "one pressure":
        arrays["p"] = FLOW["p"][3]
        names["pressure_frame"] = 3
    path = folder / ("flow.mat" if kind == "matlab" else "flow.h5")
    if kind == "matlab":  # the axes of its HDF5 are in reverse; a set as a mask, as its indices count otherwise
        arrays["wall"] = np.isin(np.arange(130), WALL).reshape(13, 10).astype("u1")
        arrays = {name: np.transpose(array) for name, array in arrays.items()}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path, DataMapping(**names, **more)


def strided(flow: Snapshots, t: int, x: int, y: int) -> Snapshots:
    """Every k-th line of a flow in memory, from the first in the order of the file."""
    inside = np.zeros(flow.grid_shape, dtype=bool)
    inside[::x, ::-y] = True
    frames = np.zeros(flow.num_times, dtype=bool)
    frames[::t] = True
    return flow._kept(inside.reshape(-1), frames)


@pytest.mark.parametrize("kind", ["plain", "vector", "frames", "one pressure", "matlab"])
@pytest.mark.parametrize("limits", [{}, LIMITS])
@pytest.mark.parametrize("stride", [{}, {"t": 3, "x": 2, "y": 2}])
def test_a_part_is_the_whole_cut(tmp_path: Path, kind: str, limits: dict, stride: dict) -> None:
    path, mapping = stored(tmp_path, kind)
    whole = read_snapshots(path, mapping, keep_gaps=True).window(**limits)
    wanted = strided(whole, **stride) if stride else whole
    found = read_snapshots(path, mapping, keep_gaps=True, limits=limits, stride=stride)
    for name in ("points", "values", "times", "pressure", "pressure_frames"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    assert found.grid_shape == wanted.grid_shape
    assert {name: a.tolist() for name, a in found.index_sets.items()} == {
        name: a.tolist() for name, a in wanted.index_sets.items()
    }
    assert found.whole == (130, 6)


@pytest.mark.parametrize("kind", ["vector", "matlab"])
def test_what_is_outside_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path, mapping = stored(tmp_path, kind)
    read, sizes = h5py.Dataset.__getitem__, {}

    def counted(self: h5py.Dataset, *given: Any) -> Any:
        found = read(self, *given)
        sizes[self.name] = np.size(found)
        return found

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    part = read_snapshots(path, mapping, limits={"t": (0.2, 0.6)}, stride={"x": 4})
    assert part.grid_shape == (4, 10)
    assert sizes["/vector" if kind == "vector" else "/u"] == sizes["/p"] == 2 * 4 * 10


@pytest.mark.parametrize(
    ("stride", "message"),
    [
        ({"z": 2}, r"data.stride.z: expected an axis of the grid or the times \(x, y, t\), got a stride of 2"),
        ({"x": 20}, "data.stride.x: expected two lines to be left of 13, got a stride of 20"),
    ],
)
def test_a_stride_that_does_not_fit(tmp_path: Path, stride: dict, message: str) -> None:
    path, mapping = stored(tmp_path, "plain")
    with pytest.raises(PinnxError, match=message):
        read_snapshots(path, mapping, stride=stride)


def test_scattered_places_have_a_stride_in_time_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", x=X, y=X**2, t=T, u=PHASE[:, :, 0], v=PHASE[:, :, 1])
    path, mapping = tmp_path / "f.npz", DataMapping(t="t", nu=0.1, axes=("t", "n"))
    np.testing.assert_array_equal(read_snapshots(path, mapping, stride={"t": 2}).times, T[::2])
    with pytest.raises(PinnxError, match=r"data.stride.x: expected an axis of the grid or the times \(t\)"):
        read_snapshots(path, mapping, stride={"x": 2})
