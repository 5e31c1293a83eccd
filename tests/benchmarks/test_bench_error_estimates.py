"""The table of the benchmark of error estimates: ranks, not sizes; and what was measured last."""

from __future__ import annotations

import json
from pathlib import Path

from bench_error_estimates import CASES, SEEDS, STEPS, _table

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "error_estimates_cpu.json"


def a_run(error: float, factor: float = 1.0, **estimates: float) -> dict:
    return {"case": "demo", "error": error, "viscosity_factor": factor, "estimates": estimates}


def test_the_table_ranks_runs_by_their_estimate() -> None:
    runs = [a_run(0.1, good=1.0, bad=9.0), a_run(0.2, good=4.0, bad=1.0), a_run(0.4, good=5.0, bad=0.5)]
    lines = list(_table([*runs, a_run(0.3, 4.0, good=0.1)]))
    assert lines[0] == "| estimate | demo (4) | right viscosity (3) | all runs (4) | estimate / error |"
    assert lines[2].startswith("| good | 0.40 | 1.00 | 0.40 |")
    assert lines[3].startswith("| bad | -1.00 | -1.00 | -1.00 |")


def test_the_table_of_the_docs_is_that_of_the_results() -> None:
    runs = json.loads(RESULTS.read_text())["runs"]
    assert len(runs) == len(CASES) * len(SEEDS) * (len(STEPS) + 1)
    docs = (RESULTS.parents[2] / "docs" / "verification.md").read_text()
    assert "\n".join(_table(runs)) in docs
