"""Equations and conditions as terms of a loss; boundary and initial conditions, geometry, corners."""

from __future__ import annotations

from pinnx.physics.boundary import BoundaryCondition, boundary_conditions
from pinnx.physics.boundary_values import BoundaryValues
from pinnx.physics.breakage_kinetics import Daughters, Kinetics, TabulatedKinetics
from pinnx.physics.breakage_model import BreakageCase, BreakageModel
from pinnx.physics.breakage_pointwise import PointBalance, pointwise_balance, residual_adaptive_refinement
from pinnx.physics.breakage_term import BreakageTerm
from pinnx.physics.corners import Corner, corner_distance, corner_weights, discontinuity_corners
from pinnx.physics.equations import Equations, EquationTerm
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Circle, Place, Side
from pinnx.physics.inner_points import InnerPoints
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.point_sets import PointSet
from pinnx.physics.scales import Scales
from pinnx.physics.size_measurements import SizeMeasurements
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share, Term, TermLoss

__all__ = [
    "WHOLE",
    "BoundaryCondition",
    "BoundaryValues",
    "BreakageCase",
    "BreakageModel",
    "BreakageTerm",
    "Circle",
    "Corner",
    "Daughters",
    "EquationTerm",
    "Equations",
    "Expression",
    "InnerPoints",
    "JetTerm",
    "Kinetics",
    "Measured",
    "MeasuredValues",
    "NavierStokes",
    "Place",
    "PointBalance",
    "PointSet",
    "Points",
    "Scales",
    "Share",
    "Side",
    "SizeMeasurements",
    "TabulatedKinetics",
    "Term",
    "TermLoss",
    "boundary_conditions",
    "corner_distance",
    "corner_weights",
    "discontinuity_corners",
    "pointwise_balance",
    "residual_adaptive_refinement",
]
