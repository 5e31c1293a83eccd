"""The measurement as a matrix: which entries of a field the sensors see.

    y = C f      f [n] (C order over the grid), y [k];   C [k, n], C[i, sensor_i] = 1, else 0
    f = C' y     the values at their places, zero elsewhere;   C C' = 1

With c components the same places are read of each: f [n, c], y [k, c]; as one matrix [k c, n c],
the components of a place side by side. A matrix is formed on request alone.

    C @ field, C.sample(field)     NumPy or torch, batched, differentiable to any order
    C.adjoint(values)              the same, back onto the grid
    C.to_torch(), C.to_scipy()     sparse matrices
    C.linear_operator()            for SciPy's iterative solvers
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import scipy.sparse
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["SparseSensorMatrix"]

Values = TypeVar("Values", NDArray[Any], Tensor)


class SparseSensorMatrix:
    """C, which takes a field to what the sensors see of it.

    Args:
        sensor_indices: [k] integers, places counted in C order over the grid, or [k, d], one index
            along each axis; distinct, k >= 1. The order is that of the rows.
        grid_shape: numbers of points along the axes of the field; one number n for scattered
            points.
        components: c >= 1, numbers that a sensor reads at its place, the field's last axis; None
            where the field has no such axis.

    Raises:
        PinnxError: a shape that is no grid, or sensors that are no distinct places of it.
    """

    def __init__(
        self, sensor_indices: ArrayLike, grid_shape: int | Sequence[int], *, components: int | None = None
    ) -> None:
        self.grid_shape = (grid_shape,) if isinstance(grid_shape, int) else tuple(int(size) for size in grid_shape)
        if not self.grid_shape or min(self.grid_shape) < 1:
            raise PinnxError(f"grid_shape: expected numbers of points >= 1, got {self.grid_shape}")
        if components is not None and components < 1:
            raise PinnxError(f"components: expected an integer >= 1 or None, got {components}")
        self.components = components
        self.indices = _flat_indices(sensor_indices, self.grid_shape)
        self.indices.flags.writeable = False
        self._on_device: dict[torch.device, Tensor] = {}

    @property
    def num_sensors(self) -> int:
        """k."""
        return int(self.indices.size)

    @property
    def num_points(self) -> int:
        """n, the points of the grid."""
        return math.prod(self.grid_shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix: [k, n], or [k c, n c]."""
        c = self.components or 1
        return (self.num_sensors * c, self.num_points * c)

    def __repr__(self) -> str:
        more = "" if self.components is None else f", components={self.components}"
        return f"SparseSensorMatrix({self.num_sensors} sensors on {self.grid_shape}{more})"

    def __matmul__(self, field: Values) -> Values:
        return self.sample(field)

    def sample(self, field: Values) -> Values:
        """Return what the sensors see, ``C f``.

        Args:
            field: [..., *grid_shape(, c)] or [..., n(, c)], a NumPy array or a torch tensor of any
                dtype, on any device; leading axes are a batch.

        Returns:
            [..., k(, c)], a new array; of a tensor differentiable to any order (linear).

        Raises:
            PinnxError: another shape.
        """
        batch = self._batch_of(tuple(field.shape))
        flat = field.reshape((*batch, self.num_points, *self._last))
        if isinstance(flat, Tensor):
            return flat.index_select(len(batch), self._indices_on(flat.device))
        return np.take(flat, self.indices, axis=len(batch))

    def adjoint(self, values: Values) -> Values:
        """Return the values at their places and zero elsewhere, ``C' y``.

        Args:
            values: [..., k(, c)], a NumPy array or a torch tensor.

        Returns:
            [..., *grid_shape(, c)], of the same dtype and device; of a tensor differentiable to any
            order (linear).

        Raises:
            PinnxError: another shape.
        """
        tail = (self.num_sensors, *self._last)
        if tuple(values.shape[-len(tail) :]) != tail:
            raise PinnxError(f"values: expected shape [..., {_listed(tail)}], got {list(values.shape)}")
        batch = tuple(values.shape[: -len(tail)])
        flat, whole = (*batch, self.num_points, *self._last), (*batch, *self.grid_shape, *self._last)
        if isinstance(values, Tensor):
            field = values.new_zeros(flat)
            return field.index_copy(len(batch), self._indices_on(values.device), values).reshape(whole)
        zeros = np.zeros(flat, dtype=values.dtype)
        zeros[(*(slice(None) for _ in batch), self.indices)] = values
        return zeros.reshape(whole)

    def to_scipy(self, dtype: DTypeLike = np.float64) -> scipy.sparse.csr_array:
        """Return C as a SciPy CSR matrix, [k, n] or [k c, n c]."""
        c = self.components or 1
        columns = (self.indices[:, None] * c + np.arange(c)).reshape(-1)
        pointers = np.arange(columns.size + 1)
        return scipy.sparse.csr_array((np.ones(columns.size, dtype=dtype), columns, pointers), shape=self.shape)

    def linear_operator(self, dtype: DTypeLike = np.float64) -> LinearOperator:
        """Return C as an operator of scipy.sparse.linalg, with its adjoint."""
        return aslinearoperator(self.to_scipy(dtype))

    def to_torch(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Tensor:
        """Return C as a sparse COO tensor of torch, [k, n] or [k c, n c], coalesced."""
        entries = np.stack(self.to_scipy().nonzero()).astype(np.int64)
        ones = torch.ones(entries.shape[1], dtype=dtype)
        return torch.sparse_coo_tensor(
            torch.from_numpy(entries), ones, self.shape, is_coalesced=True, check_invariants=True
        ).to(device)

    @property
    def _last(self) -> tuple[int, ...]:
        return () if self.components is None else (self.components,)

    def _batch_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The leading axes of a field, whose grid may be given as axes or as one."""
        for tail in ((*self.grid_shape, *self._last), (self.num_points, *self._last)):
            if shape[-len(tail) :] == tail:
                return shape[: -len(tail)]
        grid = _listed((*self.grid_shape, *self._last))
        flat = f" or [..., {_listed((self.num_points, *self._last))}]" if len(self.grid_shape) > 1 else ""
        raise PinnxError(f"field: expected shape [..., {grid}]{flat}, got {list(shape)}")

    def _indices_on(self, device: torch.device) -> Tensor:
        if device not in self._on_device:
            self._on_device[device] = torch.tensor(self.indices, device=device)
        return self._on_device[device]


def _flat_indices(sensor_indices: ArrayLike, grid_shape: tuple[int, ...]) -> NDArray[np.int64]:
    given = np.asarray(sensor_indices)
    axes = len(grid_shape)
    if given.ndim not in (1, 2) or (given.ndim == 2 and given.shape[1] != axes):
        raise PinnxError(f"sensor_indices: expected shape [k] or [k, {axes}], got {list(given.shape)}")
    if given.dtype.kind not in "iu" or not given.size:
        raise PinnxError(f"sensor_indices: expected one integer or more, got {given.dtype} {list(given.shape)}")
    limits = np.array(grid_shape if given.ndim == 2 else (math.prod(grid_shape),))
    outside = ((given.reshape(len(given), -1) < 0) | (given.reshape(len(given), -1) >= limits)).any(axis=1)
    if outside.any():
        first = int(np.argmax(outside))
        raise PinnxError(
            f"sensor_indices: expected places of a grid of {_listed(grid_shape)} points, "
            f"got {given[first].tolist()} for sensor {first + 1}"
        )
    flat = given.astype(np.int64) if given.ndim == 1 else np.ravel_multi_index(tuple(given.T), grid_shape)
    _, first_of = np.unique(flat, return_index=True)
    if first_of.size != flat.size:
        again = int(np.setdiff1d(np.arange(flat.size), first_of)[0])
        raise PinnxError(
            f"sensor_indices: expected distinct places, got {given[again].tolist()} again for sensor {again + 1}"
        )
    return np.array(flat, dtype=np.int64)


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)
