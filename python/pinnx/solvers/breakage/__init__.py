"""The breakage population balance by classical means: references, and the kinetics from measured sizes."""

from pinnx.solvers.breakage.chebyshev import ChebyshevGrid
from pinnx.solvers.breakage.distributions import SizeDistributions, SizeGrid, diameter, volume
from pinnx.solvers.breakage.evolution import evolve, matrix_gradient, sensitivities, solve_breakage
from pinnx.solvers.breakage.fixed_pivot import PivotGrid
from pinnx.solvers.breakage.kinetics_fit import FoundNumber, KineticsFit, fit_kinetics
from pinnx.solvers.breakage.observed_sizes import MeasuredSizes
from pinnx.solvers.breakage.sieve_fit import fit_sieves, read_sieves

__all__ = [
    "ChebyshevGrid",
    "FoundNumber",
    "KineticsFit",
    "MeasuredSizes",
    "PivotGrid",
    "SizeDistributions",
    "SizeGrid",
    "diameter",
    "evolve",
    "fit_kinetics",
    "fit_sieves",
    "matrix_gradient",
    "read_sieves",
    "sensitivities",
    "solve_breakage",
    "volume",
]
