"""What the compiled module says of arrays whose length is wrong: an error, and no write past an array."""

from __future__ import annotations

from typing import Any

import pytest

from pinn_ext import _core

STREAMS = _core.JetStreams([0, 1], [1.0, 1.0], True)
SHAPE = _core.MlpShape(
    n=4, d=2, m=3, widths=[6, 5, 3], streams=STREAMS, activation=_core.Activation.__members__["tanh"]
)


def numbers(count: int) -> tuple[int, int]:
    """An array nowhere: its length is checked before anything is read."""
    return 0, count


NETWORK: dict[str, Any] = {
    "x": numbers(8),
    "B": numbers(6),
    "parameters": [numbers(30), numbers(5), numbers(15), numbers(3)],
    "shape": SHAPE,
}
LOSS: dict[str, Any] = {
    "nu": numbers(1),
    "forcing": numbers(2),
    "steady": True,
    "term_weights": numbers(3),
    "point_weights": numbers(4),
    "count": 4.0,
    "total": numbers(1),
    "terms": numbers(3),
    "residual": numbers(12),
    "gradient": numbers(53 + 6 + 1),
    "workspace": None,
    "want_B": True,
    "want_nu": True,
    "parts": 0,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": numbers(9)}, "x: expected 8 numbers, got 9"),
        ({"B": None}, "B: expected 6 numbers, got none"),
        ({"parameters": NETWORK["parameters"][:3]}, "parameters: expected 4 arrays, got 3"),
        ({"parameters": NETWORK["parameters"] * 20}, "parameters: expected 4 arrays, got 80"),
        (
            {"parameters": [numbers(30), numbers(5), numbers(16), numbers(3)]},
            r"weight\[1\]: expected 15 numbers, got 16",
        ),
        ({"parameters": [numbers(30), numbers(4), numbers(15), numbers(3)]}, r"bias\[0\]: expected 5 numbers, got 4"),
    ],
)
def test_a_network(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Network(**(NETWORK | changes))


@pytest.mark.parametrize("name", [name for name, value in LOSS.items() if isinstance(value, tuple)])
def test_the_loss(name: str) -> None:
    length = LOSS[name][1]
    with pytest.raises(ValueError, match=f"{name}: expected .* got {length + 1}"):
        _core.navier_stokes_loss(False, None, _core.Network(**NETWORK), **(LOSS | {name: numbers(length + 1)}))


def test_the_jet_and_its_gradient() -> None:
    network = _core.Network(**NETWORK)
    with pytest.raises(ValueError, match="out: expected 48 numbers, got 47"):
        _core.mlp_jet(False, None, network, out=numbers(47), workspace=None)
    backward = {"v_out": numbers(48), "gradient": numbers(59), "workspace": None, "want_B": True, "parts": 0}
    for name in ("v_out", "gradient"):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            _core.mlp_jet_backward(False, None, network, **(backward | {name: numbers(1)}))


def test_the_residual() -> None:
    arrays = {"jet": numbers(48), "nu": numbers(4), "forcing": numbers(8), "out": numbers(12)}
    size = {"n": 4, "outputs": 3, "time_stream": False, "steady": True}
    for name, value in arrays.items():
        with pytest.raises(ValueError, match=f"{name}: expected"):
            _core.navier_stokes_residual(False, None, **(arrays | {name: numbers(value[1] + 1)}), **size)
    with pytest.raises(ValueError, match="outputs: expected 3 or 4, got 5"):
        _core.navier_stokes_residual(False, None, **arrays, **(size | {"outputs": 5}))
