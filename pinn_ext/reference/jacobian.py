"""The oracle of `pinn_ext.residual_jacobian`: one point in plain torch, ``vmap(jacrev)`` over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from pinn_ext.jet import Jet, JetSpec
from pinn_ext.reference.jets import mlp

__all__ = ["residual_jacobian"]


def residual_jacobian(
    residual: Callable[..., Tensor],
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    *,
    spec: JetSpec,
    activation: str,
    numbers: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """As `pinn_ext.residual_jacobian`; derivatives by x too are those of ``torch.func``."""
    num_layers = len(weights)

    def of_point(parameters: list[Tensor], point: Tensor) -> Tensor:
        layers, own = parameters[: 2 * num_layers], parameters[2 * num_layers :]

        def fields(at: Tensor) -> Tensor:
            return mlp(at[None], B, layers[::2], layers[1::2], activation)[0]

        slopes = jacrev(fields)(point)  # [c, d]
        streams = [fields(point), *(slopes[:, axis] for axis in spec.first)]
        if spec.has_laplacian:
            curvatures = jacrev(jacrev(fields))(point)  # [c, d, d]
            weighted = zip(spec.first, spec.laplacian_weights, strict=True)
            streams.append(sum(w * curvatures[:, a, a] for a, w in weighted if a in spec.laplacian))
        return residual(Jet(torch.stack(streams)[:, None], spec), *[number.reshape(1) for number in own])[0]

    parameters = [tensor for pair in zip(weights, biases, strict=True) for tensor in pair] + list(numbers)
    values = vmap(of_point, in_dims=(None, 0))(parameters, x)
    gradients = vmap(jacrev(of_point), in_dims=(None, 0))(parameters, x)
    return values, torch.cat([g.reshape(*values.shape, -1) for g in gradients], dim=2)
