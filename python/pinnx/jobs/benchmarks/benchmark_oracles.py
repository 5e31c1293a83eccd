"""What a benchmark times is right first: a training step and a choice of sensors, held against plain oracles.

The oracles are those of `pinn_ext.reference`, in float64: nested autograd, and pivoted QR column by column.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

import pinn_ext
from pinn_ext import reference
from pinn_ext.reference import selection
from pinnx.config import Config
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.models.added_field import AddedField
from pinnx.models.field_model import FieldModel
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.navier_stokes import NavierStokes

__all__ = ["check_choice", "check_step"]

# Relative. Loss and gradients of the fused step in float32 are 5e-7 from the oracle (docs/performance.md).
STEP_ERROR = 1e-5
# Of the volume that the chosen columns span; another choice of equal volume is as good.
VOLUME_ERROR = 1e-9
POINTS, CANDIDATES = 512, 4096


def check_step(config: Config) -> float:
    """Holds loss and gradients of the equations at the points of a step against nested autograd; the relative error.

    All points go through the fused pass; those of the oracle have the weight 1 there, the others 0.

    Raises:
        PinnxError: it is too large.
    """
    flow = flow_problem(config, load_case(config))
    model, term = flow.problem.model, flow.problem.terms[0]
    drawn = {name: torch.from_numpy(array).to(model.frequencies) for name, array in term.draw(0).items()}
    x = torch.from_numpy(model.inputs(term.draw(0)["x"])).to(model.frequencies)
    chosen = torch.linspace(0, len(x) - 1, min(POINTS, len(x)), device=x.device).long()
    counted = drawn.get("weights", torch.ones_like(x[:, 0]))
    weights = torch.zeros_like(counted).index_copy_(0, chosen, counted[chosen])
    found = model.equations_loss(
        flow.equations, x, x.new_ones(len(term.names)), point_weights=weights, count=len(chosen)
    ).total
    squares = _nested_residual(model, flow.equations, x[chosen]).square()
    wanted = (squares * counted[chosen, None]).mean(0).sum()
    parameters = list(model.parameters())
    sides = [(total, *torch.autograd.grad(total, parameters)) for total in (found, wanted)]
    numbers, exact = (torch.cat([item.detach().double().flatten() for item in side]) for side in sides)
    error = float(torch.linalg.vector_norm(numbers - exact) / torch.linalg.vector_norm(exact))
    if not error <= STEP_ERROR:
        raise PinnxError(
            f"benchmark: expected loss and gradients of a step within {STEP_ERROR:g} of nested autograd in float64, "
            f"got {error:.1e}; nothing was timed"
        )
    return error


def _nested_residual(model: FieldModel, equations: NavierStokes, x: Tensor) -> Tensor:
    """The residual at inputs, in float64, differentiable in the model's parameters."""
    network = model.network if isinstance(model, AddedField) else model
    assert isinstance(network, FourierNetwork)
    inputs, B, weights, biases = network.operands(x)
    wide, spec = ([item.double() for item in layer] for layer in (weights, biases)), equations.spec
    streams = reference.mlp_jet(inputs.double(), B.double(), *wide, spec, network.activation).data
    if isinstance(model, AddedField):
        streams = streams + copy.deepcopy(model.field).double().jet(inputs.double(), spec).data
    jet = pinn_ext.Jet(streams, spec)
    return reference.navier_stokes_residual(jet, float(equations.scaled_nu), steady=equations.steady)


def check_choice(snapshots: Snapshots, count: int) -> float:
    """By how much, relative, the chosen columns of snapshots span less than those that QR column by column chooses.

    Raises:
        PinnxError: it is smaller by too much.
    """
    places = np.linspace(0, snapshots.num_points - 1, min(CANDIDATES, snapshots.num_points)).astype(np.intp)
    columns = np.ascontiguousarray(snapshots.values[:, places])
    found = pinn_ext.pivoted_qr(columns, count).pivots
    wanted = selection.pivoted_qr(columns, count, tolerance=1e-12).pivots
    chosen = [columns[:, np.asarray(pivots)].reshape(len(columns), -1) for pivots in (found, wanted)]
    volumes = [selection.log_volume(item, range(item.shape[1])) for item in chosen]
    missing = -float(np.expm1(volumes[0] - volumes[1]))
    if not missing <= VOLUME_ERROR:
        raise PinnxError(
            f"benchmark: expected {count} columns of the volume that QR column by column finds, "
            f"got {missing:.1e} of it less; nothing was timed"
        )
    return max(0.0, missing)
