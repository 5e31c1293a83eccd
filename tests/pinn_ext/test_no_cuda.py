"""A build without a CUDA compiler: an operation that is given a stream says how to rebuild."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pinn_ext
from pinn_ext import _core

pytestmark = pytest.mark.skipif(
    pinn_ext.build_info().cuda_version is not None, reason="this build has CUDA kernels, so nothing is refused"
)

STREAMS = _core.JetStreams([0, 1], [1.0, 1.0], True)
TANH = _core.Activation.__members__["tanh"]
NETWORK = _core.MlpShape(n=4, d=2, m=3, widths=[6, 5, 3], streams=STREAMS, activation=TANH)


def numbers(count: int) -> tuple[int, int]:
    """An array nowhere: its length is checked, nothing is read."""
    return 0, count


LAYERS = [numbers(30), numbers(5), numbers(15), numbers(3)]
WHOLE = _core.Network(numbers(8), numbers(6), LAYERS, NETWORK)
LOSS: dict[str, Any] = {
    "nu": numbers(1),
    "forcing": None,
    "base": None,
    "steady": True,
    "term_weights": numbers(3),
    "point_weights": None,
    "count": 4.0,
    "total": numbers(1),
    "terms": numbers(3),
    "residual": None,
    "gradient": None,
    "workspace": None,
    "want_B": False,
    "want_nu": False,
    "parts": 0,
}
FLOW: dict[str, Any] = {"n": 4, "outputs": 3, "time_stream": False, "steady": True}
BALANCE: dict[str, Any] = {
    "g": numbers(6),
    "weight": numbers(3),
    "scale": numbers(3),
    "step": numbers(2),
    "log_tail": None,
    "times": 2,
    "nodes": 3,
}
PIVOTS = _core.PivotSize(r=3, n=4, c=1, k=2, num_forced=0, num_regions=0, d=0, min_distance=0.0, tolerance=1e-6)
POINTS: dict[str, Any] = {"x": numbers(8), "B": numbers(6)}
SIZES: dict[str, Any] = {"n": 4, "d": 2, "m": 3}
SUMS = numbers(6)
OPERATIONS: dict[str, Callable[[bool], None]] = {
    "fourier_features": lambda f: _core.fourier_features(f, 0, **POINTS, **SIZES, out=numbers(24)),
    "fourier_features_backward": lambda f: _core.fourier_features_backward(
        f, 0, **POINTS, **SIZES, v_out=numbers(24), v_x=numbers(8), partials=SUMS
    ),
    "fourier_features_second_order": lambda f: _core.fourier_features_second_order(
        f,
        0,
        **POINTS,
        **SIZES,
        g_x=numbers(8),
        g_B=numbers(6),
        v_out=numbers(24),
        gg_v_out=numbers(24),
        gg_x=numbers(8),
        partials=SUMS,
    ),
    "fourier_jet": lambda f: _core.fourier_jet(f, 0, **POINTS, **SIZES, out=numbers(96), streams=STREAMS),
    "fourier_jet_backward": lambda f: _core.fourier_jet_backward(
        f, 0, **POINTS, **SIZES, v_out=numbers(96), v_x=None, partials=SUMS, streams=STREAMS
    ),
    "activation_jet": lambda f: _core.activation_jet(
        f, 0, z=numbers(16), out=numbers(16), count=4, streams=STREAMS, activation=TANH
    ),
    "activation_jet_backward": lambda f: _core.activation_jet_backward(
        f, 0, v_out=numbers(16), z=numbers(16), v_z=numbers(16), count=4, streams=STREAMS, activation=TANH
    ),
    "navier_stokes_residual": lambda f: _core.navier_stokes_residual(
        f, 0, jet=numbers(48), nu=numbers(1), forcing=None, out=numbers(12), **FLOW
    ),
    "navier_stokes_residual_backward": lambda f: _core.navier_stokes_residual_backward(
        f, 0, v_out=numbers(12), jet=numbers(48), nu=numbers(1), v_jet=numbers(48), v_nu=None, **FLOW
    ),
    "breakage_residual": lambda f: _core.breakage_residual(
        f, 0, **BALANCE, g_t=numbers(6), rate=numbers(3), out=numbers(6)
    ),
    "breakage_residual_backward": lambda f: _core.breakage_residual_backward(
        f, 0, **BALANCE, v_out=numbers(6), v_g=numbers(6), v_log_tail=None, v_weight=None, v_scale=None
    ),
    "mlp_jet": lambda f: _core.mlp_jet(f, 0, network=WHOLE, out=numbers(48), workspace=None),
    "mlp_jet_backward": lambda f: _core.mlp_jet_backward(
        f, 0, network=WHOLE, v_out=numbers(48), gradient=numbers(53), workspace=None, want_B=False, parts=0
    ),
    "navier_stokes_loss": lambda f: _core.navier_stokes_loss(f, 0, network=WHOLE, **LOSS),
    "pivoted_qr": lambda f: _core.pivoted_qr(
        f,
        0,
        size=PIVOTS,
        a=numbers(12),
        weight=None,
        cost=None,
        forbidden=None,
        forced=numbers(0),
        position=None,
        region=None,
        quota=None,
        pivot=numbers(2),
        r_diagonal=numbers(2),
        report=numbers(3),
        workspace=None,
    ),
    "cuda_pivot_workspace_bytes": lambda f: _core.cuda_pivot_workspace_bytes(PIVOTS, f),  # type: ignore[dict-item]
    "sketch_rows": lambda f: _core.sketch_rows(
        f,
        0,
        a=numbers(12),
        out=numbers(12),
        workspace=numbers(16),
        kind=_core.SketchKind.gaussian,
        seed=0,
        num_rows=4,
        r=4,
        n=3,
        stride=3,
        row_offset=0,
        accumulate=False,
    ),
}


@pytest.mark.parametrize("float64", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_says_how_to_rebuild(name: str, float64: bool) -> None:
    with pytest.raises(RuntimeError, match=r"built without CUDA: expected CPU tensors.*Rebuild.*PINN_EXT_CUDA=ON"):
        OPERATIONS[name](float64)
