"""Tables of benchmarks: placement beside the lattice, and error estimates by rank, as they were measured last."""

from __future__ import annotations

import json
from pathlib import Path

import bench_error_estimates as estimates
import bench_placement as placement


def test_rows_have_means_over_seeds_and_the_median_of_random_draws() -> None:
    errors = {"interpolation": [0.02, 0.04], "lattice": [0.05, 0.07], "random": [0.06, 0.09, 0.3]}
    runs = [
        {"flow": "wake", "method": method, "seed": seed, "velocity": value, "u": value, "v": 2 * value, "p": None}
        for method, values in errors.items()
        for value, seed in zip(values, (0, 1) if len(values) == 2 else (0, 0, 0), strict=True)
    ]
    rows = placement._rows(runs)
    assert [row[1:3] for row in rows] == [["interpolation", "0.50"], ["lattice", "1.00"], ["random", "1.80"]]
    assert rows[0][3:] == ["0.0300 ± 0.0141", "0.0300 ± 0.0141", "0.0600 ± 0.0283", ""]
    lines = list(placement._table([rows]))
    assert len(lines) == 5
    assert lines[2].startswith("| wake | interpolation | 0.50 | 0.0300 ± 0.0141 |")


RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "error_estimates_cpu.json"


def a_run(error: float, factor: float = 1.0, **estimates: float) -> dict:
    return {"case": "demo", "error": error, "viscosity_factor": factor, "estimates": estimates}


def test_the_table_ranks_runs_by_their_estimate() -> None:
    runs = [a_run(0.1, good=1.0, bad=9.0), a_run(0.2, good=4.0, bad=1.0), a_run(0.4, good=5.0, bad=0.5)]
    lines = list(estimates._table([*runs, a_run(0.3, 4.0, good=0.1)]))
    assert lines[0] == "| estimate | demo (4) | right viscosity (3) | all runs (4) | estimate / error |"
    assert lines[2].startswith("| good | 0.40 | 1.00 | 0.40 |")
    assert lines[3].startswith("| bad | -1.00 | -1.00 | -1.00 |")


def test_the_table_of_the_docs_is_that_of_the_results() -> None:
    runs = json.loads(RESULTS.read_text())["runs"]
    assert len(runs) == len(estimates.CASES) * len(estimates.SEEDS) * (len(estimates.STEPS) + 1)
    docs = (RESULTS.parents[2] / "docs" / "verification.md").read_text()
    assert "\n".join(estimates._table(runs)) in docs
