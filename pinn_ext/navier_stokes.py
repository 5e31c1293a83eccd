"""The residual of the incompressible Navier-Stokes equations, on a jet of (u, v[, w], p)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import as_tensor, check_not_negative, check_tensor, describe
from pinn_ext._impl.operator import array, launch_place, register_operator
from pinn_ext.jet import Jet, JetSpec

__all__ = ["navier_stokes_residual"]


def navier_stokes_residual(
    jet: Jet,
    nu: float | Tensor,
    *,
    forcing: Tensor | Sequence[float] | None = None,
    steady: bool | None = None,
) -> Tensor:
    """``du/dt + (u . grad) u + grad p - nu lap u - f`` and ``div u`` at every point.

    Args:
        jet: ``[s, n, d + 1]`` with the columns u, v[, w], p, d = 2 or 3; p is kinematic (divided by the density).
            Its ``spec`` has the spatial coordinates in ``laplacian``, with unit weights, and the same, after the time
            where there is one, in ``first``: ``JetSpec((0, 1, 2), (1, 2))`` for (t, x, y).
        nu: kinematic viscosity: a number >= 0, a tensor of shape ``[]`` or ``[1]`` (learnable), or ``[n]`` (per
            point). The numbers of a tensor are not looked at, as that would wait for the GPU.
        forcing: body force per unit mass, ``[n, d]``, ``[d]`` or d numbers; None: none.
        steady: leave the time derivative out. None: steady unless the jet has a time stream.

    Returns:
        ``[n, d + 1]`` with the columns momentum_x, momentum_y[, momentum_z], continuity. Differentiable once in the
        jet, ``nu`` and ``forcing``.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; a number ``nu`` that is negative or not finite; a
            spec that does not carry what the equations need.
    """
    data = jet.data
    check_tensor("jet.data", data, ("s", "n", "d + 1"))
    # A plain number also where torch.compile traces the sizes as symbols.
    dim = next((k for k in (2, 3) if data.shape[2] == k + 1), 0)
    if dim == 0:
        raise ValueError(f"jet.data: expected 3 columns (u, v, p) or 4 (u, v, w, p), got {describe(data)}")
    nu, forcing, steady = check_flow(
        jet.spec, dim + 1, data.shape[1], nu, forcing, steady, "jet.spec", "jet.data", data
    )
    has_time = len(jet.spec.first) == dim + 1
    return _navier_stokes_residual(data, nu, forcing, has_time, steady)  # type: ignore[no-any-return]


def check_flow(
    spec: JetSpec,
    outputs: int,
    n: int,
    nu: float | Tensor,
    forcing: Tensor | Sequence[float] | None,
    steady: bool | None,
    spec_name: str,
    like_name: str,
    like: Tensor,
) -> tuple[Tensor, Tensor | None, bool]:
    """The viscosity and the forcing as tensors, and whether the time derivative is left out; raises where one is wrong.

    Args:
        spec: must carry what the equations need.
        outputs: columns of the jet: u, v[, w], p.
        n: points.
        nu: as for `navier_stokes_residual`.
        forcing: as for `navier_stokes_residual`.
        steady: as for `navier_stokes_residual`.
        spec_name: name of ``spec``, for the messages.
        like_name: name of ``like``, for the messages.
        like: the jet or the points, for dtype and device.
    """
    # A plain number also where torch.compile traces the sizes as symbols.
    dim = next((k for k in (2, 3) if outputs == k + 1), 0)
    if dim == 0:
        raise ValueError(f"weights[-1]: expected 3 outputs (u, v, p) or 4 (u, v, w, p), got {outputs}")
    has_time = _check_spec(spec_name, spec, dim)
    if steady is None:
        steady = not has_time
    elif not isinstance(steady, bool):
        raise TypeError(f"steady: expected True, False or None, got {describe(steady)}")
    elif not steady and not has_time:
        raise ValueError(f"steady: expected True for a jet without a time derivative ({spec}), got False")
    check_not_negative("nu", nu)
    nu = as_tensor("nu", nu, like_name, like)
    if nu.dim() > 1 or (nu.dim() == 1 and nu.shape[0] not in (1, n)):
        raise ValueError(f"nu: expected a number or shape [], [1] or [{n}], got {describe(nu)}")
    if forcing is not None:
        forcing = as_tensor("forcing", forcing, like_name, like)
        if list(forcing.shape) not in ([dim], [n, dim]):
            raise ValueError(f"forcing: expected shape [{dim}] or [{n}, {dim}], got {describe(forcing)}")
    return nu, forcing, steady


def _check_spec(name: str, spec: JetSpec, dim: int) -> bool:
    """Whether the jet has a time derivative; raises unless it has what the equations need."""
    space = spec.first[-dim:]
    fits = len(spec.first) in (dim, dim + 1) and spec.laplacian == space
    if not fits or any(w != 1.0 for w in spec.weights or ()):
        raise ValueError(
            f"{name}: expected first=([time,] {dim} spatial coordinates) and laplacian=the same spatial "
            f"coordinates with unit weights, got {spec}"
        )
    return len(spec.first) == dim + 1


def navier_stokes_residual_kernel(
    data: Tensor, nu: Tensor, forcing: Tensor | None, has_time: bool, steady: bool
) -> Tensor:
    data, nu = data.contiguous(), nu.contiguous()
    forcing = None if forcing is None else forcing.contiguous()
    out = data.new_empty(data.shape[1:])
    with launch_place(data) as place:
        _core.navier_stokes_residual(
            *place,
            jet=array(data),
            nu=array(nu),
            forcing=array(forcing),
            out=array(out),
            n=data.shape[1],
            outputs=data.shape[2],
            time_stream=has_time,
            steady=steady,
        )
    return out


def _fake(data: Tensor, nu: Tensor, forcing: Tensor | None, has_time: bool, steady: bool) -> Tensor:
    return data.new_empty(data.shape[1:])


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    data, nu, forcing, ctx.has_time, ctx.steady = inputs
    ctx.forcing_rank = 0 if forcing is None else forcing.dim()
    ctx.save_for_backward(data, nu)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Tensor | None, ...]:
    data, nu = ctx.saved_tensors
    want_nu, want_forcing = ctx.needs_input_grad[1:3]
    v_data, v_nu = _navier_stokes_residual_backward(v_out, data, nu, ctx.has_time, ctx.steady, want_nu)
    v_forcing = None
    if want_forcing:
        v_forcing = -v_out[:, :-1] if ctx.forcing_rank == 2 else -v_out[:, :-1].sum(0)
    return v_data, v_nu if want_nu else None, v_forcing, None, None


def navier_stokes_residual_backward_kernel(
    v_out: Tensor, data: Tensor, nu: Tensor, has_time: bool, steady: bool, want_nu: bool
) -> tuple[Tensor, Tensor]:
    v_out, data, nu = v_out.contiguous(), data.contiguous(), nu.contiguous()
    v_data = torch.empty_like(data)
    v_nu = data.new_empty(data.shape[1]) if want_nu else None
    with launch_place(data) as place:
        _core.navier_stokes_residual_backward(
            *place,
            v_out=array(v_out),
            jet=array(data),
            nu=array(nu),
            v_jet=array(v_data),
            v_nu=array(v_nu),
            n=data.shape[1],
            outputs=data.shape[2],
            time_stream=has_time,
            steady=steady,
        )
    if v_nu is None:
        return v_data, data.new_empty(0)
    # One number for all points: torch's sum has a fixed order on either device.
    return v_data, v_nu if v_nu.shape == nu.shape else v_nu.sum().reshape(nu.shape)


def _backward_fake(
    v_out: Tensor, data: Tensor, nu: Tensor, has_time: bool, steady: bool, want_nu: bool
) -> tuple[Tensor, Tensor]:
    return data.new_empty(data.shape), nu.new_empty(nu.shape if want_nu else (0,))


_navier_stokes_residual = register_operator(
    "navier_stokes_residual(Tensor data, Tensor nu, Tensor? forcing, bool has_time, bool steady) -> Tensor",
    navier_stokes_residual_kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
_navier_stokes_residual_backward = register_operator(
    "navier_stokes_residual_backward(Tensor v_out, Tensor data, Tensor nu, bool has_time, bool steady, "
    "bool want_nu) -> (Tensor, Tensor)",
    navier_stokes_residual_backward_kernel,
    _backward_fake,
)
