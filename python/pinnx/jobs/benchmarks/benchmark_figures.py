"""The figures of a benchmark's report: what they are, those of an earlier report beside them, and their table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column, Table

from pinnx.errors import PinnxError, damage_named
from pinnx.evals.gates import GATES
from pinnx.evals.regression import compare_figures
from pinnx.runs.files import read_text

__all__ = ["LIMIT_EPOCHS", "benchmark_table", "figures_of", "judge_report", "read_baseline"]

LIMIT_EPOCHS = 5000
# Of a training, each with a speed of its own.
PARTS = 5
# See `compare_figures`. A speed below 0.8 of the baseline is a warning of the gates, twice its memory a red line.
LEAST, SINGLE = 1.25, 2.0
# Checks that are figures too, beside an earlier report. Their limits are those of a training that has converged.
PHYSICS = ("pde_residual_l2", "conservation", "boundary_error_max", "sensor_misfit")


def figures_of(
    limits: Mapping[str, float],
    metrics: Mapping[str, Any],
    seconds: Sequence[float],
    speeds: Sequence[float],
    *,
    judged: bool,
) -> dict[str, dict[str, Any]]:
    """The figures of one scale: name -> value, of which values it is the median, unit, which is better, limit.

    They come from metrics.json of the run, the ``seconds`` of each choice of the sensors, and the ``speeds`` in steps
    per second at each logged step; ``judged``: the training was long enough to hold its error against the gate.
    """
    numbers = {item["name"]: item["value"] for item in metrics["checks"]}
    limit = GATES["reconstruction"].limit if judged else None
    epochs = [3600.0 * float(part.mean()) for part in np.array_split(speeds[1:] or speeds, PARTS) if part.size]
    train_s = metrics["train_s"] / metrics["steps"] * LIMIT_EPOCHS
    measured = "" if metrics["steps"] == LIMIT_EPOCHS else f", from {metrics['steps']}"
    return {
        "train_s": _figure([train_s], f"s for {LIMIT_EPOCHS} epochs{measured}", limits["train_s"]),
        "epochs_per_hour": _figure(epochs, "1/h", better="higher"),
        "peak_memory_gib": _figure([metrics["peak_memory_gib"]], "GiB", limits["memory_gib"]),
        "selection_s": _figure(seconds, "s", limits["select_s"]),
        "reconstruction": _figure([metrics["relative_l2"]["velocity"]], "relative", limit),
        **{name: _figure([numbers[name]], GATES[name].unit) for name in PHYSICS},
    }


def _figure(values: Sequence[float], unit: str, limit: float | None = None, *, better: str = "lower") -> dict[str, Any]:
    value = float(np.median(values))
    found = {"value": value, "values": list(values), "unit": unit, "better": better}
    return found | ({} if limit is None else {"limit": limit, "within": value <= limit})


def _beside(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The verdict on each figure that both have: name -> ``{"before", "factor", "verdict"}``."""
    values = ({name: item["values"] for name, item in figures.items()} for figures in (now, before))
    more = [name for name, item in now.items() if item["better"] == "higher"]
    found = compare_figures(*values, more_is_better=more, least=LEAST, single=SINGLE)
    return {
        name: {"before": before[name]["value"], "factor": item.factor, "verdict": item.word}
        for name, item in found.items()
    }


def judge_report(found: dict[str, Any], earlier: Mapping[str, Any]) -> None:
    """Adds to a report whether all limits were kept, ``within``, and what is worse than in a baseline, ``worse``.

    Each scale of the ``earlier`` ones, those of a baseline, gets ``baseline``, the verdict on its figures.
    """
    scales = found["scales"]
    limited = [item for scale in scales.values() for item in scale["figures"].values() if "within" in item]
    found["within"] = all(item["within"] for item in limited)
    for name, before in earlier.items():
        scales[name]["baseline"] = _beside(scales[name]["figures"], before["figures"])
    found["worse"] = [
        f"{name} {figure}"
        for name in earlier
        for figure, item in scales[name]["baseline"].items()
        if item["verdict"] == "worse"
    ]


def read_baseline(path: Path, names: Sequence[str], quick: bool) -> dict[str, Any]:
    """The scales of an earlier report.

    Raises:
        PinnxError: no such report, one of other epochs, or one without a scale.
    """
    with damage_named(path, "expected a report of pinnx benchmark, got"):
        report = json.loads(read_text(path))
        scales = {name: report["scales"][name] for name in names if name in report["scales"]}
        same = report["quick"] == quick
    if not same or len(scales) < len(names):
        kind = "a quick one" if quick else "one that is not quick"
        raise PinnxError(
            f"--baseline: expected {kind} of {', '.join(names)}, got {path}, "
            + (f"of {', '.join(scales) or 'none of these'}" if same else "of the other kind")
        )
    return scales


def benchmark_table(found: Mapping[str, Any]) -> Table:
    """The figures of a report, each with its limit and whether it was kept."""
    beside = any("baseline" in scale for scale in found["scales"].values())
    table = Table("scale", Column("figure", no_wrap=True), "value", "unit", "limit", "", box=None)
    for title in ("baseline", "") if beside else ():
        table.add_column(title)
    for name, scale in found["scales"].items():
        for figure, item in scale["figures"].items():
            limit = f"{item['limit']:g}" if "limit" in item else ""
            verdict = {True: "within", False: "MISSED", None: ""}[item.get("within")]
            before = scale.get("baseline", {}).get(figure)
            earlier = () if before is None else (f"{before['before']:.4g}", before["verdict"])
            table.add_row(name, figure, f"{item['value']:.4g}", item["unit"], limit, verdict, *earlier)
    return table
