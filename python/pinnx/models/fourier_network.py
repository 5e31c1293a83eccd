"""A multilayer perceptron behind random Fourier features, with its jets.

    x = (coordinates - o) / X,   h_0 = [cos(2 pi x B), sin(2 pi x B)],   h_l = f(h_{l-1} W_l^T + b_l),   y = h_L W^T + b
    fields = Y y

B [d, m] is fixed: column j is a wave with B[i, j] cycles per unit of input i. The network, its jets and its loss are
dimensionless; the scales X [d] of the coordinates and Y [c] of the fields are those of the user's units. The origin o
is subtracted in float64 on the host (`inputs`), before any cast: phases stay small, and float32 does not lose them.

Source: Tancik et al., NeurIPS 2020 (features); VS-PINN, Ko and Park, J. Comput. Phys. 2025 (scaling by axis).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

import pinn_ext
from pinn_ext.reference import ACTIVATIONS
from pinnx.errors import PinnxError
from pinnx.threads import num_partitions

__all__ = ["FourierNetwork", "random_frequencies"]

# Points that are evaluated at once, so that memory does not grow with their number.
BLOCK = 8192


def random_frequencies(
    scale: Sequence[float],
    sigma: float | Sequence[float],
    num_frequencies: int,
    *,
    seed: int,
    periods: Mapping[int, float] | None = None,
) -> Tensor:
    """Gaussian frequencies: ``B[i, j] = sigma_i scale_i g_ij``, rounded to whole waves on periodic axes.

    Args:
        scale: factor on each input, [d], > 0; one over the domain's extent makes sigma a number of waves.
        sigma: standard deviation in scaled coordinates, one number or one per coordinate, > 0.
        num_frequencies: m >= 1.
        seed: names the draw.
        periods: input -> period; the network is then exactly periodic along it.

    Returns:
        [d, m] float64, cycles per unit of each input.

    Raises:
        PinnxError: numbers of the wrong count or sign.
    """
    d = len(scale)
    sigmas = [float(sigma)] * d if isinstance(sigma, int | float) else [float(s) for s in sigma]
    if len(sigmas) != d:
        raise PinnxError(f"model.sigma: expected one number or {d}, one per coordinate, got {len(sigmas)}")
    if not all(math.isfinite(s) and s > 0 for s in (*scale, *sigmas)) or num_frequencies < 1:
        raise PinnxError(
            f"frequencies: expected scale, sigma and their number > 0, got {list(scale)}, {sigmas}, {num_frequencies}"
        )
    generator = torch.Generator().manual_seed(seed)
    frequencies = torch.randn(d, num_frequencies, generator=generator, dtype=torch.float64)
    frequencies *= torch.tensor(sigmas, dtype=torch.float64)[:, None]
    frequencies *= torch.tensor(scale, dtype=torch.float64)[:, None]
    for axis, period in (periods or {}).items():
        frequencies[axis] = torch.round(frequencies[axis] * period) / period
    return frequencies


class FourierNetwork(nn.Module):
    """A network from coordinates to fields, with derivatives in one pass.

    Args:
        frequencies: B, [d, m]; kept as a buffer, not trained.
        num_outputs: fields, c.
        width: features of each hidden layer.
        layers: number of hidden layers, >= 1.
        activation: as for `pinn_ext.mlp_jet`.
        origin: o, [d], in the user's units.
        coordinate_scales: X, [d], > 0, what an input of one is in the user's units.
        field_scales: Y, [c], > 0, what an output of one is in the user's units.
        seed: names the first weights (Glorot normal; biases are zero).
        dtype: torch.float32 or torch.float64.

    Attributes:
        partitions: parts of the points whose gradients are added, whatever the number of threads: the bits of a
            training do not depend on it.

    Raises:
        PinnxError: sizes below one, an unknown activation, an origin or scales of the wrong length, scales <= 0.
    """

    frequencies: Tensor

    def __init__(
        self,
        frequencies: Tensor,
        num_outputs: int,
        *,
        width: int = 64,
        layers: int = 4,
        activation: pinn_ext.Activation = "tanh",
        origin: ArrayLike = 0.0,
        coordinate_scales: ArrayLike = 1.0,
        field_scales: ArrayLike = 1.0,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if frequencies.dim() != 2 or 0 in frequencies.shape:
            raise PinnxError(f"frequencies: expected shape [d, m], d, m >= 1, got {list(frequencies.shape)}")
        d, m = frequencies.shape
        if min(num_outputs, width, layers) < 1:
            raise PinnxError(f"network: expected sizes >= 1, got outputs {num_outputs}, width {width}, layers {layers}")
        if activation not in ACTIVATIONS:
            raise PinnxError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.activation: pinn_ext.Activation = activation
        self.partitions = num_partitions()
        self.register_buffer("frequencies", frequencies.to(dtype))
        self.origin = _numbers("origin", origin, d)
        self.coordinate_scales = _numbers("coordinate_scales", coordinate_scales, d, positive=True)
        self.field_scales = _numbers("field_scales", field_scales, num_outputs, positive=True)
        sizes = [2 * m, *[width] * layers, num_outputs]
        generator = torch.Generator().manual_seed(seed)
        weights = []
        for fan_in, fan_out in pairwise(sizes):
            weights.append(torch.empty(fan_out, fan_in, dtype=dtype))
            nn.init.xavier_normal_(weights[-1], generator=generator)
        # By name, not in a ParameterList: reading one runs ten lines of Python for each parameter, in every step.
        self._names = [[f"{kind}_{i}" for i in range(len(weights))] for kind in ("weight", "bias")]
        for name, weight in zip(self._names[0], weights, strict=True):
            self.register_parameter(name, nn.Parameter(weight))
        for name, weight in zip(self._names[1], weights, strict=True):
            self.register_parameter(name, nn.Parameter(torch.zeros(len(weight), dtype=dtype)))

    @property
    def weights(self) -> list[Tensor]:
        """The matrix of each layer, [out, in]."""
        return [getattr(self, name) for name in self._names[0]]

    @property
    def biases(self) -> list[Tensor]:
        """The bias of each layer, [out]."""
        return [getattr(self, name) for name in self._names[1]]

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
        """The fields at inputs, dimensionless: [n, d] -> [n, c], differentiable to any order.

        Raises:
            PinnxError: inputs of another shape or dtype than the network's.
        """
        hidden = pinn_ext.fourier_features(self._checked(x), self.frequencies)
        *inner, (last_weight, last_bias) = zip(self.weights, self.biases, strict=True)
        for weight, bias in inner:
            hidden = ACTIVATIONS[self.activation](nn.functional.linear(hidden, weight, bias))
        return nn.functional.linear(hidden, last_weight, last_bias)

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """The fields and their derivatives at inputs, dimensionless, [s, n, c], differentiable once in the parameters.

        Args:
            x: inputs, [n, d].
            spec: which derivatives, by column of ``x``.

        Raises:
            PinnxError: inputs of another shape or dtype than the network's.
        """
        return pinn_ext.mlp_jet(*self.operands(x), spec, self.activation, thread_invariant=self.partitions)

    def operands(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        """What the fused operations take, ``(x, B, weights, biases)``.

        Raises:
            PinnxError: inputs of another shape or dtype than the network's.
        """
        return self._checked(x), self.frequencies, self.weights, self.biases

    def _checked(self, x: Tensor) -> Tensor:
        d, dtype = len(self.origin), self.frequencies.dtype
        if x.dim() != 2 or x.shape[1] != d or x.dtype != dtype:
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
