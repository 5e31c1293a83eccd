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
PIVOTS = _core.PivotSize(r=3, n=4, c=1, k=2, num_forced=0, num_regions=0, d=0, min_distance=0.0, tolerance=1e-6)
# Addresses of nothing: no array may be read before the error.
COUNTS = {"a": 12, "forced": 0, "pivot": 2, "r_diagonal": 2, "report": 3}
ARRAYS = {name: (8, count) for name, count in COUNTS.items()}
ARRAYS |= dict.fromkeys(("weight", "cost", "forbidden", "position", "region", "quota"), (0, 0))
OPERATIONS: dict[str, Callable[[bool], None]] = {
    "fourier_features": lambda f: _core.fourier_features(f, 0, 0, 0, 0, 4, 2, 3),
    "fourier_features_backward": lambda f: _core.fourier_features_backward(f, 0, 0, 0, 0, 0, 0, 4, 2, 3),
    "fourier_features_second_order": lambda f: _core.fourier_features_second_order(
        f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 2, 3
    ),
    "fourier_jet": lambda f: _core.fourier_jet(f, 0, 0, 0, 0, 4, 2, 3, STREAMS),
    "fourier_jet_backward": lambda f: _core.fourier_jet_backward(f, 0, 0, 0, 0, 0, 0, 4, 2, 3, STREAMS),
    "activation_jet": lambda f: _core.activation_jet(f, 0, 0, 0, 4, STREAMS, TANH),
    "activation_jet_backward": lambda f: _core.activation_jet_backward(f, 0, 0, 0, 0, 4, STREAMS, TANH),
    "navier_stokes_residual": lambda f: _core.navier_stokes_residual(
        f, 0, jet=numbers(48), nu=numbers(1), forcing=None, out=numbers(12), **FLOW
    ),
    "navier_stokes_residual_backward": lambda f: _core.navier_stokes_residual_backward(
        f, 0, v_out=numbers(12), jet=numbers(48), nu=numbers(1), v_jet=numbers(48), v_nu=None, **FLOW
    ),
    "mlp_jet": lambda f: _core.mlp_jet(f, 0, WHOLE, out=numbers(48), workspace=None),
    "mlp_jet_backward": lambda f: _core.mlp_jet_backward(
        f, 0, WHOLE, v_out=numbers(48), gradient=numbers(53), workspace=None, want_B=False, parts=0
    ),
    "navier_stokes_loss": lambda f: _core.navier_stokes_loss(f, 0, WHOLE, **LOSS),
    "pivoted_qr": lambda f: _core.pivoted_qr(f, 0, PIVOTS, ARRAYS, 0),
    "cuda_pivot_workspace_bytes": lambda f: _core.cuda_pivot_workspace_bytes(PIVOTS, f),  # type: ignore[dict-item]
    "sketch_rows": lambda f: _core.sketch_rows(f, 0, 0, 0, 0, _core.SketchKind.gaussian, 0, 4, 4, 3, 3, 0, False),
}


@pytest.mark.parametrize("float64", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_says_how_to_rebuild(name: str, float64: bool) -> None:
    with pytest.raises(RuntimeError, match=r"built without CUDA: expected CPU tensors.*Rebuild.*PINN_EXT_CUDA=ON"):
        OPERATIONS[name](float64)
