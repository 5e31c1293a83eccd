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
    "base": numbers(24),
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
        _core.navier_stokes_loss(False, None, network=_core.Network(**NETWORK), **(LOSS | {name: numbers(length + 1)}))


def test_the_jet_and_its_gradient() -> None:
    network = _core.Network(**NETWORK)
    with pytest.raises(ValueError, match="out: expected 48 numbers, got 47"):
        _core.mlp_jet(False, None, network=network, out=numbers(47), workspace=None)
    backward = {"v_out": numbers(48), "gradient": numbers(59), "workspace": None, "want_B": True, "parts": 0}
    for name in ("v_out", "gradient"):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            _core.mlp_jet_backward(False, None, network=network, **(backward | {name: numbers(1)}))


def test_the_jacobian() -> None:
    network = _core.Network(**NETWORK)
    given: dict[str, Any] = {"v_out": numbers(96), "rows": numbers(4 * 2 * 54), "columns": 2, "stride": 54}
    for name in ("v_out", "rows"):
        with pytest.raises(ValueError, match=f"{name}: expected {given[name][1]} numbers, got 1"):
            _core.mlp_jacobian(False, None, network=network, **(given | {name: numbers(1)}))
    with pytest.raises(ValueError, match="stride: expected at least 53 numbers, got 52"):
        _core.mlp_jacobian(False, None, network=network, **(given | {"stride": 52}))


def test_the_residual() -> None:
    arrays = {"jet": numbers(48), "nu": numbers(4), "forcing": numbers(8), "out": numbers(12)}
    size = {"n": 4, "outputs": 3, "time_stream": False, "steady": True}
    for name, value in arrays.items():
        with pytest.raises(ValueError, match=f"{name}: expected"):
            _core.navier_stokes_residual(False, None, **(arrays | {name: numbers(value[1] + 1)}), **size)
    with pytest.raises(ValueError, match="outputs: expected 3 or 4, got 5"):
        _core.navier_stokes_residual(False, None, **arrays, **(size | {"outputs": 5}))


def test_the_breakage_residual() -> None:
    grid = {"g": 6, "weight": 3, "scale": 3, "step": 2, "log_tail": 2}
    forward = grid | {"g_t": 6, "rate": 3, "out": 6}
    backward = grid | {"v_out": 6, "v_g": 6, "v_log_tail": 2, "v_weight": 6, "v_scale": 6}
    for call, lengths in ((_core.breakage_residual, forward), (_core.breakage_residual_backward, backward)):
        arrays: dict[str, Any] = {name: numbers(count) for name, count in lengths.items()}
        for name, count in lengths.items():
            with pytest.raises(ValueError, match=f"{name}: expected {count} numbers, got {count + 1}"):
                call(False, None, **(arrays | {name: numbers(count + 1)}), times=2, nodes=3)
    with pytest.raises(ValueError, match="nodes: expected at least 1, got 0"):
        call(False, None, **arrays, times=2, nodes=0)


SIZES: dict[str, Any] = {"n": 4, "d": 2, "m": 3}
POINTS: dict[str, Any] = {"x": numbers(8), "B": numbers(6)}
JET: dict[str, Any] = {"count": 5, "streams": STREAMS, "activation": _core.Activation.__members__["tanh"]}
PIVOTS = _core.PivotSize(r=3, n=4, c=2, k=2, num_forced=1, num_regions=3, d=2, min_distance=0.1, tolerance=1e-6)
SKETCH: dict[str, Any] = {"kind": _core.SketchKind.gaussian, "seed": 1, "row_offset": 0, "accumulate": False}
ROWS: dict[str, Any] = {"r": 4, "n": 7, "stride": 7}
OPERATIONS: dict[str, dict[str, Any]] = {
    "fourier_features": {**POINTS, **SIZES, "out": numbers(24)},
    "fourier_features_backward": {**POINTS, **SIZES, "v_out": numbers(24), "v_x": numbers(8), "partials": numbers(6)},
    "fourier_features_second_order": {
        **POINTS,
        **SIZES,
        "g_x": numbers(8),
        "g_B": numbers(6),
        "v_out": numbers(24),
        "gg_v_out": numbers(24),
        "gg_x": numbers(8),
        "partials": numbers(6),
    },
    "fourier_jet": {**POINTS, **SIZES, "streams": STREAMS, "out": numbers(96)},
    "fourier_jet_backward": {
        **POINTS,
        **SIZES,
        "streams": STREAMS,
        "v_out": numbers(96),
        "v_x": numbers(8),
        "partials": numbers(6),
    },
    "activation_jet": {**JET, "z": numbers(20), "out": numbers(20)},
    "activation_jet_backward": {**JET, "v_out": numbers(20), "z": numbers(20), "v_z": numbers(20)},
    "pivoted_qr": {
        "size": PIVOTS,
        "a": numbers(24),
        "weight": numbers(4),
        "cost": numbers(4),
        "forbidden": numbers(4),
        "forced": numbers(1),
        "position": numbers(8),
        "region": numbers(4),
        "quota": numbers(3),
        "pivot": numbers(2),
        "r_diagonal": numbers(2),
        "report": numbers(3),
        "workspace": None,
    },
    "sketch_rows": {**SKETCH, **ROWS, "num_rows": 3, "a": numbers(28), "out": numbers(21), "workspace": None},
    "row_gram": {
        **ROWS,
        "in_double": False,
        "a": numbers(28),
        "gram": numbers(16),
        "mean": numbers(7),
        "along_mean": numbers(4),
        "mean_square": numbers(1),
    },
    "normal_matrix": {
        "a": numbers(28),
        "out": numbers(49),
        "rows": 4,
        "p": 7,
        "row_stride": 7,
        "column_stride": 1,
        "in_single": True,
        "accumulate": False,
    },
    "project_rows": {
        **ROWS,
        "num_out": 2,
        "a": numbers(28),
        "rotation": numbers(8),
        "mean": numbers(7),
        "out": numbers(14),
    },
}
OPTIONAL = {"v_x", "weight", "cost", "forbidden", "position", "region", "quota", "mean"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_other_operation(name: str) -> None:
    """One number too many, one too few, or no array at all; the right lengths alone would be read."""
    arguments = OPERATIONS[name]
    arrays = [argument for argument, value in arguments.items() if isinstance(value, tuple)]
    assert arrays
    for argument in arrays:
        length = arguments[argument][1]
        for wrong in (length - 1, length + 1):
            with pytest.raises(ValueError, match=f"{argument}: expected {length} numbers, got {wrong}"):
                getattr(_core, name)(False, None, **(arguments | {argument: numbers(wrong)}))
        if argument not in OPTIONAL:
            with pytest.raises(ValueError, match=f"{argument}: expected {length} numbers, got none"):
                getattr(_core, name)(False, None, **(arguments | {argument: None}))
