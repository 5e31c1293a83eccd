"""What the report needs of config.yaml and metrics.json, so that a file that was altered is refused by its name.

Names that are not here may hold anything, or be missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from pinnx.errors import PinnxError

__all__ = ["RunConfig", "RunMetrics", "require_shape"]

Number = float | None


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Named(_Loose):
    name: StrictStr


class _Check(_Named):
    value: Number = None
    limit: Number = None
    red_line: Number = None
    everywhere: Number = None
    part: StrictStr = ""
    remedy: StrictStr = ""
    worst: Number = None
    worst_at: list[float] | None = None


class _Worst(_Named):
    relative_l2: float


class _Estimate(_Loose):
    value: float
    low: float
    high: float


class _Found(_Loose):
    value: float
    guess: float
    estimate: _Estimate | None = None
    note: StrictStr = ""


class _HeldOut(_Loose):
    positions: list[Any]
    steps: int
    num_used: int


class _Ensemble(_Loose):
    members: StrictInt
    level: float
    coverage: float
    coverage_of: StrictStr


class _BesideNorms(_Loose):
    rmse: float
    largest: float
    worst_at: list[float]


class _Force(_Loose):
    name: StrictStr = ""
    center: list[float]
    drag: float
    lift: float
    wall_shear: Number = None
    recirculation_length: Number = None
    separation_angles: list[float] | None = None


class _Wall(_Loose):
    side: StrictStr
    mean: float
    largest: float
    worst_at: list[float]
    relative_l2: Number = None
    reference_mean: Number = None
    reference_largest: Number = None


class RunMetrics(_Loose):
    """metrics.json."""

    checks: list[_Check] | None = None
    relative_l2: dict[str, float] | None = None
    reference_error: Number = None
    worst_component: _Worst | None = None
    baseline: dict[str, dict[str, Number]] | None = None
    descriptions: dict[str, StrictStr] | None = None
    measured: list[StrictStr] | None = None
    found: dict[str, _Found] | None = None
    held_out: _HeldOut | None = None
    error_estimates: dict[str, Number] | None = None
    free_sides: list[StrictStr] | None = None
    beside_norms: _BesideNorms | None = None
    forces: list[_Force] | None = None
    walls: list[_Wall] | None = None
    ensemble: _Ensemble | None = None
    versions: dict[str, Any] | None = None
    notes: list[StrictStr] | None = None
    train_s: Number = None


class _Circle(_Loose):
    center: list[float]
    radius: float


class _Where(_Loose):
    side: StrictStr | None = None
    circle: _Circle | None = None
    hole: StrictStr | None = None
    section: dict[str, Number] | None = None
    range: list[float] | None = None
    index: StrictStr | None = None


class _Condition(_Loose):
    where: _Where | None = None
    condition: StrictStr | None = None
    speed: Number = None
    weight: Number = None
    until: Number = None
    slopes: dict[str, Any] | None = None


class _Weights(_Loose):
    boundary: Number = None


class _Train(_Loose):
    weights: _Weights | None = None


class _Sensors(_Loose):
    noise: Number = None


class _Domain(_Loose):
    periodic: list[StrictStr] | None = None


class _Report(_Loose):
    dpi: StrictInt | None = None
    frames: StrictInt | None = None


class RunConfig(_Loose):
    """config.yaml."""

    boundaries: list[_Condition] | None = None
    data: dict[str, Any] | None = None
    domain: _Domain | None = None
    report: _Report | None = None
    sensors: _Sensors | None = None
    train: _Train | None = None


def require_shape(path: Path, content: Any, shape: type[BaseModel]) -> dict[str, Any]:
    """Return the content of a file, whose names hold what the report needs.

    Raises:
        PinnxError: the first that does not.
    """
    if not isinstance(content, dict):
        raise PinnxError(f"{path}: expected names with values, got {type(content).__name__}")
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PinnxError(f"{path}: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
    return content
