"""A plane velocity whose divergence is zero by its form: the curl of a stream function.

    u = a + psi_y,   v = b - psi_x,   p = h - |u|^2 / 2 - u . u_b

A network gives the stream function psi, the vorticity omega, the head h, and in unsteady flows the rate chi = psi_t.
Its jet has no derivative of psi above the Laplacian, so equations are trained on omega and chi
(`pinnx.physics.stream_function_equations`). Fields and derivatives that users and checks see are those of psi alone;
the second and third derivatives come from autograd. The numbers a and b are the mean velocity across periodic axes,
where psi repeats; u_b is a fixed field that is added, by its values.

Source: Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378, 2019, section 4.1.1 (a network of psi and p).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.added_field import FixedField
from pinnx.models.field_model import FieldModel, StatedEquations
from pinnx.models.fourier_network import FourierNetwork

__all__ = ["StreamFunction"]

# What an output of one is: psi and its rate are a velocity times a part of the length. The demo after 400 steps: error
# 0.084 with 0.1, 0.095 with 0.3, 0.38 with 0.03. A power of two is the same number in float32 and float64.
PSI_UNIT = 0.125


class StreamFunction(FieldModel):
    """The fields (u, v, p) of a network of psi, omega, h and, with a time, chi.

    Args:
        network: of three outputs, in steady flows, or four; dimensionless, one in its scales of fields.
        field_scales: Y, [3], of u, v, p.
        periodic: columns of the inputs along which the network repeats itself.
        field: what is added, a module that is a `FixedField`; None: nothing.

    Attributes:
        plane: columns of x and y.

    Raises:
        PinnxError: inputs that are not (x, y) or (t, x, y); another number of outputs.
    """

    def __init__(
        self,
        network: FourierNetwork,
        *,
        field_scales: ArrayLike,
        periodic: Collection[int] = (),
        field: nn.Module | None = None,
    ) -> None:
        d, outputs = len(network.origin), len(network.field_scales)
        if d not in (2, 3) or outputs != d + 1:
            raise PinnxError(
                "stream function: expected a network from (x, y) to 3 outputs, or from (t, x, y) to 4, "
                f"got {d} inputs and {outputs} outputs"
            )
        scales = {"coordinate_scales": network.coordinate_scales, "field_scales": field_scales}
        super().__init__(d, 3, origin=network.origin, **scales)
        self.network, self.field = network, field
        self.thread_invariant = network.thread_invariant
        self.plane = (d - 2, d - 1)
        crossed = [float(column in periodic) for column in reversed(self.plane)]  # u crosses a period in y, v in x
        like = network.frequencies
        self.register_buffer("_crossed", torch.tensor(crossed).to(like), persistent=False)
        self.register_buffer(
            "_units", torch.tensor([PSI_UNIT, 1.0, 1.0, PSI_UNIT][:outputs]).to(like), persistent=False
        )
        self.mean = nn.Parameter(torch.zeros(2).to(like)) if any(crossed) else None

    @property
    def frequencies(self) -> Tensor:  # type: ignore[override]
        """Those of the network."""
        return self.network.frequencies

    def outputs(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """The jet of (psi, omega, h[, chi]) at inputs [n, d], by the fused operations."""
        return pinn_ext.Jet(self.network.jet(x, spec).data * self._units, spec)

    def velocity(self, psi_x: Tensor, psi_y: Tensor) -> tuple[Tensor, Tensor]:
        """u and v without the fixed field, each [n]."""
        if self.mean is None:
            return psi_y, -psi_x
        a, b = (self.mean * self._crossed).unbind()
        return a + psi_y, b - psi_x

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """As `FieldModel.jet`; with derivatives by autograd, and u_x and v_y are one number.

        Raises:
            PinnxError: inputs of another shape or dtype; a Laplacian other than that of x and y.
        """
        x = self._checked(x)
        if spec.has_laplacian and (set(spec.laplacian) != set(self.plane) or set(spec.weights or (1.0,)) != {1.0}):
            raise PinnxError(f"stream function: expected the Laplacian in x and y, got {spec}")
        data = self._derivatives(x, spec) if spec.first else self._values(x)
        fixed = self._fixed(x, spec)
        return pinn_ext.Jet(data if fixed is None else data + fixed.data, spec)

    def equations_loss(self, equations: StatedEquations, x: Tensor, weights: Tensor, **options: Any) -> Any:
        """As `FieldModel.equations_loss`, from the outputs of the network."""
        return equations.network_loss(self, self._checked(x), weights, **options)

    def _values(self, x: Tensor) -> Tensor:
        """u, v and p without the fixed field's own, [1, n, 3], from first derivatives of psi."""
        outputs = self.outputs(x, pinn_ext.JetSpec(first=self.plane))
        u, v = self.velocity(*outputs.first[..., 0])
        return torch.stack([u, v, self._pressure(outputs.value[:, 2], u, v, x)], dim=-1)[None]

    def _pressure(self, head: Tensor, u: Tensor, v: Tensor, x: Tensor) -> Tensor:
        fixed = self._fixed(x, pinn_ext.JetSpec())
        if fixed is None:
            return head - (u * u + v * v) / 2
        u_b, v_b, _ = fixed.value.unbind(1)
        return head - u * (u / 2 + u_b) - v * (v / 2 + v_b)

    def _fixed(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet | None:
        field: FixedField | None = self.field  # type: ignore[assignment]
        return None if field is None else field.jet(x, spec)

    def _derivatives(self, x: Tensor, spec: pinn_ext.JetSpec) -> Tensor:
        """The jet without the fixed field's own, [s, n, 3]; it has a graph where one is wanted."""
        x_axis, y_axis = self.plane
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            psi, _, head, *_ = (self.network(x) * self._units).unbind(1)
            psi_x, psi_y = _gradient(psi, x)[:, x_axis:].unbind(1)
            u, v = self.velocity(psi_x, psi_y)
            p = self._pressure(head, u, v, x)
            of_x, of_y, of_p = _gradient(psi_x, x), _gradient(psi_y, x), _gradient(p, x)
            slopes = {i: [of_y[:, i], -of_x[:, i], of_p[:, i]] for i in range(x.shape[1])}
            slopes[y_axis][1] = -slopes[x_axis][0]  # the same mixed derivative, to the bit
            streams = [[u, v, p], *(slopes[i] for i in spec.first)]
            if spec.has_laplacian:
                turned = _gradient(of_x[:, x_axis] + of_y[:, y_axis], x)
                bent = _gradient(of_p[:, x_axis], x)[:, x_axis] + _gradient(of_p[:, y_axis], x)[:, y_axis]
                streams.append([turned[:, y_axis], -turned[:, x_axis], bent])
            data = torch.stack([torch.stack(columns, dim=-1) for columns in streams])
        return data if wanted else data.detach()


def _gradient(values: Tensor, x: Tensor) -> Tensor:
    """Of [n] values by the inputs of each point, [n, d], with a graph."""
    (found,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    return found
