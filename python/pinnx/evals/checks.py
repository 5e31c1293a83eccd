"""Checks: a number held against its gate, and whether it keeps the limit.

The limits are those of the table in gates.py; each can be set through ``limits``, none can be dropped silently. A check
that found nothing to check (no points, no value, NaN) has failed and says so in its note; it never raises, so that one
bad number does not hide the verdict on the others.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pinnx.errors import PinnxError
from pinnx.evals.gates import GATES, Gate
from pinnx.physics.term import Measured

__all__ = ["Check", "Status", "check", "known_limits", "unless_coarse", "verify"]

Status = Literal["passed", "warning", "failed", "not checked"]
# The error of a derivative is estimated within such a factor.
RESOLVED = 3.0


@dataclass(frozen=True)
class Check:
    """One verdict. ``value`` is NaN where nothing could be checked; the status is "failed" then.

    ``part`` says of which part of the flow it is, where several checks have one name. ``everywhere`` is the number with
    the places that ``value`` leaves out, where there are any. ``scale`` is what one unit of ``value`` is in the units
    of the data, ``num_points`` how many points it is a norm over, and ``discretisation`` an estimate of the error of
    the check itself. ``worst`` is the largest number of which ``value`` is a norm, and ``worst_at`` its place, then
    its time. All are None where they have no meaning. ``why`` says what makes ``value`` as large as it is, and where.
    "not checked" is no pass.
    """

    name: str
    value: float
    limit: float
    red_line: float
    unit: str
    status: Status
    note: str = ""
    everywhere: float | None = None
    scale: float | None = None
    num_points: int | None = None
    discretisation: float | None = None
    part: str = ""
    worst: float | None = None
    worst_at: tuple[float, ...] | None = None
    why: str = ""

    @property
    def label(self) -> str:
        """The name, and of which part of the flow: no two checks of one verdict have the same."""
        return f"{self.name} ({self.part})" if self.part else self.name

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; a warning is no pass."""
        return self.status == "passed"

    def as_dict(self) -> dict[str, str | float | bool | list[float] | None]:
        """The check as strict JSON holds it: a value that is not finite becomes None."""
        return {
            "name": self.name,
            "value": _finite(self.value),
            "limit": self.limit,
            "red_line": self.red_line,
            "unit": self.unit,
            "status": self.status,
            "passed": self.passed,
            "note": self.note,
            **({"part": self.part} if self.part else {}),
            **({} if self.everywhere is None else {"everywhere": _finite(self.everywhere)}),
            **{
                name: list(value) if isinstance(value, tuple) else value
                for name in ("scale", "num_points", "discretisation", "worst", "worst_at")
                if (value := getattr(self, name)) is not None
            },
            **({"why": self.why} if self.why else {}),
        }


def check(
    name: str,
    value: float | None,
    *,
    limits: Mapping[str, float] | None = None,
    note: str = "",
    everywhere: float | None = None,
    part: str = "",
) -> Check:
    """Holds one number, an error or a norm, against its gate.

    Args:
        name: a key of ``GATES``.
        value: the number; None where there was nothing to compute it from.
        limits: limits that replace the defaults, by name.
        note: said beside the verdict.
        everywhere: the number with the places that ``value`` leaves out; shown, not judged.
        part: of the flow, where several checks have this name.

    Returns:
        The verdict; failed where ``value`` is None, not finite or negative.

    Raises:
        PinnxError: an unknown name, or a limit that is not a positive number.
    """
    gate = _gate(name, limits or {})
    number = math.nan if value is None else float(value)
    status: Status = "failed"
    reason = ""
    if value is None:
        reason = "nothing to check: no value"
    elif not math.isfinite(number):
        reason = f"not a finite number: {number}"
    elif number < 0:
        reason = "negative, so not the size of an error"
    elif gate.keeps(number, gate.limit):
        status = "passed"
    elif gate.keeps(number, gate.red * gate.limit):
        status = "warning"
    note = "; ".join(filter(None, (reason, note)))
    return Check(name, number, gate.limit, gate.red * gate.limit, gate.unit, status, note, everywhere, part=part)


def unless_coarse(found: Check, own: float, reason: str) -> Check:
    """The verdict with the error of the check itself; "not checked" beyond its limit, but within `RESOLVED` times that.

    Args:
        found: the verdict.
        own: the error of the check itself, in the unit of its value.
        reason: what makes it so large, said in the note of what is not checked.
    """
    found = replace(found, discretisation=own)
    if found.passed or not found.value <= RESOLVED * own:
        return found
    return replace(found, status="not checked", note="; ".join(filter(None, (reason, found.note))))


def known_limits(limits: Mapping[str, float] | None) -> dict[str, float]:
    """Limits that replace those of ``GATES``, by name; None: none.

    Raises:
        PinnxError: an unknown name, or a limit that is not a positive number.
    """
    found = dict(limits or {})
    for name in found:
        _gate(name, found)
    return found


def verify(measured: Iterable[Measured], *, limits: Mapping[str, float] | None = None) -> list[Check]:
    """Holds a run's numbers against their gates, in the order of ``GATES``.

    Args:
        measured: numbers with the names of their gates; None or NaN fails. A gate may have several.
        limits: limits that replace the defaults, by name.

    Raises:
        PinnxError: an unknown name, or a limit that is not a positive number.
    """
    limits, measured = known_limits(limits), list(measured)
    checks = [_with_places(item, limits) for item in measured]
    return [item for name in GATES for item in checks if item.name == name]


def _with_places(item: Measured, limits: Mapping[str, float]) -> Check:
    """The verdict on a number, with its worst place; where it did not pass, whether the other points would."""
    found = check(item.gate, item.value, limits=limits, note=item.note, everywhere=item.everywhere, part=item.part)
    why = item.why
    if not item.checkable:
        return replace(found, status="not checked", note=item.note)
    if not found.passed and item.rest is not None:
        verb = "keep the limit" if check(item.gate, item.rest, limits=limits).passed else "miss the limit too"
        why = f"{why} The other 95 % of the points {verb}."
    return replace(found, worst=item.worst, worst_at=item.worst_at, why=why)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _gate(name: str, limits: Mapping[str, float]) -> Gate:
    if name not in GATES:
        near = difflib.get_close_matches(name, GATES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise PinnxError(f"check: expected one of {', '.join(GATES)}, got {name!r}{hint}")
    gate = GATES[name]
    limit = float(limits.get(name, gate.limit))
    if not (math.isfinite(limit) and limit > 0):
        raise PinnxError(f"limit of {name}: expected a finite number > 0, got {limit}")
    return replace(gate, limit=limit)
