"""Every CPU path in the build gives the same numbers; the path can be chosen, a wrong one is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES, relative_error
from tolerances import KERNEL_FLOAT64, kernel_float32

import pinn_ext

HERE = Path(__file__).resolve().parent
KNOWN = ("generic", "avx2", "avx512")
BUILT, ACTIVE = pinn_ext.build_info().instruction_sets, pinn_ext.build_info().active_instruction_set


def run_python(arguments: list[str], isa: str | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PINN_EXT_ISA"}
    if isa is not None:
        environment["PINN_EXT_ISA"] = isa
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


def results_on(isa: str, folder: Path) -> dict[tuple[str, str], list[torch.Tensor]]:
    """All cases on one path; skips, with the reason, where this CPU does not have it."""
    file = folder / f"{isa}.pt"
    if not file.exists():
        done = run_python([str(HERE / "run_cases.py"), str(file)], isa, folder)
        if "PINN_EXT_ISA: expected one of" in done.stderr:
            pytest.skip(f"this CPU has no {isa}: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    saved: dict[str, Any] = torch.load(file)
    assert saved["active"] == isa
    return saved["results"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instruction_sets")


def test_build_names_its_paths() -> None:
    info = pinn_ext.build_info()
    assert BUILT[0] == "generic"
    assert set(BUILT) <= set(KNOWN)
    assert info.active_instruction_set in BUILT


@pytest.mark.parametrize("isa", [isa for isa in BUILT if isa != "generic"] or ["none built"])
def test_same_numbers_as_the_generic_path(isa: str, folder: Path) -> None:
    if isa not in BUILT:
        pytest.skip("this build has the generic path alone: nothing to compare")
    generic, other = results_on("generic", folder), results_on(isa, folder)
    assert generic.keys() == other.keys()
    differ = False
    for case in CASES:
        for dtype in (torch.float32, torch.float64):
            wanted, got = generic[case.name, str(dtype)], other[case.name, str(dtype)]
            inputs = case.inputs(67, seed=1, dtype=dtype)
            bound = (
                KERNEL_FLOAT64
                if dtype == torch.float64
                # each of the two paths is off by up to the bound of one
                else 2 * kernel_float32(case.summands(67), case.amplification(*(t.detach() for t in inputs)))
            )
            errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
            assert max(errors) <= bound, f"{case.name} {dtype}: {errors}"
            differ |= max(errors) > 0.0
    # Wider registers sum in another order: identical results would mean that one path ran twice.
    assert differ


@pytest.fixture(scope="module")
def generic_pivots(folder: Path) -> str:
    return run_python(["-c", PIVOTS, str(HERE)], "generic", folder).stdout


PIVOTS = (
    "import sys; sys.path.append(sys.argv[1])\n"
    "import json, pinn_ext\n"
    "from pivot_cases import random_matrix\n"
    "for dtype in ('f4', 'f8'):\n"
    "    for r, n, c, k in ((33, 20001, 0, 40), (20, 3000, 2, 12)):\n"
    "        A = random_matrix(r, n, c).astype(dtype)\n"
    "        got = pinn_ext.pivoted_qr(A, k)\n"
    "        print(dtype, r, got.rank, got.pivots.tolist())\n"
)


@pytest.mark.parametrize("isa", [isa for isa in BUILT if isa != "generic"] or ["none built"])
def test_same_pivots_on_every_path(isa: str, folder: Path, generic_pivots: str) -> None:
    """The choice, sharp and beyond the rank; the gaps are far above rounding."""
    if isa not in BUILT:
        pytest.skip("this build has the generic path alone: nothing to compare")
    done = run_python(["-c", PIVOTS, str(HERE)], isa, folder)
    if "PINN_EXT_ISA: expected one of" in done.stderr:
        pytest.skip(f"this CPU has no {isa}: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout == generic_pivots


@pytest.mark.parametrize("isa", [isa for isa in BUILT if isa != ACTIVE] or ["none built"])
def test_sums_on_every_path(isa: str, folder: Path) -> None:
    """Tiles and vectors differ from path to path: each has the tests of its own way to cut rows and columns.

    The path in use has them in this process.
    """
    if isa not in BUILT:
        pytest.skip("this build has the path in use alone")
    which = [
        "-k",
        "cpu and is_that_of_float64 or threads or of_the_tiles",
        *(str(HERE / f"test_{name}.py") for name in ("gram", "residual_jacobian", "sketch")),
    ]
    done = run_python(["-m", "pytest", "-q", "-p", "no:cacheprovider", *which], isa, folder)
    if "PINN_EXT_ISA: expected one of" in done.stdout + done.stderr:
        pytest.skip(f"this CPU has no {isa}")
    assert done.returncode == 0, done.stdout


@cache
def asked_for(wrong: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process that is told to take a path that does not exist."""
    program = "import torch, pinn_ext\npinn_ext.fourier_features(torch.zeros(2, 1), torch.ones(1, 1))\nprint('ran')"
    return run_python(["-c", program], wrong, folder)


def test_best_path_is_the_default(folder: Path) -> None:
    program = "import pinn_ext; print(pinn_ext.build_info().active_instruction_set)"
    offered = asked_for("AVX2", folder).stderr.rsplit("expected one of", 1)[-1].rsplit("got", 1)[0]
    usable = [isa for isa in BUILT if isa in offered]
    assert usable[0] == "generic"
    assert run_python(["-c", program], None, folder).stdout.strip() == usable[-1]
    assert run_python(["-c", program], "", folder).stdout.strip() == usable[-1]


@pytest.mark.parametrize("wrong", ["AVX2", "avx2 "])
def test_unknown_path_is_refused(wrong: str, folder: Path) -> None:
    done = asked_for(wrong, folder)
    assert done.returncode != 0
    assert "ran" not in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert "PINN_EXT_ISA: expected one of generic" in last
    assert f"got '{wrong}'" in last
