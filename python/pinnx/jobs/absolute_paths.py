"""The files of a configuration by absolute paths, so that a run can be resumed from another working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pinnx.config import Config
from pinnx.config.breakage_section import Breakage

__all__ = ["with_absolute_paths"]


def with_absolute_paths(config: Config) -> Config:
    """The same configuration, with the same files from any working directory."""
    data, absolute = config.data, lambda path: str(Path(path).expanduser().resolve())
    if isinstance(config.problem, Breakage):
        measured = config.problem.measurements
        update = {"measurements": absolute(measured)} if measured is not None else {}
        return config.model_copy(update={"problem": config.problem.model_copy(update=update)})
    update: dict[str, Any] = {}
    if data.path is not None:
        update["path"] = absolute(data.path)
    if data.measurements is not None:
        update["measurements"] = data.measurements.model_copy(update={"path": absolute(data.measurements.path)})
    evals = config.evals
    if evals.baseline is not None:
        evals = evals.model_copy(update={"baseline": absolute(evals.baseline)})
    holes = tuple(
        hole.model_copy(update={"airfoil": hole.airfoil.model_copy(update={"path": absolute(hole.airfoil.path)})})
        if hole.airfoil is not None
        else hole
        for hole in config.domain.holes
    )
    domain = config.domain.model_copy(update={"holes": holes})
    return config.model_copy(update={"data": data.model_copy(update=update), "evals": evals, "domain": domain})
