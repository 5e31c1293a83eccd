"""What a model of fields is: from coordinates to fields and their jets, whatever stands between.

    x = (coordinates - o) / X,   y = model(x),   fields = Y y

The model, its jets and its loss are dimensionless; the scales X [d] of the coordinates and Y [c] of the fields are
those of the user's units. The origin o is subtracted in float64 on the host (`inputs`), before any cast: phases stay
small, and float32 does not lose them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError

__all__ = ["FieldModel", "StatedEquations"]

# Points that are evaluated at once, so that memory does not grow with their number.
BLOCK = 8192


class StatedEquations(Protocol):
    """What a model asks of equations whose loss it takes (`pinnx.physics.Equations`)."""

    spec: pinn_ext.JetSpec
    takes_base_flow: bool

    def jet_loss(self, jet: pinn_ext.Jet, weights: Tensor, **options: Any) -> Any:
        """The loss from the jet of any model."""
        ...

    def network_loss(self, network: Any, x: Tensor, weights: Tensor, **options: Any) -> Any:
        """The loss of a network that the fused operations take (`FourierNetwork.operands`)."""
        ...


class FieldModel(nn.Module):
    """Coordinates to fields, with derivatives in one pass. A subclass has ``jet`` and the attributes below.

    Args:
        num_coordinates: d.
        num_outputs: fields, c.
        origin: o, [d], in the user's units.
        coordinate_scales: X, [d], > 0, what an input of one is in the user's units.
        field_scales: Y, [c], > 0, what an output of one is in the user's units.

    Attributes:
        frequencies: B, [d, m]; its dtype and device are the model's.
        fused: whether one kernel takes the model, and its equations' loss; else it is composed of jets.
        thread_invariant: whether its bits do not depend on the number of threads.
        products: precision of the matrix products of its jets, as for `pinn_ext.mlp_jet`; see `multiplying`.

    Raises:
        PinnxError: an origin or scales of the wrong length, scales <= 0.
    """

    frequencies: Tensor
    fused = False
    thread_invariant = False
    products: pinn_ext.Products = "ieee"

    def __init__(
        self,
        num_coordinates: int,
        num_outputs: int,
        *,
        origin: ArrayLike = 0.0,
        coordinate_scales: ArrayLike = 1.0,
        field_scales: ArrayLike = 1.0,
    ) -> None:
        super().__init__()
        self.origin = _numbers("origin", origin, num_coordinates)
        self.coordinate_scales = _numbers("coordinate_scales", coordinate_scales, num_coordinates, positive=True)
        self.field_scales = _numbers("field_scales", field_scales, num_outputs, positive=True)

    def inputs(self, coordinates: NDArray[np.float64], out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """What the network takes: ``(coordinates - origin) / coordinate_scales``, in float64.

        Args:
            coordinates: [n, d] float64, in the user's units.
            out: where to, [n, d]; None: a new array.

        Raises:
            PinnxError: another number of coordinates.
        """
        if coordinates.ndim != 2 or coordinates.shape[1] != len(self.origin):
            raise PinnxError(f"coordinates: expected shape [n, {len(self.origin)}], got {list(coordinates.shape)}")
        inputs = np.subtract(coordinates, self.origin, out=out)
        inputs /= self.coordinate_scales
        return inputs

    def blocks(self, coordinates: NDArray[np.float64]) -> Iterator[tuple[slice, Tensor]]:
        """Rows of coordinates [n, d] and the network's inputs there, block by block, on its device."""
        like = self.frequencies
        for start in range(0, len(coordinates), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, torch.from_numpy(self.inputs(coordinates[rows])).to(like)

    @torch.no_grad()
    def predict(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """The fields at coordinates [n, d], [n, c] float64, both in the user's units; in blocks."""
        fields = np.empty((len(coordinates), len(self.field_scales)))
        for rows, x in self.blocks(coordinates):
            fields[rows] = self(x).cpu().numpy()
        return fields * self.field_scales

    def forward(self, x: Tensor) -> Tensor:
        """The fields at inputs, dimensionless: [n, d] -> [n, c].

        Raises:
            PinnxError: inputs of another shape or dtype than the model's.
        """
        return self.jet(x, pinn_ext.JetSpec()).value

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """The fields and their derivatives at inputs, dimensionless, [s, n, c], differentiable once in the parameters.

        Args:
            x: inputs, [n, d].
            spec: which derivatives, by column of ``x``.

        Raises:
            PinnxError: inputs of another shape or dtype than the model's.
        """
        raise NotImplementedError

    def unknown_numbers(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters that are numbers of the problem and no weights, by name; here none."""
        return []

    @contextmanager
    def multiplying(self, products: pinn_ext.Products) -> Iterator[None]:
        """Inside, jets of this model and of those in it take their matrix products in a precision; then IEEE again."""
        models = [module for module in self.modules() if isinstance(module, FieldModel)]
        for model in models:
            model.products = products
        try:
            yield
        finally:
            for model in models:
                model.products = "ieee"

    def equations_loss(self, equations: StatedEquations, x: Tensor, weights: Tensor, **options: Any) -> Any:
        """The loss of equations at inputs [n, d], as they give it; here from the jet."""
        return equations.jet_loss(self.jet(x, equations.spec), weights, **options)

    def _checked(self, x: Tensor) -> Tensor:
        d, dtype = len(self.origin), self.frequencies.dtype
        if x.ndim != 2 or x.shape[1] != d or x.dtype != dtype:
            raise PinnxError(f"x: expected shape [n, {d}] {dtype}, got {list(x.shape)} {x.dtype}")
        return x


def _numbers(name: str, given: ArrayLike, count: int, *, positive: bool = False) -> NDArray[np.float64]:
    """The numbers that are given, [count], or one number for all."""
    numbers = np.asarray(given, dtype=np.float64)
    if numbers.ndim and numbers.shape != (count,):
        raise PinnxError(f"{name}: expected {count} numbers, got {numbers.size}")
    if not np.isfinite(numbers).all() or (positive and not (numbers > 0).all()):
        raise PinnxError(f"{name}: expected finite numbers{' > 0' if positive else ''}, got {numbers.tolist()}")
    return np.broadcast_to(numbers, count).copy()
