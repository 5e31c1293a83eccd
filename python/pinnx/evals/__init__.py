"""How good a flow is: errors against a reference, gates with numbers, exact solutions."""

from __future__ import annotations

from pinnx.evals.accuracy import (
    field_errors,
    relative_l2,
    relative_l2_per_frame,
    relative_l2_up_to_constant,
    worst_component,
)
from pinnx.evals.boundaries import BoundaryChecker
from pinnx.evals.checks import Check, check, verify
from pinnx.evals.error_estimate import dual_norm, residual_estimate
from pinnx.evals.evaluation import Evaluation, evaluate, measure, periodic_error
from pinnx.evals.exact import Beltrami, BurgersVortex, ExactFlow, Kovasznay, Poiseuille, TaylorGreen
from pinnx.evals.gates import GATES, Gate
from pinnx.evals.physics import ConservationChecker
from pinnx.evals.settling import last_change
from pinnx.evals.stability import NumericalStabilityChecker, verify_numerical_stability

__all__ = [
    "GATES",
    "Beltrami",
    "BoundaryChecker",
    "BurgersVortex",
    "Check",
    "ConservationChecker",
    "Evaluation",
    "ExactFlow",
    "Gate",
    "Kovasznay",
    "NumericalStabilityChecker",
    "Poiseuille",
    "TaylorGreen",
    "check",
    "dual_norm",
    "evaluate",
    "field_errors",
    "last_change",
    "measure",
    "periodic_error",
    "relative_l2",
    "relative_l2_per_frame",
    "relative_l2_up_to_constant",
    "residual_estimate",
    "verify",
    "verify_numerical_stability",
    "worst_component",
]
