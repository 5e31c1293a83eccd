"""The table of the placement benchmark: means over seeds, medians over draws, beside the lattice."""

from __future__ import annotations

from bench_placement import _rows, _table


def test_rows_have_means_over_seeds_and_the_median_of_random_draws() -> None:
    errors = {"interpolation": [0.02, 0.04], "lattice": [0.05, 0.07], "random": [0.06, 0.09, 0.3]}
    runs = [
        {"flow": "wake", "method": method, "seed": seed, "velocity": value, "u": value, "v": 2 * value, "p": None}
        for method, values in errors.items()
        for value, seed in zip(values, (0, 1) if len(values) == 2 else (0, 0, 0), strict=True)
    ]
    rows = _rows(runs)
    assert [row[1:3] for row in rows] == [["interpolation", "0.50"], ["lattice", "1.00"], ["random", "1.80"]]
    assert rows[0][3:] == ["0.0300 ± 0.0141", "0.0300 ± 0.0141", "0.0600 ± 0.0283", ""]
    lines = list(_table([rows]))
    assert len(lines) == 5
    assert lines[2].startswith("| wake | interpolation | 0.50 | 0.0300 ± 0.0141 |")
