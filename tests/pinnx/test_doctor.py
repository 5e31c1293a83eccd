"""The doctor: finds what is there, and finds missing what is not, each with a remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import pinn_ext
from pinnx import doctor
from pinnx.cli import main
from pinnx.doctor import PACKAGES, Finding, findings


def found() -> dict[str, Finding]:
    return {item.name: item for item in findings()}


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A build that a test may alter."""
    info = SimpleNamespace(**vars(pinn_ext.build_info()))
    monkeypatch.setattr(pinn_ext, "build_info", lambda: info)
    return info


def test_everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    seen = found()
    assert set(seen) == {"python", "torch", "kernels", "instruction set", "threads", "cuda", *PACKAGES}
    assert all(item.ok for item in seen.values())
    assert all(item.found for item in seen.values())
    assert pinn_ext.build_info().active_instruction_set in seen["instruction set"].found
    assert "the CPU is used" in seen["cuda"].found


def test_the_packages_are_those_that_are_required() -> None:
    required = {line.split(";")[0].strip() for line in metadata.requires("pinn-ext") or () if "extra ==" not in line}
    names = {line.replace(">", "=").split("=")[0].strip().lower() for line in required}
    assert names == {"torch", *PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_found_missing(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def all_but_one(name: str) -> str:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", all_but_one)
    seen = found()
    missing = [item.name for item in seen.values() if not item.ok and item.name != "cuda"]
    assert missing == [package]
    assert (seen[package].found, seen[package].remedy) == ("not installed", f"pip install {package}")
    assert main(["doctor"]) == 1


def test_without_torch_the_rest_is_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    seen = found()
    assert not seen["torch"].ok
    assert seen["torch"].remedy == "pip install torch"
    assert set(seen) == {"python", "torch", *PACKAGES}


def test_kernels_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pinn_ext", None)
    seen = found()
    assert not seen["kernels"].ok
    assert seen["kernels"].remedy == "pip install --force-reinstall pinn-ext"
    assert "instruction set" not in seen
    assert seen["numpy"].ok


def test_an_instruction_set_that_this_cpu_lacks(tmp_path: Path) -> None:
    """Asked for by the environment: the doctor says so, and so does the job, in one line."""
    environment = os.environ | {"PINN_EXT_ISA": "mmx"}
    for command, status in (("doctor", 1), ("demo", 2)):
        given = [sys.executable, "-m", "pinnx", command]
        done = subprocess.run(given, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert "PINN_EXT_ISA: expected one of generic" in (done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        assert command == "doctor" or done.stderr.count("\n") == 1
        assert command == "demo" or "-> unset PINN_EXT_ISA" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_slower_path_and_one_thread_have_remedies(build: SimpleNamespace) -> None:
    build.instruction_sets, build.active_instruction_set, build.openmp = ("generic", "avx2"), "generic", None
    seen = found()
    assert seen["instruction set"].found == "generic (of generic, avx2)"
    assert seen["instruction set"].remedy.startswith("avx2 is not used: ")
    assert "OpenMP" in seen["threads"].remedy
    assert seen["instruction set"].ok, "slower, but it works"


def test_a_gpu_without_kernels_has_a_remedy(build: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA Example")
    build.cuda_version, build.cuda_architectures = None, ()
    seen = found()["cuda"]
    assert "the CPU is used" in seen.found
    assert "PINN_EXT_CUDA=ON" in seen.remedy
    build.cuda_version, build.cuda_architectures = "13.0", ("80-real", "90")
    seen = found()["cuda"]
    assert seen.ok
    assert "13.0 for 80-real, 90" in seen.found


def test_help_and_doctor_need_none_of_the_packages(tmp_path: Path) -> None:
    """In a process where no package beside the standard library can be imported."""
    blocked = ("torch", "pinn_ext", "numpy", "scipy", "h5py", "pydantic", "yaml", "rich", "matplotlib")
    blocked += ("safetensors",)
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); from pinnx.cli import main; sys.exit(main({{}}))"
    )
    for words, status, shown in (
        (["doctor"], 1, "MISSING  torch: "),
        (["demo"], 2, "run pinnx doctor for details"),
        (["--help"], 0, "usage: pinnx"),
    ):
        given = [sys.executable, "-c", script.format(words)]
        done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert shown in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
