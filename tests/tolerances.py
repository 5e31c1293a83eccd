"""Every tolerance of the test suite, each with its reason. None is widened to make a run pass.

"Relative" means relative to the largest magnitude in the tensor compared (max norm), because an
entry that is small by cancellation carries the rounding of the large terms that cancelled.
"""

from __future__ import annotations

import torch

EPS32 = torch.finfo(torch.float32).eps
EPS64 = torch.finfo(torch.float64).eps

# pinn_ext: float64 kernel against the float64 oracle. The longest sums of the cases have about 10^3
# terms and their phases about 10 turns, so both sides round at some 10 to 100 eps = 2e-15 to 2e-14;
# 1e-12 leaves room for the order of the sums, while a wrong formula is off by 1e-3 and more.
KERNEL_FLOAT64 = 1e-12


def kernel_float32(summands: int, amplification: float) -> float:
    """pinn_ext: float32 kernel against the float64 oracle on the same rounded inputs, relative.

    16 eps for an elementary function (up to 4 eps) and the about ten products of a chain rule,
    then sqrt(K) eps for a sum of K rounded terms (rounding errors are independent, Higham and Mary
    2019); all of it times the amplification, by which a rounding of the phase 2 pi x B (itself
    2 pi |x B| eps) enters the cosine.
    """
    return EPS32 * (16.0 + summands**0.5) * amplification


def rounding(size: float, terms: int, eps: float) -> float:
    """Absolute error of ``terms`` rounded operations on numbers up to ``size``."""
    return terms * eps * size


# pinn_ext: residual of an exact solution in float64, absolute over the largest single term of the
# equation: some 20 terms of a few eps each (derivatives by nested autograd included).
EXACT_FLOW = 200 * EPS64

# pinn_ext: residual of a field that is wrong on purpose, over the largest single term of the
# equation: the errors put in are of the order of whole terms, a hundredth is far above rounding.
WRONG_FLOW = 1e-2

# pinnx.evals: divergence by complex step: no subtraction, derivatives up to about 100 that cancel.
COMPLEX_STEP_DIVERGENCE = rounding(100.0, 40, EPS64)

# pinnx.evals: a ratio of two norms of about 100 numbers of order 1: sqrt(100) eps each, and the factor
# of up to 5 that a case scales them by.
METRIC_ROUNDING = rounding(5.0, 20, EPS64)

# pinnx.data: Taylor-Green vortices through the spectral solver, relative: the advection vanishes and
# the decay is integrated exactly, so a few hundred steps of transforms round at some 100 eps.
TAYLOR_GREEN = 1e-10

# pinnx.data: order of convergence from two steps: the next term of the error is one power of the
# step smaller, about a tenth at the steps used.
CONVERGENCE_ORDER = 0.25

# pinnx.data: error in time of the step that the CFL number 0.5 chooses, relative 2-norm of the
# vorticity of default random flows: measured 1e-7 to 3e-7; a step five times as long makes 1e-4.
STEP_ERROR = 1e-6

# pinnx.data: dE/dt by fourth-order differences over steps h = 0.005: h^4 / 30 times a fifth
# derivative of order 1, against a rate of 0.1; measured 2e-11 to 9e-11 over six seeds.
ENERGY_BALANCE = 1e-8

# pinnx.data: Navier-Stokes residual of spectral frames over the largest convection: differences in
# time over h = 0.005, h^4 / 30 times a fifth derivative of order 100 (waves carried past a point);
# measured 3e-9 to 1.3e-8 over six seeds, a pressure of the wrong sign makes more than 0.1.
SPECTRAL_NAVIER_STOKES = 1e-7

# pinnx.data: divergence of spectral frames: exactly zero but for rounding in transforms of 10^4
# numbers of order 1, times the largest wave number (32).
SPECTRAL_DIVERGENCE = rounding(32.0, 200, EPS64)

# pinnx.data: relative divergence by second-order differences of waves up to 6 (most at 3) on 64
# points: (k dx)^2 / 6 = 0.015 each, most of which cancels between the components.
COARSE_DIVERGENCE = 0.01

# pinnx.data: 64 points against 128 on the default random flow: measured 2e-5 at most in the 2-norm.
RESOLUTION = 1e-4


def monte_carlo(num_draws: int) -> float:
    """pinnx.data: five standard errors of a mean of independent draws of standard deviation 1."""
    return 5.0 / num_draws**0.5


# pinnx.physics: radius of a circle's points, relative: cosine, sine, product and hypot, 1 eps each,
# and the centre's addition and subtraction, up to 4 eps of the radius where centre = 2 radii.
CIRCLE_RADIUS = 16 * EPS64

# pinnx.physics: second differences of w = 3 q^2 - 2 q^3 with step h: w'' h^2 and, relative to it,
# rounding of w by eps over (h / R)^2 = 2.5e-5, i.e. 1e-11.
SECOND_DIFFERENCE = 1e-9


def uniform_mean(num: int) -> float:
    """pinnx: |mean - 1/2| of num uniform numbers: 6 standard errors of 1 / sqrt(12 num), once in 5e8."""
    return 6.0 / (12.0 * num) ** 0.5


def modes_by_squares(eps: float, singular_values: object) -> float:
    """pinnx.sensors: modes out of a Gram matrix, products rounded to eps, relative and by entry.

    Rounding turns mode j towards mode 1 by eps S_1 / S_j, and towards a neighbour, here 0.7 S_j and
    more, by eps (S_1 / S_j)^2 / 0.5; 10 for the sums.
    """
    values = [float(value) for value in singular_values]  # type: ignore[attr-defined]
    return 20.0 * eps * (values[0] / values[-1]) ** 2


# pinnx.sensors: angle of a mode far below the first: found to a few per cent at least; one that was
# lost in the rounding of squares is off by an angle of order 1.
WEAK_MODES = 0.05

# pinnx.sensors: log volume that eight sensors may lose by refining coarse winners instead of choosing
# among all places: a factor of 2 in the volume of eight; random places lose 5 and more.
REFINED_VOLUME = 0.7

# pinnx.sensors: lengths of columns after 12 steps of Gram-Schmidt on numbers up to 1: the remainders
# lose eps * 12 * (largest over smallest pivot, about 100), and LAPACK's downdated norms sqrt(eps) of
# them before it recomputes.
PIVOT_LENGTH = 1e-9

# pinnx.sensors: linear interpolation of linear data, relative: barycentric weights of triangles (3-D:
# tetrahedra) whose aspect ratio amplifies eps by up to 10^4 for random points.
LINEAR_INTERPOLATION = 1e-11


def normal_spread(num: int) -> float:
    """pinnx: relative error of the standard deviation of num normal numbers: 6 of 1 / sqrt(2 num)."""
    return 6.0 / (2.0 * num) ** 0.5


def periodicity(phase_turns: float, frequency: float) -> float:
    """pinnx.models: a field moved by whole periods, over its largest value, in float64.

    A coordinate of up to ``phase_turns`` rounds by eps of itself, the phase by 2 pi frequency times that; two layers
    of slopes below 1 and the Laplacian's factor (2 pi frequency)^2 relative to itself leave some 100 such errors.
    """
    return 100 * EPS64 * 2 * 3.15 * phase_turns * frequency


# pinnx.physics: d/d(log nu) of the mean square residual of an exact flow, over the largest term squared: a residual at
# rounding level times the viscous term.
EXACT_FLOW_GRADIENT = EXACT_FLOW

# pinnx.physics: median over points of the viscosity that an exact flow asks for, relative: a residual at rounding level
# over the viscous term, which is a hundredth of the largest term or more at half of the points.
ASKED_VISCOSITY = 100 * EXACT_FLOW

# pinnx.physics: a viscosity kept as its logarithm (up to 10 in size) in float32: exp turns eps of the logarithm into
# a relative error, 10 eps, and rounds once.
LOG_NU_FLOAT32 = 11 * EPS32

# pinnx.jobs: viscosity learned in 500 steps from a guess three times off: measured 2 to 5 per cent over two
# seeds and both guesses.
LEARNED_VISCOSITY = 0.1

# pinnx.train: one step of SOAP against the published code, from the same state, relative. Where gradients have full
# rank, some ten roundings: measured 1.2e-15, with every instruction set of torch. A direction that no gradient has
# touched holds rounding alone, and its step is lr / eps = 3e4 times that: measured 1.4e-12. Another frequency makes
# 2e-2 within six steps.
SOAP_FLOAT64 = 1e-11

# pinnx.train: the same in float32, measured 4e-7; and 40 steps on another device from gradients of full rank, where QR
# in float32 rounds differently: 9e-8. (Where the rank is lower, rounding chooses eigenvectors.)
SOAP_FLOAT32 = 100 * EPS32

# pinn_ext: MB by which the peak of a step may grow from 10^4 to 4 * 10^5 points: measured 0.3, pages that are touched
# for the first time. The jet of one layer of 64 at the larger number is 512 MB, one number for each point 1.6 MB.
MEMORY_OF_A_STEP = 10.0


def quality_rounding(amplification: float) -> float:
    """pinnx.sensors: figures of a choice, relative: some 10^3 eps of QR and SVD, times the condition."""
    return 1000 * EPS64 * amplification


# pinnx.sensors: the same of a basis whose columns span eight orders: the smallest keeps eps * 1e8 of its digits.
QUALITY_OF_GRADED_BASIS = 1e-6

# pinnx.sensors: the same of a basis rounded to float32, amplified by a condition of up to 10.
QUALITY_FLOAT32 = 100 * EPS32

# pinnx.sensors: gappy POD by the method of snapshots, relative: inner products square the spread of the singular
# values, here up to 10 (so 100 eps), and four places see four modes with a condition of up to 100.
GAPPY_POD = 1e-10


def pivot_length(dtype: torch.dtype, growth: float = 1.0) -> float:
    """pinn_ext: residual norms of pivots over the largest: taken in double, then rounded once to the type of A.

    Double leaves some 100 eps of a column of a few hundred numbers after two rounds of Gram-Schmidt, times ``growth``,
    the largest over the smallest pivot where those before a small one turned its direction.
    """
    return (EPS32 if dtype == torch.float32 else 0.0) + 100 * EPS64 * growth


# pinn_ext: log volume of a choice over ranks below the exact one: measured 0 to 0.81 over two to four ranks, for 12 of
# 30 rows that shrink fast.
RANKS_LOG_VOLUME = 1.0

# pinnx.jobs: six steps of a float64 training in other units, relative: coordinates up to 1e4 sides from zero round at
# 1e4 eps = 2e-12, formulas of them too, and the steps amplify that; measured 3e-12 at most over 24 draws. Without
# scales the same numbers differ by 5e-4 (the viscosity, after six steps) and more.
OTHER_UNITS = 1e-9

# pinnx.jobs: fields of a whole run in other units, written in float32, relative to the largest: with Unix seconds a
# time rounds at 2.4e-7 (float64, 1.7e9), 1e-7 of the extent, and UTM metres at 9e-10; 30 steps of Adam amplify that.
OTHER_UNITS_WRITTEN = 1e-3

# pinnx.evals: exact breakage solutions by Gauss-Legendre quadrature of 200 pieces, over the largest term; moments by
# adaptive quadrature, relative. Measured 6e-16 and 7e-16: the limit is that which cases promise.
EXACT_BREAKAGE = 1e-9

# pinnx.physics: exact breakage solutions on the default grid, float64: residual over births, root mean square at all
# nodes, where f is next to nothing too; measured 2e-3 in case 2, whose g falls as v^2, and 1e-4 and below elsewhere.
BREAKAGE_GRID = 5e-3
# Mass by Simpson's rule on that grid; measured 3e-6.
BREAKAGE_MASS = 1e-5

# pinnx.solvers: the four exact breakage cases on 96 Chebyshev nodes, relative L2 of v f and moments: measured 1e-12
# to 6e-7 (2e-8 at the nodes); an exponent off by 1 % makes 1e-3 and more.
BREAKAGE_CHEBYSHEV = 1e-6

# pinnx.solvers: M1 of general kinetics from 64 nodes above v = 1e-3. What is below is A v^c exp(-k v^min(a, 1)), an
# assumption; measured 2e-9 to 9e-6 (three daughters, a = 0.5).
BREAKAGE_LOW_END = 5e-5

# pinnx.solvers: density of 160 fixed pivots, relative L2 of v f: hat functions smooth by the square of the distance in
# ln v, over 6, times the curvature; measured 7e-4 to 1.0e-3, and a quarter of that with 320.
BREAKAGE_PIVOT = 1.2e-3

# pinnx.solvers: derivative of a matrix exponential against a central difference of 1e-5 of the largest entry: rounding
# 1e-16 / 1e-5 of states that the cotangents cancel to a tenth, and the third derivative times 1e-10.
BREAKAGE_ADJOINT = 1e-6

# pinnx.solvers: s0 and a from sizes with 1 % noise, relative, the goal; measured 0.1 % root mean square.
FOUND_KINETICS = 0.02

# pinnx.physics: births at single points by 120 Gauss points in pieces that grow, over G and B: measured 6e-6 in case 2
# over 2,000 points, 3e-7 and below in the others.
POINTWISE_BIRTHS = 1e-5

# pinnx.evals: curves and diameters of 505 volumes, linear in ln v between them; measured 5e-5 and 1.2e-4.
TABULATED_SIZES = 3e-4
