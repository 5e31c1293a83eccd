"""The tables of the report: checks, errors, facts of the run, sensors.

Every number stands as ``<data value="...">`` with all its digits behind the few that are shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.report.markup import Html, join, table, tag
from pinnx.report.words import NU, duration, number, percent

__all__ = ["checks_table", "datum", "errors_table", "facts_table", "sensors_table"]

_QUANTITIES = {
    "u": "velocity in x",
    "v": "velocity in y",
    "w": "velocity in z",
    "speed": "length of the velocity",
    "p": "pressure, up to a constant in every frame",
}
_CHECKS = {
    "pde_residual_l2": "equations of motion",
    "conservation": "conservation of mass",
    "continuity_l2": "conservation of mass",
    "boundary_error_max": "boundary values",
    "neumann_error_max": "boundary gradients",
    "periodic_error_max": "periodic sides match",
    "reconstruction": "reconstruction",
    "sensor_misfit": "agreement with the sensors",
}
# Keys of metrics.json with their words, in the order of the table; those not listed follow.
_FACTS = {
    "source": "source",
    "nu": f"viscosity {NU}",
    "num_sensors": "sensors",
    "steps": "training steps",
    "steps_per_s": "steps per second",
    "train_s": "training time",
    "wall_s": "time in all",
    "peak_memory_gib": "peak memory",
    "pde_residual_l2": "momentum residual, L2",
    "continuity_l2": "divergence, L2",
    "boundary_error_max": "boundary error, largest",
    "seed": "seed",
    "command": "command",
}
_ELSEWHERE = {"relative_l2", "checks", "baseline", "baseline_note", "versions"}


def datum(value: object, shown: str | None = None) -> Html:
    """A number for the eye (``shown``, or three digits) and, whole, for a machine."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return tag("span", "not recorded", class_="absent")
    text = number(value) if shown is None else shown
    return tag("data", text, value=repr(value) if math.isfinite(value) else "")


def checks_table(metrics: Mapping[str, Any]) -> Html:
    """Every check with its verdict in words and colour; none at all is a failure too."""
    checks: Sequence[Mapping[str, Any]] = metrics.get("checks") or ()
    if not checks:
        return tag("p", _verdict(False), " No check was made, and that counts as failed.")
    rows = [
        (
            _two_lines(_CHECKS.get(str(item["name"]), str(item["name"])), str(item["name"])),
            _verdict(item.get("passed") is True),
            datum(item["value"]) if item.get("value") is not None else "none",
            datum(item.get("limit")),
            str(item.get("unit", "")),
            str(item.get("note", "")),
        )
        for item in checks
    ]
    header = ("check", "verdict", "value", "limit", "unit", "note")
    return table("Checks after the training", header, rows)


def errors_table(metrics: Mapping[str, Any]) -> Html:
    """The relative L2 errors, beside those of the baselines where there are any, and what these were given."""
    errors: Mapping[str, float] = metrics.get("relative_l2") or {}
    if not errors:
        return tag(
            "p",
            "There is no reference for this flow, so the error is not known. What can be said"
            " without one is in the checks and the residuals.",
        )
    baselines = _baselines(metrics)
    rows = [
        (
            _two_lines(name, _QUANTITIES.get(name, "")),
            _error(value),
            *(_error(values.get(name)) for values in baselines.values()),
        )
        for name, value in errors.items()
    ]
    header = ("quantity", "reconstruction", *baselines)
    note = metrics.get("baseline_note")
    return join(
        (table("Relative L2 error over all places and frames", header, rows), tag("p", str(note)) if note else Html(""))
    )


def facts_table(metrics: Mapping[str, Any]) -> Html:
    """What ran, how long, on what: everything in metrics.json that has no table of its own."""
    others = [key for key in metrics if key not in _FACTS and key not in _ELSEWHERE]
    keys = [key for key in _FACTS if key in metrics] + others
    rows = [(_FACTS.get(key, key.replace("_", " ")), _fact(key, metrics[key])) for key in keys]
    versions = metrics.get("versions") or {}
    if versions:
        rows.append(("versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    return table("The run", ("fact", "value"), rows)


def sensors_table(ranks: NDArray[np.int64], sensors: NDArray[np.float64]) -> Html:
    """Rank and position of every sensor."""
    rows = [
        (str(rank), *(datum(float(c), number(c, 5)) for c in place)) for rank, place in zip(ranks, sensors, strict=True)
    ]
    return table("Sensors, best first", ("rank", *"xyz"[: sensors.shape[1]]), rows)


def _verdict(passed: bool) -> Html:
    if passed:
        return tag("span", "✓ passed", class_="verdict passed")
    return tag("span", "✗ failed", class_="verdict failed")


def _two_lines(name: str, gloss: str) -> Html:
    return join((name, tag("span", gloss, class_="gloss")))


def _error(value: object) -> Html:
    return datum(value, percent(value) if isinstance(value, int | float) else None)


def _baselines(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Baselines by name, whether metrics.json holds one mapping of errors or several by name."""
    baseline = metrics.get("baseline") or {}
    several: dict[str, Mapping[str, float]] = {
        name: values for name, values in baseline.items() if isinstance(values, dict)
    }
    return several or ({"baseline": baseline} if baseline else {})


def _fact(key: str, value: object) -> str:
    if key == "command":
        return tag("code", str(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.endswith("_s") and not key.endswith("per_s"):
            return datum(value, duration(value))
        return datum(value, f"{number(value)} GiB" if key.endswith("_gib") else None)
    return "none" if value is None else str(value)
