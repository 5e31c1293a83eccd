"""A small divergence-free flow in files of arrays, and what reading it has to give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.data import DataMapping, read_snapshots
from pinnx.data.snapshots import Snapshots

X, Y, T = np.linspace(0, 4, 9), np.linspace(0, 2, 6), np.linspace(0, 2, 4)
MESH_T, MESH_Y, MESH_X = np.meshgrid(T, Y, X, indexing="ij")
PHASE = 1.3 * MESH_X + 0.7 * MESH_Y - 0.9 * MESH_T
U, V = 0.7 * np.cos(PHASE), -1.3 * np.cos(PHASE)  # divergence-free
FLOW = DataMapping(t="t")


def hdf5(path: Path, arrays: dict[str, np.ndarray], attributes: dict[str, dict[str, Any]] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        for name, table in (attributes or {}).items():
            file[name].attrs.update(table)
    return path


def plain(folder: Path, mapping: DataMapping = FLOW, **change: Any) -> Snapshots:
    path = folder / "plain.npz"
    np.savez(path, **({"x": X, "y": Y, "t": T, "u": U, "v": V} | change))
    return read_snapshots(path, mapping)


def arrays(**change: Any) -> dict[str, np.ndarray]:
    return {"x": X, "y": Y, "t": T, "u": U, "v": V} | change


def assert_same(flow: Snapshots, wanted: Snapshots, tolerance: float = 0.0) -> None:
    np.testing.assert_allclose(flow.points, wanted.points, rtol=0, atol=tolerance)
    np.testing.assert_allclose(flow.values, wanted.values, rtol=0, atol=tolerance)
    np.testing.assert_allclose(flow.times, wanted.times, rtol=0, atol=tolerance)
