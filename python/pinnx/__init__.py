"""Reconstruct a flow from a handful of sensors with a physics-informed network.

The rooms, in the order in which data flows through them; each imports only what stands before it:

    data      snapshots, readers, measurements, collocation points, synthetic flows
    sensors   where to measure: pivoted QR on modes, sensor sets
    models    Fourier-feature networks that speak jets
    physics   the terms of a loss: equations, measurements, boundary and initial conditions
    losses    how the terms are weighed
    evals     gates, checks, errors, exact solutions
    train     the trainer, what watches it, checkpoints
    report    figures and one HTML file, out of the run folder alone
    select    the command `pinnx sensors`
    cli       the command `pinnx`
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pinnx.errors import PinnxError

__all__ = ["PinnxError", "__version__", "run_case"]

try:
    __version__ = version("pinn-ext")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0+uninstalled"


def __getattr__(name: str) -> Any:
    """`pinnx.run_case`, which loads torch and the jobs where it is first used."""
    if name != "run_case":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # By its name: what stands at the bottom may not import what stands at the top.
    return import_module("pinnx.jobs.breakage.run_case").run_case
