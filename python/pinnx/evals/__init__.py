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
from pinnx.evals.budgets import verify_budgets
from pinnx.evals.checks import Check, check, verify
from pinnx.evals.error_estimate import dual_norm, residual_estimate
from pinnx.evals.evaluation import Evaluation, evaluate, measure, periodic_error
from pinnx.evals.exact import Beltrami, BurgersVortex, ExactFlow, Kovasznay, Poiseuille, TaylorGreen
from pinnx.evals.exact_breakage import BREAKAGE_CASES, ExactBreakage
from pinnx.evals.fields_apart import Apart, apart, energy_spectrum, resolved_wavenumber
from pinnx.evals.forces import (
    box_force,
    circle_force,
    recirculation_length,
    scattered_flow,
    separation_angles,
    wall_force,
    wall_shear,
)
from pinnx.evals.gates import GATES, Gate
from pinnx.evals.physics import ConservationChecker
from pinnx.evals.settling import last_change
from pinnx.evals.stability import NumericalStabilityChecker, verify_numerical_stability

__all__ = [
    "BREAKAGE_CASES",
    "GATES",
    "Apart",
    "Beltrami",
    "BoundaryChecker",
    "BurgersVortex",
    "Check",
    "ConservationChecker",
    "Evaluation",
    "ExactBreakage",
    "ExactFlow",
    "Gate",
    "Kovasznay",
    "NumericalStabilityChecker",
    "Poiseuille",
    "TaylorGreen",
    "apart",
    "box_force",
    "check",
    "circle_force",
    "dual_norm",
    "energy_spectrum",
    "evaluate",
    "field_errors",
    "last_change",
    "measure",
    "periodic_error",
    "recirculation_length",
    "relative_l2",
    "relative_l2_per_frame",
    "relative_l2_up_to_constant",
    "residual_estimate",
    "resolved_wavenumber",
    "scattered_flow",
    "separation_angles",
    "verify",
    "verify_budgets",
    "verify_numerical_stability",
    "wall_force",
    "wall_shear",
    "worst_component",
]
