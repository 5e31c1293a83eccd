"""A network that starts from the solver's field: nearer to the flow before its first step, and refused elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from box_files import BOX, EXACT, exact_fields
from flow_files import TINY

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct, warm_start
from pinnx.jobs.flow_problem import flow_problem
from pinnx.jobs.load_case import load_case
from pinnx.runs.history import history_columns


@pytest.fixture
def box(tmp_path: Path) -> Config:
    x, y = np.linspace(-0.5, 0.5, 9), np.linspace(-0.5, 0.5, 8)
    u, v, p = exact_fields(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)).T.reshape(3, 9, 8)
    np.savez(tmp_path / "flow.npz", x=x, y=y, u=u, v=v, p=p, nu=EXACT.nu)
    (tmp_path / "box.yaml").write_text(BOX)
    settings = ("model.width=32", "model.frequencies=8", "solver.beside=false", "solver.polish=false", "train.lr=1e-4")
    return load_config(tmp_path / "box.yaml", [*TINY, ("data.path", str(tmp_path / "flow.npz")), *settings])


def test_a_run_begins_near_the_flow(
    box: Config, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "STEPS", 200)
    errors, losses = {}, {}
    for start in ("none", "solver"):
        config = box.model_copy(update={"train": box.train.model_copy(update={"warm_start": start})})
        metrics = reconstruct(config, tmp_path / start)
        errors[start] = metrics["relative_l2"]
        losses[start] = history_columns(tmp_path / start / "history.jsonl")["loss/data"][0]
        said = "The network has started from the field of a classical solver on coarse grids." in metrics["notes"]
        assert said == (start == "solver")
    assert errors["solver"]["velocity"] < 0.2 < errors["none"]["velocity"]
    assert errors["solver"]["p"] < 0.5 * errors["none"]["p"]
    assert losses["solver"] < 0.1 * losses["none"]


def test_it_says_what_it_did(box: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "STEPS", 2)
    case = load_case(box)
    said = warm_start.warm_start(box, case, flow_problem(box, case))
    assert said.startswith("warm start: solved on coarse grids in ")
    assert "the network has learned that field to " in said


def test_where_the_solver_does_not_apply_it_is_refused(tiny: Callable[..., Config], tmp_path: Path) -> None:
    config = tiny("unsteady_grid", "train.warm_start=solver")
    with pytest.raises(PinnxError, match=r"warm_start: the solver does not apply: .* changes in time; set it to none"):
        reconstruct(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
