"""The gates: which quantities must hold, and their limits. The one table.

    passed = value < limit    (<= where inclusive)

The configuration's section evals.limits and the checks are made from it; each limit can be set, none can be dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["GATES", "Gate"]


@dataclass(frozen=True)
class Gate:
    """What a quantity must hold: ``value < limit``, or ``value <= limit`` where ``inclusive``.

    Units are those of the data: "velocity" is that of the velocities as they came.
    """

    limit: float
    unit: str
    description: str
    inclusive: bool = False


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "pde_residual_l2": Gate(1e-3, "velocity/time", "L2 norm of the momentum residual"),
        "conservation": Gate(1e-5, "1/time", "deviation from conservation of mass"),
        "boundary_error_max": Gate(1e-4, "velocity", "largest error at a boundary"),
        "neumann_error_max": Gate(
            1e-3, "1/time", "largest error of a prescribed slope; the conditions of the package prescribe none"
        ),
        "periodic_error_max": Gate(1e-4, "velocity", "largest difference between opposite periodic sides"),
        "reconstruction": Gate(0.15, "relative", "relative L2 error of the velocity, a fraction", inclusive=True),
        # A third of the reconstruction gate: a network that misses the values it was given by more than this cannot
        # be trusted where it was given none.
        "sensor_misfit": Gate(0.05, "relative", "relative misfit at the sensors, a fraction"),
    }
)
