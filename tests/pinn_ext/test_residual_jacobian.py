"""The Jacobian of a residual: the oracle's, rows that add up to the gradient, the composed pass, threads, messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from agreement import every_device
from cases import SPECS, network_inputs, normal, relative_error, uniform
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, reference
from pinn_ext._impl import composed


def heat(jet: Jet, conductivity: Tensor, source: Tensor) -> Tensor:
    """Of one output: a learned factor and a learned summand."""
    return jet.first[0] - conductivity[:, None] * jet.laplacian - source[:, None] * jet.value.sin()


@dataclass(frozen=True)
class Use:
    """A residual on a network; ``widths`` = (m, hidden widths ..., outputs)."""

    spec: str
    activation: str
    widths: tuple[int, ...]
    residual: str  # navier_stokes, heat or values
    numbers: int = 0

    def of(self, functions: Any) -> Callable[..., Tensor]:
        """With the residuals of the kernels or of the oracle."""
        if self.residual == "values":
            return lambda jet: 2.0 * jet.value[:, :2] - 1.0
        return heat if self.residual == "heat" else functions.navier_stokes_residual  # type: ignore[no-any-return]


# Widths around a vector of 2 to 16 numbers and a panel of two; frequencies that fill no vector; one layer alone.
USES = [
    Use("steady2d", "tanh", (16, 32, 32, 3), "navier_stokes", 1),
    Use("unsteady2d", "sine", (5, 20, 37, 3), "navier_stokes", 1),
    Use("unsteady3d", "gelu", (9, 7, 4), "navier_stokes", 1),
    Use("weighted", "silu", (17, 33, 1), "heat", 2),
    Use("value", "tanh", (3, 1, 2, 3), "values"),
    Use("steady2d", "tanh", (4, 3), "navier_stokes", 1),
]


def arguments(use: Use, n: int, dtype: torch.dtype = torch.float64, device: str = "cpu", seed: int = 3) -> list[Any]:
    """``x, B, weights, biases``, and the unknown numbers."""
    print(f"{use}: n={n} seed={seed} {dtype}")
    g = torch.Generator().manual_seed(seed)
    d = max(2, len(SPECS[use.spec].first))
    drawn = [uniform(g, n, d), *network_inputs(g, use.widths, d), *(0.6 + 0.3 * normal(g) for _ in range(use.numbers))]
    x, B, *rest = [t.to(dtype).to(device) for t in drawn]
    parameters, numbers = rest[: len(rest) - use.numbers], rest[len(rest) - use.numbers :]
    return [x, B, parameters[::2], parameters[1::2], numbers]


def jacobian(functions: Any, use: Use, given: list[Any], **options: Any) -> tuple[Tensor, Tensor]:
    *network, numbers = given
    described = {"spec": SPECS[use.spec], "activation": use.activation, "numbers": numbers, **options}
    return functions.residual_jacobian(use.of(functions), *network, **described)  # type: ignore[no-any-return]


def in_double(given: list[Any]) -> list[Any]:
    return [[t.double().cpu() for t in g] if isinstance(g, list) else g.double().cpu() for g in given]


@every_device
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n", [1, 43])  # 43 points: several tiles on every path, the last of them not full
@pytest.mark.parametrize("use", USES, ids=str)
def test_jacobian_is_that_of_the_oracle(use: Use, n: int, dtype: torch.dtype, device: str) -> None:
    given = arguments(use, n, dtype, device)
    wanted = jacobian(reference, use, in_double(given))
    phases = 1.0 + 6.3 * float((given[0].abs() @ given[1].abs()).max())
    bound = KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(10 * 2 * max(use.widths), phases)
    for got, oracle in zip(jacobian(pinn_ext, use, given), wanted, strict=True):
        assert got.dtype == dtype
        assert got.device.type == device
        assert relative_error(got, oracle) <= bound


@pytest.mark.parametrize("use", USES, ids=str)
def test_composed_rows_are_those_of_the_tiles(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves CUDA, in several chunks."""
    x, B, weights, biases, _ = given = arguments(use, 43)
    _, wanted = jacobian(pinn_ext, use, given)
    spec = SPECS[use.spec]
    columns = wanted.shape[1]
    parameters = [t for pair in zip(weights, biases, strict=True) for t in pair]
    cotangents = normal(torch.Generator().manual_seed(4), columns, spec.num_streams, 43, use.widths[-1])
    streams = spec.first, spec.laplacian_weights, spec.has_laplacian
    monkeypatch.setattr(composed, "MAX_NUMBERS", 4096)
    rows = torch.full((43, columns, sum(t.numel() for t in parameters)), torch.nan, dtype=torch.float64)
    composed.mlp_jacobian(cotangents, x, composed.Network(B, parameters, *streams, use.activation), rows)

    def weighed(jet: Jet) -> Tensor:
        return torch.einsum("csnq,snq->nc", cotangents, jet.data)

    _, tiles = pinn_ext.residual_jacobian(weighed, x, B, weights, biases, spec=spec, activation=use.activation)
    assert relative_error(rows, tiles) <= KERNEL_FLOAT64


def test_rows_add_up_to_the_gradient_of_the_loss() -> None:
    """Against the backward pass that training uses; a Jacobian of another viscosity does not."""
    use = USES[1]
    x, B, weights, biases, (nu,) = given = arguments(use, 130)
    values, rows = jacobian(pinn_ext, use, given)
    leaves = [t.requires_grad_() for pair in zip(weights, biases, strict=True) for t in pair] + [nu.requires_grad_()]
    jet = pinn_ext.mlp_jet(x, B, leaves[:-1:2], leaves[1:-1:2], SPECS[use.spec], "sine")
    loss = 0.5 * pinn_ext.navier_stokes_residual(jet, nu).square().sum()
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, leaves)])
    summed = torch.einsum("nc,ncp->p", values, rows)
    assert relative_error(summed, gradient) <= KERNEL_FLOAT64
    _, other = jacobian(pinn_ext, use, [*given[:4], [1.1 * nu]])
    assert relative_error(torch.einsum("nc,ncp->p", values, other), gradient) > 1e-3


def test_bits_do_not_depend_on_threads_nor_on_where_rows_are_written() -> None:
    use = USES[1]
    given = arguments(use, 700)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(jacobian(pinn_ext, use, given)[1])
    finally:
        torch.set_num_threads(threads)
    out = torch.full_like(found[0], torch.nan)
    strided = [given[0].T.contiguous().T, *given[1:2], [w.T.contiguous().T for w in given[2]], *given[3:]]
    assert not strided[0].is_contiguous()
    written = jacobian(pinn_ext, use, strided, out=out)[1]
    assert written.data_ptr() == out.data_ptr()
    assert all(torch.equal(found[0], other) for other in (*found[1:], out))


def test_no_points_give_no_rows() -> None:
    values, rows = jacobian(pinn_ext, USES[0], arguments(USES[0], 0))
    assert values.shape == (0, 3)
    assert rows.shape[:2] == (0, 3)


def test_what_carries_no_graph() -> None:
    values, rows = jacobian(pinn_ext, USES[0], arguments(USES[0], 2))
    assert not values.requires_grad
    assert not rows.requires_grad


def test_messages() -> None:
    use = USES[0]
    x, B, weights, biases, numbers = arguments(use, 5)
    options = {"spec": SPECS[use.spec], "activation": "tanh"}
    with pytest.raises(ValueError, match=r"residual: expected \[5, c\] with a graph to the jet, got .*\[5\]"):
        pinn_ext.residual_jacobian(lambda jet: jet.value[:, 0], x, B, weights, biases, **options)
    with pytest.raises(ValueError, match=r"residual: expected .* with a graph"):
        pinn_ext.residual_jacobian(lambda jet: jet.value.detach(), x, B, weights, biases, **options)
    with pytest.raises(ValueError, match="residual: expected at least one column"):
        pinn_ext.residual_jacobian(lambda jet: jet.value[:, :0], x, B, weights, biases, **options)
    with pytest.raises(ValueError, match=r"out: expected shape \[5, 3, \d+\]"):
        pinn_ext.residual_jacobian(lambda jet: jet.value, x, B, weights, biases, out=x, **options)
    wrong = torch.empty(5, 3, sum(t.numel() for t in (*weights, *biases)))
    with pytest.raises(ValueError, match=r"out: expected a contiguous tensor like x, got .* float32"):
        pinn_ext.residual_jacobian(lambda jet: jet.value, x, B, weights, biases, out=wrong, **options)
    with pytest.raises(ValueError, match="x: expected points without requires_grad"):
        pinn_ext.residual_jacobian(lambda jet: jet.value, x.requires_grad_(), B, weights, biases, **options)
    assert numbers
