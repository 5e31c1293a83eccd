"""Reads what a run left behind, but for its fields (see fields.py).

    config.yaml     everything that ran
    metrics.json    errors, times, checks, versions
    history.jsonl   one JSON object per logged step
    sensors.csv     rank, x, y[, z], best first

A file that is missing or malformed is an error that names it; nothing is filled in.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["Run", "read_run"]

_AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Run:
    """The small files of one run.

    Args:
        folder: where they lie.
        config_text: config.yaml as written.
        config: the same, parsed.
        metrics: metrics.json.
        history: column -> ``[rows]`` float64, NaN where a row lacks the column.
        ranks: ``[k]`` int64, 1 or 0 for the best sensor, as written.
        sensors: ``[k, d]`` float64, positions x, y[, z].
    """

    folder: Path
    config_text: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    history: Mapping[str, NDArray[np.float64]]
    ranks: NDArray[np.int64]
    sensors: NDArray[np.float64]


def read_run(folder: Path) -> Run:
    """Reads config.yaml, metrics.json, history.jsonl and sensors.csv of one run folder.

    Raises:
        PinnxError: the folder or a file is missing, or a file is not what its name says; the
            message names it.
    """
    if not folder.is_dir():
        raise PinnxError(f"report: expected the folder of a run, got {folder}")
    config_text = _read(folder / "config.yaml")
    ranks, sensors = _parse_sensors(folder / "sensors.csv")
    return Run(
        folder=folder,
        config_text=config_text,
        config=_parse_config(folder / "config.yaml", config_text),
        metrics=_parse_object(folder / "metrics.json", _read(folder / "metrics.json")),
        history=_parse_history(folder / "history.jsonl"),
        ranks=ranks,
        sensors=sensors,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PinnxError(f"report: expected {path.name} in {path.parent}, found none") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PinnxError(f"report: {path.name}: could not be read: {error}") from error


def _parse_config(path: Path, text: str) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise PinnxError(f"report: {path.name}: expected YAML, got: {reason}") from None
    if not isinstance(config, dict):
        raise PinnxError(f"report: {path.name}: expected a mapping, got {type(config).__name__}")
    return config


def _parse_object(path: Path, text: str, line: int | None = None) -> dict[str, Any]:
    where = path.name if line is None else f"{path.name}, line {line}"
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise PinnxError(f"report: {where}: expected JSON, got: {error}") from None
    if not isinstance(value, dict):
        raise PinnxError(f"report: {where}: expected a JSON object, got {type(value).__name__}")
    return value


def _parse_history(path: Path) -> dict[str, NDArray[np.float64]]:
    rows = [
        _parse_object(path, line, number)
        for number, line in enumerate(_read(path).splitlines(), start=1)
        if line.strip()
    ]
    if not rows:
        raise PinnxError(f"report: {path.name}: expected at least one logged step, got none")
    if any("step" not in row for row in rows):
        raise PinnxError(f"report: {path.name}: expected a step in every row")
    columns = {name: None for row in rows for name in row}
    return {name: np.array([_number(row.get(name)) for row in rows], dtype=np.float64) for name in columns}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _parse_sensors(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rows = list(csv.reader(_read(path).splitlines()))
    header = [name.strip() for name in rows[0]] if rows else []
    axes = tuple(header[1:])
    if header[:1] != ["rank"] or axes not in (_AXES[:2], _AXES):
        raise PinnxError(f"report: {path.name}: expected the header rank,x,y[,z], got {','.join(header)!r}")
    body = [row for row in rows[1:] if row]
    try:
        ranks = np.array([int(row[0]) for row in body], dtype=np.int64)
        sensors = np.array([[float(v) for v in row[1:]] for row in body], dtype=np.float64)
        sensors = sensors.reshape(len(body), len(axes))
    except ValueError as error:
        raise PinnxError(f"report: {path.name}: expected numbers, got: {error}") from None
    return ranks, sensors
