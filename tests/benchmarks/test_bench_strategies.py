"""The table of the strategies' benchmark: mean and spread over seeds, a strategy that failed, runs that are there."""

from __future__ import annotations

from pathlib import Path

import bench_strategies
import h5py
import numpy as np
import pytest
from bench_strategies import CASES, ONLY, STRATEGIES, _table

from pinnx.config import load_config


def test_cells_have_means_and_spreads_in_per_cent() -> None:
    errors = {"preset": [0.01, 0.02, 0.03], "Adam": [0.2], "NTK": [None]}
    runs = [
        {"case": "demo", "strategy": strategy, "seed": seed, "error": error}
        for strategy, values in errors.items()
        for seed, error in enumerate(values)
    ]
    runs.append({"case": "wake", "strategy": "preset", "seed": 0, "error": 0.5})
    assert list(_table(runs))[2:] == ["| preset | 2 (1 to 3) | 50 |", "| Adam | 20 |  |", "| NTK | failed |  |"]


def test_strategies_that_change_nothing_in_a_case_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def run(case: str, strategy: str, seed: int, settings: list[str]) -> dict:
        made.append(case)
        return {"case": case, "strategy": strategy, "seed": seed, "error": 0.1, "steps": 1, "cpu_s": 1.0}

    monkeypatch.setattr(bench_strategies, "_run", run)
    words = ["--cases", "demo", "wake re100", "cavity re1000", "--seeds", "1", "--strategies"]
    for strategy in ONLY:
        bench_strategies.main([*words, strategy])
    cavities, both = ["cavity re1000"] * 3, ["demo", "wake re100"]
    assert made == [cavities[0], *both, *cavities, *both, *cavities, "demo"]
    assert set(ONLY) <= set(STRATEGIES)
    assert all(any(case.startswith(begin) for case in CASES) for begins in ONLY.values() for begin in begins)


def test_each_case_and_strategy_is_a_configuration() -> None:
    fitting = {name: [c for c in CASES if c.startswith(ONLY.get(name, c))] for name in STRATEGIES}
    ends = [(cases[end], name) for name, cases in fitting.items() for end in (0, -1)]  # a perceptron and a siren
    for case, strategy in [*((case, "preset") for case in CASES), *ends]:
        preset, file, own, judged = CASES[case]
        assert judged in ("speed", "velocity", "nu")
        load_config(preset, [*([("data.path", file)] if file else []), *own, *STRATEGIES[strategy]])


def test_runs_of_a_file_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[tuple[str, int]] = []

    def run(case: str, strategy: str, seed: int, settings: list[str]) -> dict:
        made.append((strategy, seed))
        if len(made) == 3:
            raise KeyboardInterrupt
        return {"case": case, "strategy": strategy, "seed": seed, "error": 0.1, "steps": 1, "cpu_s": 1.0}

    monkeypatch.setattr(bench_strategies, "_run", run)
    words = ["--cases", "demo", "--strategies", "preset", "Adam", "--seeds", "2", "--out", str(tmp_path / "runs.json")]
    with pytest.raises(KeyboardInterrupt):
        bench_strategies.main(words)
    bench_strategies.main(words)
    assert made == [("preset", 0), ("Adam", 0), ("preset", 1), ("preset", 1), ("Adam", 1)]
    assert "| preset | 10 (10 to 10) |" in capsys.readouterr().out


def test_the_row_of_the_lid_does_not_count(tmp_path: Path) -> None:
    wanted = np.ones((4, 5))
    found = wanted.copy()
    found[:, -1] = 7.0
    with h5py.File(tmp_path / "fields.h5", "w") as file:
        for name in "uv":
            file[name], file[f"reference/{name}"] = found[None], wanted[None]
    assert bench_strategies._field_error(tmp_path / "fields.h5", "speed") == 0.0
    assert bench_strategies._field_error(tmp_path / "fields.h5", "velocity") > 1.0
