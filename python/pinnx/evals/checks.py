"""Gates: a number, the limit that it must keep, and whether it does.

    passed = value < limit    (<= for reconstruction)

The default limits are the table "Gates" of the design; each can be set through ``limits``, none can
be dropped silently. A check that found nothing to check (no points, no value, NaN) has failed and
says so in its note; it never raises, so that one bad number does not hide the verdict on the
others.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from pinnx.errors import PinnxError

__all__ = [
    "GATES",
    "Check",
    "Gate",
    "all_passed",
    "check",
    "check_l2",
    "check_max",
    "check_sensors",
    "verify",
]


@dataclass(frozen=True)
class Gate:
    """What a quantity must hold: ``value < limit``, or ``value <= limit`` where ``inclusive``."""

    limit: float
    unit: str
    inclusive: bool = False


# Units are those of the data: "velocity" is whatever the velocities came in.
GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "pde_residual_l2": Gate(1e-3, "velocity/time"),
        "conservation": Gate(1e-5, "1/time"),
        "boundary_error_max": Gate(1e-4, "velocity"),
        "neumann_error_max": Gate(1e-3, "1/time"),
        "periodic_error_max": Gate(1e-4, "velocity"),
        "reconstruction": Gate(0.15, "relative", inclusive=True),
        # A third of the reconstruction gate: a network that misses the very values it was given by
        # more than this cannot be trusted where it was given none.
        "sensor_misfit": Gate(0.05, "relative"),
    }
)


@dataclass(frozen=True)
class Check:
    """One verdict. ``value`` is NaN where nothing could be checked; ``passed`` is False then."""

    name: str
    value: float
    limit: float
    unit: str
    passed: bool
    note: str = ""

    def as_dict(self) -> dict[str, str | float | bool | None]:
        """The check as strict JSON holds it: a value that is not finite becomes None."""
        return {
            "name": self.name,
            "value": self.value if math.isfinite(self.value) else None,
            "limit": self.limit,
            "unit": self.unit,
            "passed": self.passed,
            "note": self.note,
        }


def check(
    name: str,
    value: float | None,
    *,
    limits: Mapping[str, float] | None = None,
    note: str = "",
) -> Check:
    """Holds one number, an error or a norm, against its gate.

    Args:
        name: a key of ``GATES``.
        value: the number; None where there was nothing to compute it from.
        limits: limits that replace the defaults, by name.
        note: said beside the verdict.

    Returns:
        The verdict; failed where ``value`` is None, not finite or negative.

    Raises:
        PinnxError: an unknown name, or a limit that is not a positive number.
    """
    gate = _gate(name, limits or {})
    number = math.nan if value is None else float(value)
    if value is None:
        passed, reason = False, "nothing to check: no value"
    elif not math.isfinite(number):
        passed, reason = False, f"not a finite number: {number}"
    elif number < 0:
        passed, reason = False, "negative, so not the size of an error"
    else:
        passed, reason = number < gate.limit or (gate.inclusive and number == gate.limit), ""
    note = "; ".join(filter(None, (reason, note)))
    return Check(name, number, gate.limit, gate.unit, passed, note)


def check_l2(name: str, residual: ArrayLike, *, limits: Mapping[str, float] | None = None, note: str = "") -> Check:
    """Holds the root-mean-square ``sqrt(mean(residual^2))`` of an array against its gate."""
    values = np.asarray(residual, dtype=np.float64)
    value = float(np.sqrt(np.mean(values**2))) if values.size else None
    return check(name, value, limits=limits, note=_count(values.size, note))


def check_max(name: str, error: ArrayLike, *, limits: Mapping[str, float] | None = None, note: str = "") -> Check:
    """Holds the largest absolute value ``max |error|`` of an array against its gate."""
    values = np.asarray(error, dtype=np.float64)
    value = float(np.max(np.abs(values))) if values.size else None
    return check(name, value, limits=limits, note=_count(values.size, note))


def check_sensors(predicted: ArrayLike, measured: ArrayLike, *, limits: Mapping[str, float] | None = None) -> Check:
    """Holds the sensor misfit ``||predicted - measured|| / ||measured||`` against its gate.

    Args:
        predicted: the network's velocity at the measurements, any shape.
        measured: the same shape; zero everywhere counts as nothing to check.
        limits: limits that replace the defaults, by name.

    Raises:
        PinnxError: shapes differ.
    """
    values, wanted = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    if values.shape != wanted.shape:
        raise PinnxError(f"sensor_misfit: expected shape {list(wanted.shape)}, got {list(values.shape)}")
    norm = float(np.linalg.norm(wanted))
    misfit = float(np.linalg.norm(values - wanted)) / norm if norm != 0.0 else None
    note = _count(wanted.size, "all zero" if wanted.size and norm == 0.0 else "")
    return check("sensor_misfit", misfit, limits=limits, note=note)


def verify(
    numbers: Mapping[str, float | None],
    *,
    limits: Mapping[str, float] | None = None,
    required: Iterable[str] = (),
) -> list[Check]:
    """Holds a run's numbers against their gates, in the order of ``GATES``.

    Args:
        numbers: value by name, each a key of ``GATES``; None or NaN fails.
        limits: limits that replace the defaults, by name.
        required: names that must be checked; one that ``numbers`` lacks has failed.

    Raises:
        PinnxError: an unknown name among the three, or a limit that is not a positive number.
    """
    required = tuple(required)
    for name in (*numbers, *(limits or {}), *required):
        _gate(name, limits or {})
    asked = {*numbers, *required}
    return [check(name, numbers.get(name), limits=limits) for name in GATES if name in asked]


def all_passed(checks: Iterable[Check]) -> bool:
    """Whether every check passed; False where there is none."""
    verdicts = [item.passed for item in checks]
    return bool(verdicts) and all(verdicts)


def _gate(name: str, limits: Mapping[str, float]) -> Gate:
    if name not in GATES:
        near = difflib.get_close_matches(name, GATES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise PinnxError(f"check: expected one of {', '.join(GATES)}, got {name!r}{hint}")
    gate = GATES[name]
    limit = float(limits.get(name, gate.limit))
    if not (math.isfinite(limit) and limit > 0):
        raise PinnxError(f"limit of {name}: expected a finite number > 0, got {limit}")
    return Gate(limit, gate.unit, gate.inclusive)


def _count(size: int, note: str) -> str:
    return "; ".join(filter(None, (f"{size} values", note)))
