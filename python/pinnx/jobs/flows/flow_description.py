"""What a flow's files say of its fields, equations and checks: the names and words that the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pinnx.evals.gates import GATES
from pinnx.jobs.cases.case import Case

__all__ = ["field_roles", "flow_description"]

_NU = "viscosity \N{GREEK SMALL LETTER NU}"


def field_roles(dim: int, *, pressure_measured: bool = False) -> dict[str, str]:
    """Attributes of fields.h5: the components of the velocity, and whether the pressure has an absolute value."""
    vector, free = ",".join("uvw"[:dim]), "" if pressure_measured else "p"
    return {"vector": vector, "vector_name": "velocity", "length_name": "speed", "up_to_constant": free}


def flow_description(case: Case, nu: float, found: Sequence[str]) -> dict[str, Any]:
    """Entries of metrics.json: the equations, what was measured, and what each name means.

    Args:
        case: the flow.
        nu: the viscosity that was used or found.
        found: names of the numbers that the training found.
    """
    steady = "steady " if case.steady else ""
    viscosity = f"an unknown {_NU}, found by the training" if "nu" in found else f"the {_NU} = {nu:.4g}"
    axes = " and ".join(name[-1] for name in found if name.startswith("forcing_"))
    force = f" and an unknown constant force along {axes}, found by the training" if axes else ""
    equations = f"the {steady}incompressible Navier-Stokes equations in {case.dim} dimensions"
    return {
        "equations": f"{equations}, with {viscosity}{force}",
        "measured": list(case.measured),
        "descriptions": {
            **{name: f"velocity in {axis}" for name, axis in zip("uvw"[: case.dim], "xyz", strict=False)},
            "velocity": "the velocity as a vector",
            "fluctuation": "the velocity vector less its mean over time",
            "speed": "length of the velocity",
            "p": "pressure" if "p" in case.measured else "pressure, up to a constant at each time",
            "continuity_l2": "divergence of the velocity, root mean square",
            "nu": _NU,
            **{f"forcing_{axis}": f"force along {axis}" for axis in "xyz"[: case.dim]},
            "scales": "length L and velocity U of the case, in which checks count",
            **{name: gate.description for name, gate in GATES.items()},
        },
    }
