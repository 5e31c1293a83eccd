"""Truncated, altered and random files of every format that is read: one line that names the file, or a result.

The damage is drawn from the seed of the test; each format gets half a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from flow_files import TINY, prepare, source, unsteady_grid

from pinnx.cli import main
from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import load_case
from pinnx.report.run_data import open_fields, read_run
from pinnx.report.summary import given, headline, lead
from pinnx.report.tables import checks_table, errors_table, facts_table, sensors_table
from pinnx.runs.folder import RunFolder
from pinnx.train.checkpoint import load_checkpoint, save_checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parent / "report"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "data"))
from run_folder import CASES, build_run
from test_extra_formats import ARRAYS as PLANE
from test_extra_formats import write_mesh, write_zarr

SECONDS, FEWEST, MOST = 0.4, 20, 300  # of damaged copies of each format


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """One of: cut short, some bytes altered, a stretch of noise or zeros, a stretch taken out or put in, noise."""
    size = max(len(content), 1)
    begin = int(rng.integers(size))
    end = min(size, begin + int(rng.integers(1, 200)))
    noise = rng.bytes(end - begin)
    kind = rng.integers(7)
    if kind == 0:
        return content[:begin]
    if kind == 1:
        altered = bytearray(content)
        for place in rng.integers(size, size=int(rng.integers(1, 9))).tolist():
            altered[place] = int(rng.integers(256))
        return bytes(altered)
    middle = {2: noise, 3: bytes(end - begin), 4: b"", 5: content[begin:end] + noise}
    return content[:begin] + middle[int(kind)] + content[end:] if kind in middle else rng.bytes(size)


def fuzz(path: Path, rng: np.random.Generator, use: Callable[[], object]) -> int:
    """Use damaged copies of a file in its place; returns how many were refused."""
    content = path.read_bytes()
    use()
    stop, refused = time.perf_counter() + SECONDS, 0
    for count in range(MOST):
        broken = damaged(rng, content)
        path.write_bytes(broken)
        try:
            use()
        except PinnxError as error:
            refused += "\n" not in str(error)
        if count >= FEWEST and time.perf_counter() > stop:
            break
    return refused


def flow(path: Path) -> Path:
    with np.load(unsteady_grid(path.parent)) as file:
        arrays = dict(file)
    if path.suffix == ".npz":
        (np.savez_compressed if path.stem == "packed" else np.savez)(path, **arrays)
    elif path.suffix == ".mat" and path.stem != "hdf5":
        scipy.io.savemat(path, arrays | {"s": {"u": 1.0}}, do_compression=path.stem == "packed")
    elif path.name == "classic.nc":
        with scipy.io.netcdf_file(path, "w") as file:
            for name, array in arrays.items():
                axes = tuple(f"{name}{axis}" for axis in range(array.ndim))
                for axis, size in zip(axes, array.shape, strict=True):
                    file.createDimension(axis, size)
                file.createVariable(name, "f8", axes)[...] = array
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                options = {"chunks": True, "compression": "gzip"} if path.stem == "packed" and array.ndim > 1 else {}
                file.create_dataset(name, data=np.atleast_2d(array).T if path.suffix == ".mat" else array, **options)
                file[name].attrs["scale_factor"] = 1.0
    return path


# Less than the 4 snapshots of `flow` take, more than the choice itself.
IN_BLOCKS = ["--memory-limit", "16803000"]
ARRAYS = ["f.npz", "packed.npz", "f.mat", "packed.mat", "hdf5.mat", "f.h5", "packed.h5", "f.nc", "classic.nc"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    path = flow(tmp_path / name)
    config = load_config(None, [f"data.path={path}", "data.arrays.t=t", "flow.nu=0.1", "sensors.count=4"])
    assert fuzz(path, rng, lambda: load_case(config)) > 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["u.npy", "u/zarr.json", "u/c/0/0", "flow.vtk", "flow.vtu", "flow.xdmf", "flow.h5"])
def test_folders_and_meshes(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    """One file of many, where there are many."""
    fields, path = ["data.arrays.u=U[..., 0]", "data.arrays.v=U[..., 1]"], tmp_path / name
    if name.startswith("flow"):
        data = write_mesh(path.with_suffix(".xdmf") if path.suffix == ".h5" else path)
    elif name == "u.npy":
        data, fields = tmp_path, []
        for array, values in PLANE.items():
            np.save(tmp_path / f"{array}.npy", values)
    else:
        data, fields = write_zarr(tmp_path), []
    config = load_config(None, [f"data.path={data}", "flow.nu=0.1", "sensors.count=4", *fields])
    assert fuzz(path, rng, lambda: load_case(config)) > 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "limit"), [("f.h5", []), ("f.npz", []), ("f.h5", IN_BLOCKS), ("packed.h5", IN_BLOCKS)]
)
def test_the_command_sensors(
    tmp_path: Path, rng: np.random.Generator, name: str, limit: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = flow(tmp_path / name)
    words = ["sensors", str(path), "--variable", "u,v", "data.axes=[t,x,y]", "--count", "3", "--method", "qr", *limit]

    def use() -> None:
        status = main([*words, "--quiet"])
        said = capsys.readouterr().err
        if status:
            assert status == 2
            raise PinnxError([line for line in said.splitlines() if "error" in line][-1])

    assert fuzz(path, rng, use) > 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["unsteady_csv", "steady_csv"])
def test_tables_and_configurations(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    config, data = prepare(tmp_path, name)

    def use() -> object:
        return load_case(load_config(config, [*TINY, source(data)]))

    text = config.read_bytes()
    assert fuzz(data, rng, use) > 2
    data = prepare(tmp_path, name)[1]
    config.write_bytes(text)
    assert fuzz(config, rng, lambda: load_config(config, [source(data)])) > 2


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("run"), CASES["synthetic_unsteady_grid"]())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["config", "metrics", "history", "sensors", "fields"])
def test_what_the_report_reads(run_folder: Path, rng: np.random.Generator, name: str) -> None:
    """All but the drawing, which takes seconds."""
    files = RunFolder(run_folder)

    def use() -> None:
        run = read_run(files.path)
        with open_fields(files.fields) as fields:
            for quantity in fields.quantities:
                fields.picture(quantity, fields.main_frame())
                if fields.reference_frames(quantity):
                    fields.series(quantity, reference=True)
            for residual in fields.residual_names:
                fields.picture(f"residual/{residual}", 0)
            fields.at_sensors()
            assert headline(run, fields)
            assert lead(run, fields)
            assert given(run, fields)
        for make in (checks_table, errors_table, facts_table):
            assert make(run.metrics)
        assert sensors_table(run.sensors)

    path: Path = getattr(files, name)
    content = path.read_bytes()
    assert fuzz(path, rng, use) > 2
    path.write_bytes(content)


def test_checkpoints(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": {"weight": torch.arange(12.0)}, "step": 3})
    assert fuzz(path, rng, lambda: load_checkpoint(path)) > 2
