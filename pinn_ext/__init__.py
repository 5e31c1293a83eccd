"""Jets through neural networks, fast: kernels for physics-informed networks, as PyTorch operators.

A *jet* is a value with its chosen derivatives, ``[streams, points, features]``. Push one through a network and the
derivatives that a differential equation needs come out with the value, in one pass and differentiable once more:

    spec = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))       # (t, x, y)
    jet = pinn_ext.fourier_jet(x, B, spec)
    for weight, bias in hidden:
        jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, weight, bias), "tanh")
    jet = pinn_ext.linear_jet(jet, *last)
    residual = pinn_ext.navier_stokes_residual(jet, nu=0.01)
"""

from __future__ import annotations

# First: the kernels bind to the OpenMP runtime that torch has loaded.
import torch as _torch  # noqa: F401

try:
    from pinn_ext import _core
except ImportError as error:
    from pathlib import Path as _Path

    if (_Path(__file__).parent.parent / "csrc").is_dir():
        raise ImportError(
            f"pinn_ext was imported from its source folder {_Path(__file__).parent}, which hides the installed package "
            "and holds no compiled module. Run from another folder, or install it in place: "
            "pip install --no-build-isolation -e ."
        ) from error
    raise ImportError(
        f"pinn_ext has no usable compiled module ({error}). Reinstall it: pip install --force-reinstall pinn-ext"
    ) from error

from pinn_ext._impl.product import Products, hardware_products
from pinn_ext.activation import ACTIVATIONS, Activation, activation_jet
from pinn_ext.breakage import breakage_residual
from pinn_ext.build_info import BuildInfo, build_info
from pinn_ext.fourier import fourier_features, fourier_jet
from pinn_ext.gram import RowGram, project_rows, row_gram
from pinn_ext.jet import Jet, JetSpec
from pinn_ext.linear import linear_jet
from pinn_ext.mlp import mlp_jet
from pinn_ext.navier_stokes import navier_stokes_residual
from pinn_ext.navier_stokes_loss import navier_stokes_loss
from pinn_ext.normal_matrix import normal_matrix
from pinn_ext.pivoted_qr import PivotedQR, pivoted_qr
from pinn_ext.residual_jacobian import residual_jacobian
from pinn_ext.sketch import sketch_rows

__version__: str = _core.build_info()["version"]

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "BuildInfo",
    "Jet",
    "JetSpec",
    "PivotedQR",
    "Products",
    "RowGram",
    "activation_jet",
    "breakage_residual",
    "build_info",
    "fourier_features",
    "fourier_jet",
    "hardware_products",
    "linear_jet",
    "mlp_jet",
    "navier_stokes_loss",
    "navier_stokes_residual",
    "normal_matrix",
    "pivoted_qr",
    "project_rows",
    "residual_jacobian",
    "row_gram",
    "sketch_rows",
]
