"""``pinnx verify``: a run is judged anew, right files pass, wrong ones do not, and the exit status says which."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnx.cli import main
from pinnx.evals import Kovasznay

Verified = Callable[..., tuple[int, list[dict[str, Any]], str]]
FLOW, NAMED = Kovasznay(nu=1 / 40), ("data.arrays.p=p", "data.axes=[x,y]")


@pytest.fixture
def verified(capsys: pytest.CaptureFixture[str]) -> Verified:
    """Exit status, verdicts and errors of the command."""

    def run(*words: str | Path) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        status = main(["verify", *map(str, words), "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else [], err

    return run


def stored(folder: Path, n: int = 49, **changes: np.ndarray) -> Path:
    x, y = np.linspace(-0.5, 0.5, n), np.linspace(-0.5, 0.5, n - 2)
    places = np.meshgrid(x, y, indexing="ij")
    u, v = np.moveaxis(FLOW.velocity(0.0 * places[0], *places), -1, 0)
    np.savez(folder / "flow.npz", **({"x": x, "y": y, "u": u, "v": v, "p": FLOW.pressure(0.0, *places)} | changes))
    return folder / "flow.npz"


def test_a_run_has_the_verdicts_of_its_training(
    verified: Verified, finished: Callable[[str], tuple[Path, Path, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, metrics = finished("steady_grid")
    status, checks, _ = verified(folder)
    wanted = {item["name"]: item for item in metrics["checks"]}
    again = {item["name"]: item for item in checks}
    both = sorted(set(wanted) & set(again))
    assert {"pde_residual_l2", "conservation", "sensor_misfit"} <= set(both)
    assert [again[name] for name in both] == [wanted[name] for name in both]
    assert {"gradient_explosion", "rounding", "constant_field"} <= set(again)
    assert status == 1, "a training of a few steps obeys nothing"

    (newest, *_) = sorted((folder / "checkpoints").iterdir(), reverse=True)
    status, checks, _ = verified(newest, "--conservation")
    assert (status, checks) == (1, [wanted["conservation"]])
    first = folder / "checkpoints" / newest.name
    assert main(["verify", str(first), "--pde-residual", "--verbose"]) == 1
    shown = capsys.readouterr().out
    assert "pde_residual_l2" in shown
    assert "conservation" not in shown


def test_a_group_that_a_run_has_nothing_for_has_failed(
    verified: Verified, finished: Callable[[str], tuple[Path, Path, dict[str, Any]]]
) -> None:
    status, (check,), _ = verified(finished("unsteady_csv")[0], "--boundary")
    assert (status, check["status"]) == (1, "failed")
    assert check["note"] == "nothing to check: no value; the run has no check of --boundary"


def test_right_files_pass_and_wrong_ones_fail(verified: Verified, tmp_path: Path) -> None:
    data = stored(tmp_path)
    status, checks, _ = verified(data, *NAMED, f"flow.nu={FLOW.nu}")
    assert {item["status"] for item in checks} == {"passed"}
    assert status == 0
    assert {item["name"] for item in checks} == {
        "conservation", "net_flux", "pde_residual_l2", "momentum_balance", "energy_budget"
    }  # fmt: skip
    status, checks, _ = verified(data, *NAMED, f"flow.nu={2 * FLOW.nu}", "--pde-residual")
    assert (status, {item["name"] for item in checks}) == (1, {"pde_residual_l2"})
    assert "passed" not in {item["status"] for item in checks}
    with np.load(data) as arrays:
        exchanged = {"u": arrays["v"], "v": arrays["u"]}
    status, checks, _ = verified(stored(tmp_path, **exchanged), *NAMED, "--conservation")
    assert (status, checks[0]["status"]) == (1, "failed")


def test_what_cannot_be_checked_is_no_pass(verified: Verified, tmp_path: Path) -> None:
    status, checks, _ = verified(stored(tmp_path), "data.axes=[x,y]", f"flow.nu={FLOW.nu}")
    unchecked = {item["name"]: item for item in checks if item["status"] == "not checked"}
    assert (status, set(unchecked)) == (1, {"pde_residual_l2", "energy_budget"})
    assert unchecked["energy_budget"]["note"] == "no pressure at each time: name its array with data.arrays.p"
    status, checks, _ = verified(stored(tmp_path), *NAMED)
    assert (status, checks[-1]["note"]) == (
        1,
        "no viscosity is known: set flow.nu, or name its array with data.arrays.nu",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "verify: expected a run, a checkpoint or a file, got none"),
        (("nowhere",), "nowhere: expected a run, a checkpoint or a file, found nothing there"),
        ((".",), ".: expected a run, one of its checkpoints, or a file, found no config.yaml with it"),
        (("flow.npz", "data.axes=[x,y]", "--boundary"), "--boundary: expected a run, whose configuration"),
        (("flow.npz", "train.steps=5"), "override 'train.steps=5': expected a key of data, flow.nu or evals.limits"),
        ((".", "flow.nu=1"), "verify: expected no settings, as a run has its own, got flow.nu=1"),
    ],
)
def test_bad_requests(
    words: tuple[str, ...], message: str, verified: Verified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path)
    monkeypatch.chdir(tmp_path)
    status, checks, said = verified(*words)
    assert (status, checks) == (2, [])
    assert said.startswith(f"pinnx: error: {message}")


def test_a_damaged_checkpoint_is_refused(
    verified: Verified, finished: Callable[[str], tuple[Path, Path, dict[str, Any]]], tmp_path: Path
) -> None:
    folder, _, _ = finished("steady_grid")
    (newest, *_) = sorted((folder / "checkpoints").iterdir(), reverse=True)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
    copy = tmp_path / "checkpoints" / newest.name
    copy.write_bytes(newest.read_bytes()[:-8] + bytes(8))
    status, checks, said = verified(copy)
    assert (status, checks) == (2, [])
    assert "one whose content was altered" in said
