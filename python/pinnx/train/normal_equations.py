"""Damped linear least squares with more rows than fit a decomposition of their own: what Gauss-Newton solves.

    min |J d + r|^2 + mu |d|^2,      (J' J + mu 1) d = -J' r,      d = -J' (J J' + mu 1)^-1 r

J comes in blocks of rows. Below `DENSE` unknowns or rows the smaller of the two normal matrices is formed and factored
(Cholesky); above, conjugate gradients with a randomised Nystroem preconditioner take products with J alone. With a
large damping the matrix is made of float32 tiles, added in float64 (`pinn_ext.normal_matrix`).

Nystroem preconditioning: Frangella, Tropp and Udell, SIAM J. Matrix Anal. Appl. 44 (2023), 718-752.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pinn_ext import normal_matrix

__all__ = ["DENSE", "NormalEquations"]

# Unknowns (or rows) up to which a normal matrix is factored: 288 MB, and 0.8 s of a Cholesky factor on two cores.
DENSE = 6000
# Damping from which on the normal matrix is made of float32 tiles, in 0.6 of the time. On the cavity a step lowers the
# linear model of the loss by 0.9998 of what that in float64 does at 1e-4, by 0.99 at 1e-5; at 1e-6 there is none.
SINGLE = 1e-4
# Columns of the Nystroem sketch: as many eigenvalues of J' J are taken out of the condition.
SKETCH = 256
# Of conjugate gradients: products with J' J at most, and the relative residual at which they end. The step is one of
# many, and searched along; three digits of it are enough.
MOST_PRODUCTS = 100
TOLERANCE = 1e-3


class NormalEquations:
    """The equations at one J and r, solved for one damping after the other.

    Args:
        blocks: rows of J, [rows, p] each.
        residual: r, [rows of all blocks], float64.
        seed: of the sketch.
        memory: equations of an earlier step, whose memory is used again; new memory costs as much as filling it.

    Attributes:
        gradient: J' r, [p] float64.
        products: with J' J that the last solution took; 0 where it was factored.
    """

    def __init__(
        self, blocks: Sequence[Tensor], residual: Tensor, *, seed: int = 0, memory: NormalEquations | None = None
    ) -> None:
        self._blocks, self._residual, self._seed = list(blocks), residual, seed
        self.gradient = self._transposed(residual)
        self.products = 0
        self._by_rows = len(residual) < len(self.gradient)
        size = min(len(residual), len(self.gradient))
        self._dense = size <= DENSE
        self._sketch: tuple[Tensor, Tensor] | None = None
        self._formed: bool | None = None  # the matrix, in float64; None: not yet
        self._matrices: tuple[Tensor, Tensor] | None = None  # the normal matrix, and its factor
        if memory is not None and memory._matrices is not None and len(memory._matrices[0]) == size:
            self._matrices = memory._matrices

    def solve(self, damping: float) -> Tensor | None:
        """The step d, [p] float64; None: the damped matrix is not positive definite in float64.

        Args:
            damping: mu over the mean of the diagonal of J' J.
        """
        if not self._dense:
            squares = math.fsum(float(torch.linalg.vector_norm(block)) ** 2 for block in self._blocks)
            return self._by_conjugate_gradients(damping * squares / len(self.gradient))
        solution = None if damping < SINGLE else self._by_factor(damping, in_double=False)
        return self._by_factor(damping, in_double=True) if solution is None else solution

    def _by_factor(self, damping: float, *, in_double: bool) -> Tensor | None:
        if self._formed is None or (in_double and not self._formed):
            self._form(in_double)
        assert self._matrices is not None
        matrix, factor = self._matrices
        matrix.diagonal().copy_(self._diagonal + damping * self._scale)
        failed = self._diagonal.new_empty((), dtype=torch.int32)
        torch.linalg.cholesky_ex(matrix, upper=True, out=(factor, failed))  # reads the upper triangle alone
        if failed:
            return None
        right = self._residual if self._by_rows else self.gradient
        half = torch.linalg.solve_triangular(factor.T, right[:, None], upper=False)
        solution = torch.linalg.solve_triangular(factor, half, upper=True)[:, 0]
        return -self._transposed(solution) if self._by_rows else -solution

    def _form(self, in_double: bool) -> None:
        """The normal matrix, and memory for its factor."""
        matrix, factor = self._matrices or (None, None)
        products = torch.float64 if in_double else torch.float32
        first, *others = [torch.cat(self._blocks).T] if self._by_rows else self._blocks
        matrix = normal_matrix(first, products=products, out=matrix)
        for block in others:
            normal_matrix(block, products=products, out=matrix, add=True)
        # Column by column, as LAPACK writes it: 0.26 s, else 0.38 s, of 4,323 unknowns.
        factor = torch.empty_like(matrix).T if factor is None else factor
        self._matrices, self._diagonal, self._formed = (matrix, factor), matrix.diagonal().clone(), in_double
        self._scale = float(self._diagonal.sum()) / len(self.gradient)  # J J' has the trace of J' J

    def _times(self, d: Tensor) -> Tensor:
        """J d, [rows]."""
        return torch.cat([(block @ d.to(block.dtype)).double() for block in self._blocks])

    def _transposed(self, rows: Tensor) -> Tensor:
        """J' rows, [p]; or for [rows, k], [p, k]."""
        pieces = rows.split([len(block) for block in self._blocks])
        found = [(block.T @ piece.to(block.dtype)).double() for block, piece in zip(self._blocks, pieces, strict=True)]
        return torch.stack(found).sum(0)

    def _nystroem(self) -> tuple[Tensor, Tensor]:
        """Orthonormal [p, k] and the eigenvalues [k] of J' J in their span, the largest first (algorithm 2.1)."""
        p = len(self.gradient)
        generator = torch.Generator().manual_seed(self._seed)
        drawn = torch.randn(p, min(SKETCH, p), generator=generator, dtype=torch.float64).to(self.gradient.device)
        test = torch.linalg.qr(drawn).Q
        image = self._transposed(self._times(test))
        shift = math.sqrt(p) * torch.finfo(torch.float64).eps * float(torch.linalg.vector_norm(image))
        image = image + shift * test
        factor = torch.linalg.cholesky(test.T @ image)
        root = torch.linalg.solve_triangular(factor, image.T, upper=False).T
        vectors, singular, _ = torch.linalg.svd(root, full_matrices=False)
        return vectors, (singular.square() - shift).clamp_min(0.0)

    def _by_conjugate_gradients(self, mu: float) -> Tensor:
        if self._sketch is None:
            self._sketch = self._nystroem()
        vectors, values = self._sketch

        def preconditioned(v: Tensor) -> Tensor:
            inside = vectors.T @ v
            return v + vectors @ (((values[-1] + mu) / (values + mu) - 1.0) * inside)

        d = torch.zeros_like(self.gradient)
        left = -self.gradient
        enough = TOLERANCE * float(torch.linalg.vector_norm(left))
        z = preconditioned(left)
        direction, size = z, left @ z
        self.products = 0
        while self.products < MOST_PRODUCTS and float(torch.linalg.vector_norm(left)) > enough:
            image = self._transposed(self._times(direction)) + mu * direction
            self.products += 1
            length = size / (direction @ image)
            d = d + length * direction
            left = left - length * image
            z = preconditioned(left)
            before, size = size, left @ z
            direction = z + size / before * direction
        return d
