"""Products in fewer bits: which numbers are rounded, in every product of a network, and IEEE float32 unless asked.

The oracle multiplies rounded operands in float64, where their products are exact.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from cases import SPECS, normal, relative_error
from tolerances import kernel_float32
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, activation_jet, linear_jet, mlp_jet
from pinn_ext._impl import product as products_module
from pinn_ext._impl.product import CHOOSES, product

SPEC = SPECS["unsteady2d"]
ROUNDED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# Half a unit in the last place of an operand.
UNIT = {"bfloat16": 2.0**-9, "float16": 2.0**-12, "tf32": 2.0**-12}

pytestmark = pytest.mark.skipif(not CHOOSES, reason=f"torch {torch.__version__} has no choice of products (2.9 has)")


@pytest.fixture(params=["in hardware", "by a cast"])
def rounding(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations; on a CPU without bfloat16 they are one."""
    if request.param == "by a cast":
        monkeypatch.setattr(products_module, "hardware_products", tuple)


def draw(seed: int, *shape: int) -> Tensor:
    return normal(torch.Generator().manual_seed(seed), *shape).float()


def rounded(tensor: Tensor, precision: str) -> Tensor:
    return tensor.to(ROUNDED[precision]).double()


@pytest.mark.usefixtures("rounding")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_operands_are_rounded_and_sums_are_not(precision: str) -> None:
    a, b = draw(1, 300, 64), draw(2, 64, 32)
    wanted = rounded(a, precision) @ rounded(b, precision)
    bound = kernel_float32(64, 1.0)
    assert relative_error(product(a, b, precision), wanted) <= bound
    assert relative_error(product(a, b), wanted) > 10 * bound, "IEEE is something else"
    out, start = draw(3, 300, 32), draw(3, 300, 32)
    assert relative_error(product(a, b, precision, out=out, add=True), start + wanted) <= bound
    assert relative_error(product(a, b, precision, out=out), wanted) <= bound
    assert relative_error(out, wanted) <= bound


@pytest.mark.usefixtures("rounding")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_forward_and_backward_of_a_layer(precision: str) -> None:
    data, weight, bias = draw(1, SPEC.num_streams, 64, 32), draw(2, 48, 32), draw(3, 48)
    leaves = [t.clone().requires_grad_(True) for t in (data, weight, bias)]
    out = linear_jet(Jet(leaves[0], SPEC), *leaves[1:], products=precision).data
    cotangent = draw(4, *out.shape)
    gradients = torch.autograd.grad(out, leaves, cotangent)
    x, w, v = (rounded(t, precision) for t in (data, weight, cotangent))
    value = x @ w.T
    value[0] += bias
    rows = v.flatten(0, 1)
    wanted = value, v @ w, rows.T @ x.flatten(0, 1), cotangent[0].double().sum(0)
    for got, oracle in zip((out, *gradients), wanted, strict=True):
        assert relative_error(got, oracle) <= kernel_float32(len(rows), 1.0)


def network(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [32, 64, 64, 3]
    tensors = [normal(generator, 64, 3), normal(generator, 3, 16)]
    for fan_in, fan_out in pairwise(sizes):
        tensors += [fan_in**-0.5 * normal(generator, fan_out, fan_in), 0.1 * normal(generator, fan_out)]
    return [t.float() for t in tensors]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_network_is_its_layers(precision: str) -> None:
    """The same products in ``mlp_jet`` as layer by layer, forward and backward."""
    x, B, *parameters = network(5)
    parameters = [p.requires_grad_(True) for p in parameters]

    def by_layers() -> Tensor:
        jet = pinn_ext.fourier_jet(x, B, SPEC)
        for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            jet = activation_jet(linear_jet(jet, weight, bias, products=precision), "tanh")
        return linear_jet(jet, *parameters[-2:], products=precision).data

    whole = mlp_jet(x, B, parameters[::2], parameters[1::2], SPEC, "tanh", products=precision).data
    cotangent = draw(6, *whole.shape)
    found, wanted = ([out, *torch.autograd.grad(out, parameters, cotangent)] for out in (whole, by_layers()))
    exact = mlp_jet(x, B, parameters[::2], parameters[1::2], SPEC, "tanh").data
    exact = [exact, *torch.autograd.grad(exact, parameters, cotangent)]
    for got, layers in zip(found, wanted, strict=True):
        # Sums may come in another order; where that changes a sum's last bit, the next rounding may change one of its.
        assert relative_error(got, layers.double()) <= UNIT[precision]
    for got, ieee in zip(found[:-1], exact[:-1], strict=True):  # the last bias enters no product
        assert UNIT[precision] / 100 < relative_error(got, ieee.double()) < 50 * UNIT[precision]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_fused_loss_takes_it_too(precision: str) -> None:
    x, B, *parameters = network(7)
    parameters = [p.requires_grad_(True) for p in parameters]

    def gradient(products: Any) -> Tensor:
        total, terms = pinn_ext.navier_stokes_loss(
            x, B, parameters[::2], parameters[1::2], 0.1, spec=SPEC, activation="tanh", term_weights=[1.0, 2.0, 3.0],
            products=products,
        )  # fmt: skip
        jet = mlp_jet(x, B, parameters[::2], parameters[1::2], SPEC, "tanh", products=products)
        squares = pinn_ext.navier_stokes_residual(jet, 0.1).square().mean(0)
        assert relative_error(terms, squares.detach().double()) < 10 * UNIT["bfloat16"] ** 2
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(total, parameters)])

    error = relative_error(gradient(precision), gradient("ieee").double())
    assert UNIT[precision] / 100 < error < 50 * UNIT[precision]


def test_what_overflows_float16_is_not_finite() -> None:
    big = torch.full((64, 64), 1e5)
    assert torch.isinf(product(big, big, "float16")).all()
    assert torch.isfinite(product(big, big, "bfloat16")).all()


@pytest.mark.parametrize("setting", ["bf16", "ieee", "none"])
def test_ieee_whatever_torch_is_set_to(setting: str) -> None:
    a, b = draw(1, 300, 64), draw(2, 64, 32)
    wanted = product(a, b)
    backend = torch.backends.mkldnn.matmul
    before = backend.fp32_precision
    backend.fp32_precision = setting
    try:
        assert torch.equal(product(a, b), wanted)
        acts = not torch.equal(torch.mm(a, b), wanted)
        assert acts == (setting == "bf16" and "bfloat16" in pinn_ext.hardware_products())
        product(a, b, "bfloat16")
        assert backend.fp32_precision == setting, "put back"
    finally:
        backend.fp32_precision = before


def test_what_cannot_be() -> None:
    x, B, *parameters = network(8)
    layers = parameters[::2], parameters[1::2]
    with pytest.raises(ValueError, match=r"^products: expected one of ieee, tf32, bfloat16, float16, got 'half'$"):
        mlp_jet(x, B, *layers, SPEC, "tanh", products="half")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"^products: expected tensors on CUDA for tf32, got \[64, 3\] float32 on cpu$"
    ):
        mlp_jet(x, B, *layers, SPEC, "tanh", products="tf32")
    with pytest.raises(ValueError, match=r"^products: expected ieee for tensors that are not float32, got bfloat16$"):
        linear_jet(Jet(draw(1, SPEC.num_streams, 4, 3).double(), SPEC), draw(2, 4, 3).double(), products="bfloat16")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["ieee", "tf32", "bfloat16", "float16"])
def test_cuda_products(precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device (torch.cuda.is_available() is False)")
    a, b = draw(1, 512, 256).cuda(), draw(2, 256, 128).cuda()
    exact = a.double() @ b.double()
    error = relative_error(product(a, b, precision), exact)
    unit = UNIT.get(precision, 2.0**-24)
    assert unit / 100 < error < 4 * unit
    out = torch.ones_like(a[:, :128])
    assert relative_error(product(a, b, precision, out=out, add=True), exact + 1) < 4 * unit
