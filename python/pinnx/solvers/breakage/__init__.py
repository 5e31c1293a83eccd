"""The breakage population balance by classical means: references, and the kinetics from measured sizes."""

from pinnx.solvers.breakage.chebyshev import ChebyshevGrid
from pinnx.solvers.breakage.distributions import SizeDistributions, SizeGrid, diameter, volume
from pinnx.solvers.breakage.evolution import evolve, matrix_gradient, sensitivities, solve_breakage
from pinnx.solvers.breakage.fixed_pivot import PivotGrid

__all__ = [
    "ChebyshevGrid",
    "PivotGrid",
    "SizeDistributions",
    "SizeGrid",
    "diameter",
    "evolve",
    "matrix_gradient",
    "sensitivities",
    "solve_breakage",
    "volume",
]
