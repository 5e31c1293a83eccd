"""Fields in other formats are those of fields.h5, read by their own libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from pinnx.config import Config
from pinnx.data import DataMapping, read_snapshots
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.exported_fields import export_fields, require_packages

Finished = Callable[[str], tuple[Path, Path, dict[str, Any]]]


def copied(finished: Finished, name: str, folder: Path) -> tuple[Path, h5py.File]:
    path = folder / "fields.h5"
    path.write_bytes((finished(name)[0] / "fields.h5").read_bytes())
    return path, h5py.File(path)


@pytest.mark.parametrize("name", ["unsteady_grid", "steady_grid", "scattered_3d"])
def test_netcdf_has_the_fields_and_the_names_of_cf(finished: Finished, tmp_path: Path, name: str) -> None:
    path, fields = copied(finished, name, tmp_path)
    export_fields(path, ["netcdf"])
    with fields, scipy.io.netcdf_file(tmp_path / "fields.nc", mmap=False) as file:
        assert file.Conventions == b"CF-1.8"
        for field in ("u", "v", "p"):
            np.testing.assert_array_equal(file.variables[field].data, fields[field][()])
            assert file.variables[field].dimensions == tuple(str(fields.attrs["axes"]).split(","))
        assert (file.variables["x"].axis, file.variables["x"].standard_name) == (b"X", b"projection_x_coordinate")
    if name == "unsteady_grid":
        flow = read_snapshots(tmp_path / "fields.nc", DataMapping(t="t"), check_orientation=False)
        assert flow.grid_shape == (6, 5)


@pytest.mark.parametrize("name", ["unsteady_grid", "scattered_3d"])
def test_vtu_has_the_fields_at_each_time(finished: Finished, tmp_path: Path, name: str) -> None:
    meshio = pytest.importorskip("meshio", reason="meshio is not installed (extra: mesh)")
    path, fields = copied(finished, name, tmp_path)
    export_fields(path, ["vtu"])
    with fields:
        files = sorted((tmp_path / "vtu").iterdir())
        assert len(files) == len(fields["t"])
        mesh = meshio.read(files[1])
        for index, field in enumerate("uv"):
            np.testing.assert_array_equal(mesh.point_data["velocity"][:, index], fields[field][1].reshape(-1))
        np.testing.assert_array_equal(mesh.point_data["p"], fields["p"][1].reshape(-1))
        if name == "unsteady_grid":
            assert mesh.cells[0].data.shape == (5 * 4, 4)
            corners = mesh.points[mesh.cells[0].data]
            first, second = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 3, :2] - corners[:, 0, :2]
            assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0.0).all()  # against the clock
    if find_spec("pyvista"):
        assert pytest.importorskip("pyvista").read(files[1]).n_points == len(mesh.points)


@pytest.mark.usefixtures("no_report")
def test_a_run_writes_them_on_request(tiny: Callable[..., Config], tmp_path: Path) -> None:
    reconstruct(tiny("steady_csv", "evals.formats=[netcdf]", "evals.left_out=0"), tmp_path / "run")
    assert (tmp_path / "run" / "fields.nc").is_file()
    assert not (tmp_path / "run" / "vtu").exists()


def test_a_missing_package_is_named_before_the_training(
    tiny: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tiny("steady_csv", "evals.formats=[vtu, netcdf]").evals.formats == ("vtu", "netcdf")
    monkeypatch.setitem(sys.modules, "meshio", None)
    require_packages(["netcdf"])
    with pytest.raises(PinnxError, match=r"evals.formats: expected the package meshio for vtu: pip install"):
        require_packages(["vtu"])
