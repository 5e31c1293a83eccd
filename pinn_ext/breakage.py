"""The residual of the breakage population balance in log space, on a grid of times and volumes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import as_tensor, check_same, check_tensor, describe
from pinn_ext._impl.operator import array, launch_place, register_operator

__all__ = ["breakage_residual"]


def breakage_residual(
    g: Tensor,
    g_t: Tensor,
    v: Tensor,
    S: Tensor,
    *,
    daughter: float | Tensor = 0.0,
    tail: Tensor | Literal["exponential"] | None = None,
) -> Tensor:
    """``g_t + S(v) - int_v^inf beta(v, v') S(v') exp(g(v') - g(v)) dv'`` with ``beta = (c + 2) v^c / v'^(c + 1)``.

    Between nodes ``g`` and ``S / v^(c + 1)`` are linear in v, and each piece is integrated exactly: the error is of
    second order in the spacing, and none where both are linear. The tail is one scan for each time.

    Args:
        g: log of the number density f, ``[times, nodes]``, float32 or float64.
        g_t: its time derivative, ``[times, nodes]``.
        v: volumes of the nodes, ``[nodes]``, positive and ascending; neither is checked, as this would synchronise.
        S: breakage rate at the nodes, ``[nodes]``, one over the unit of time; zero below a threshold, for example.
        daughter: the exponent c > -2 of the daughters, a number or a tensor of one number; 0 is uniform, 2 / v'. For a
            sum of such powers the births ``g_t + S - residual`` add up.
        tail: what breaks beyond the last node. None: nothing. A tensor ``[times]``: the log of
            ``int S / v^(c + 1) f dv`` from there on. ``"exponential"``: g continues along the last piece, and the
            weight too unless it falls; where g does not fall the integral, and so the residual, is infinite.

    Returns:
        The residual ``[times, nodes]``, in one over the unit of time. Differentiable once in ``g``, ``g_t``, ``S``,
        ``daughter`` and ``tail``. It is not finite where g is not, or where f rises beyond the range of its dtype.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; a ``v`` that requires a gradient.
    """
    check_tensor("g", g, ("times", "nodes"))
    times, nodes = g.shape
    if nodes < 1:
        raise ValueError(f"g: expected at least 1 node, got {describe(g)}")
    for name, value, shape in (("g_t", g_t, (times, nodes)), ("v", v, (nodes,)), ("S", S, (nodes,))):
        check_tensor(name, value, shape)
        check_same(name, value, "g", g)
    if v.requires_grad:
        raise ValueError("v: expected volumes without requires_grad, got requires_grad=True")
    exponent = _exponent(daughter, g)
    step, power = v.diff(), v**exponent
    weight, scale = S / (v * power), (exponent + 2.0) * power
    log_tail = _log_tail(tail, g, weight, step)
    return _breakage_residual(g, g_t, S, weight, scale, step, log_tail)  # type: ignore[no-any-return]


def _exponent(daughter: float | Tensor, g: Tensor) -> float | Tensor:
    if isinstance(daughter, Tensor):
        exponent = as_tensor("daughter", daughter, "g", g)
        if exponent.numel() != 1 or exponent.dim() > 1:
            raise ValueError(f"daughter: expected a number or shape [] or [1], got {describe(daughter)}")
        return exponent
    if isinstance(daughter, bool) or not isinstance(daughter, int | float):
        raise TypeError(f"daughter: expected a number or a tensor of one number, got {describe(daughter)}")
    if not daughter > -2.0:
        raise ValueError(f"daughter: expected an exponent above -2, got {daughter}")
    return float(daughter)


def _log_tail(tail: Tensor | str | None, g: Tensor, weight: Tensor, step: Tensor) -> Tensor | None:
    if tail is None:
        return None
    if isinstance(tail, Tensor):
        check_tensor("tail", tail, (g.shape[0],))
        check_same("tail", tail, "g", g)
        return tail
    if tail != "exponential":
        raise ValueError(f"tail: expected a tensor, 'exponential' or None, got {describe(tail)}")
    if g.shape[1] < 2:
        raise ValueError(f"tail: expected at least 2 nodes for 'exponential', got {describe(g)}")
    fall = (g[:, -2] - g[:, -1]) / step[-1]
    falls = fall > 0.0
    fall = torch.where(falls, fall, 1.0)
    rise = ((weight[-1] - weight[-2]) / step[-1]).clamp(min=0.0)
    return torch.where(falls, g[:, -1] + torch.log((weight[-1] + rise / fall) / fall), torch.inf)


def breakage_residual_kernel(
    g: Tensor, g_t: Tensor, rate: Tensor, weight: Tensor, scale: Tensor, step: Tensor, log_tail: Tensor | None
) -> Tensor:
    g, g_t, rate, weight, scale, step = (t.contiguous() for t in (g, g_t, rate, weight, scale, step))
    log_tail = None if log_tail is None else log_tail.contiguous()
    out = g.new_empty(g.shape)
    with launch_place(g) as place:
        _core.breakage_residual(
            *place,
            g=array(g),
            g_t=array(g_t),
            rate=array(rate),
            weight=array(weight),
            scale=array(scale),
            step=array(step),
            log_tail=array(log_tail),
            out=array(out),
            times=g.shape[0],
            nodes=g.shape[1],
        )
    return out


def _fake(g: Tensor, *others: Any) -> Tensor:
    return g.new_empty(g.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    g, _, _, weight, scale, step, log_tail = inputs
    ctx.save_for_backward(g, weight, scale, step, log_tail)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Tensor | None, ...]:
    g, weight, scale, step, log_tail = ctx.saved_tensors
    want = ctx.needs_input_grad
    want_weight = want[3] or want[4]
    v_g, v_tail, v_weight, v_scale = _breakage_residual_backward(v_out, g, weight, scale, step, log_tail, want_weight)
    return (
        v_g,
        v_out,
        v_out.sum(0) if want[2] else None,
        v_weight.sum(0) if want[3] else None,
        v_scale.sum(0) if want[4] else None,
        None,
        v_tail if want[6] else None,
    )


def breakage_residual_backward_kernel(
    v_out: Tensor,
    g: Tensor,
    weight: Tensor,
    scale: Tensor,
    step: Tensor,
    log_tail: Tensor | None,
    want_weight: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    v_out, g, weight, scale, step = (t.contiguous() for t in (v_out, g, weight, scale, step))
    log_tail = None if log_tail is None else log_tail.contiguous()
    results = _backward_fake(v_out, g, weight, scale, step, log_tail, want_weight)
    v_g, v_tail, v_weight, v_scale = results
    with launch_place(g) as place:
        _core.breakage_residual_backward(
            *place,
            v_out=array(v_out),
            g=array(g),
            weight=array(weight),
            scale=array(scale),
            step=array(step),
            log_tail=array(log_tail),
            v_g=array(v_g),
            v_log_tail=None if log_tail is None else array(v_tail),
            v_weight=array(v_weight) if want_weight else None,
            v_scale=array(v_scale) if want_weight else None,
            times=g.shape[0],
            nodes=g.shape[1],
        )
    return results


def _backward_fake(
    v_out: Tensor,
    g: Tensor,
    weight: Tensor,
    scale: Tensor,
    step: Tensor,
    log_tail: Tensor | None,
    want_weight: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # Per time, to be summed by torch, whose sums have a fixed order on either device.
    per_time = g.shape if want_weight else (0, 0)
    v_tail = g.new_empty(0 if log_tail is None else g.shape[0])
    return g.new_empty(g.shape), v_tail, g.new_empty(per_time), g.new_empty(per_time)


_breakage_residual = register_operator(
    "breakage_residual(Tensor g, Tensor g_t, Tensor rate, Tensor weight, Tensor scale, Tensor step, Tensor? log_tail) "
    "-> Tensor",
    breakage_residual_kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
_breakage_residual_backward = register_operator(
    "breakage_residual_backward(Tensor v_out, Tensor g, Tensor weight, Tensor scale, Tensor step, Tensor? log_tail, "
    "bool want_weight) -> (Tensor, Tensor, Tensor, Tensor)",
    breakage_residual_backward_kernel,
    _backward_fake,
)
