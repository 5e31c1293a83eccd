"""A flow in a box with an exact answer, all of its sides given by formulas."""

from __future__ import annotations

import numpy as np

from pinnx.evals.exact import Kovasznay

EXACT = Kovasznay(nu=0.05)
U = f"1 - exp({EXACT.decay!r}*x)*cos(2*pi*y)"
V = f"{EXACT.decay / (2 * np.pi)!r}*exp({EXACT.decay!r}*x)*sin(2*pi*y)"
SIDES = "".join(f"  - {{where: {{side: {side}}}, u: '{U}', v: '{V}'}}\n" for side in ("left", "right", "bottom", "top"))
BOX = f"""
data: {{axes: [x, y], arrays: {{p: p, nu: nu}}}}
domain: {{x: [-0.5, 0.5], y: [-0.5, 0.5]}}
flow: {{nu: 0.05}}
boundaries:
{SIDES}
sensors: {{count: 8, method: random}}
solver: {{cells: 27}}
"""


def exact_fields(points: np.ndarray) -> np.ndarray:
    """u, v, p at points [n, 2], [n, 3]."""
    return np.column_stack([EXACT.velocity(0.0, *points.T), EXACT.pressure(0.0, *points.T)])
