"""The equations and what is known beside them: residuals, boundary and initial conditions."""

from __future__ import annotations

from pinnx.physics.boundary import BoundaryCondition, boundary_conditions
from pinnx.physics.corners import Corner, corner_distance, corner_weights, discontinuity_corners
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Circle, Place, PointSet, Side

__all__ = [
    "BoundaryCondition",
    "Circle",
    "Corner",
    "Expression",
    "Place",
    "PointSet",
    "Side",
    "boundary_conditions",
    "corner_distance",
    "corner_weights",
    "discontinuity_corners",
]
