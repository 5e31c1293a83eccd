"""How good a flow is: errors against a reference, gates with numbers, exact solutions."""

from __future__ import annotations

from pinnx.evals.accuracy import (
    field_errors,
    relative_l2,
    relative_l2_per_frame,
    relative_l2_up_to_constant,
)
from pinnx.evals.checks import (
    GATES,
    Check,
    Gate,
    all_passed,
    check,
    check_l2,
    check_max,
    check_sensors,
    verify,
)
from pinnx.evals.exact import Beltrami, ExactFlow, Kovasznay, TaylorGreen

__all__ = [
    "GATES",
    "Beltrami",
    "Check",
    "ExactFlow",
    "Gate",
    "Kovasznay",
    "TaylorGreen",
    "all_passed",
    "check",
    "check_l2",
    "check_max",
    "check_sensors",
    "field_errors",
    "relative_l2",
    "relative_l2_per_frame",
    "relative_l2_up_to_constant",
    "verify",
]
