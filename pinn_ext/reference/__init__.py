"""The oracles of ``pinn_ext``: `jets` and equations by nested autograd, `breakage` by quadrature, `selection` by its
definition."""

from __future__ import annotations

from pinn_ext.reference.breakage import breakage_residual
from pinn_ext.reference.jets import (
    ACTIVATIONS,
    activation_jet,
    fourier_features,
    fourier_jet,
    jet_of,
    linear_jet,
    mlp,
    mlp_jet,
    navier_stokes_residual,
    residual_jacobian,
)

__all__ = [
    "ACTIVATIONS",
    "activation_jet",
    "breakage_residual",
    "fourier_features",
    "fourier_jet",
    "jet_of",
    "linear_jet",
    "mlp",
    "mlp_jet",
    "navier_stokes_residual",
    "residual_jacobian",
]
