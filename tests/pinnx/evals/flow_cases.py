"""Exact flows on a box about the origin of side 1, which every check passes, and the real files."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from pinnx.evals import (
    Beltrami,
    BurgersVortex,
    Check,
    ConservationChecker,
    ExactFlow,
    Kovasznay,
    Poiseuille,
    TaylorGreen,
)

FLOWS = [TaylorGreen(nu=0.05), Kovasznay(nu=1 / 40), Poiseuille(nu=0.1), Beltrami(nu=0.1), BurgersVortex(nu=0.1)]
DATA = Path(os.environ.get("PINNX_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(),
    reason=f"real data: neither PINNX_DATA={os.environ.get('PINNX_DATA')} nor ../shared/data is a folder",
)


@dataclasses.dataclass
class Given:
    """A flow on a box about the origin of side 1, in units of which its largest speed is U."""

    flow: ExactFlow
    axes: tuple[np.ndarray, ...]
    times: np.ndarray | None
    velocity: list[np.ndarray]
    pressure: np.ndarray

    @property
    def speed(self) -> float:
        return float(np.sqrt(sum(part**2 for part in self.velocity)).max())

    def places(self) -> list[np.ndarray]:
        return np.meshgrid(*self.axes, indexing="ij")

    def verdicts(self, velocity: list[np.ndarray] | None = None, **changes: object) -> list[Check]:
        checker = ConservationChecker(axes=self.axes, times=self.times, speed=self.speed, length=1.0)
        u, v, *w = self.velocity if velocity is None else velocity
        arguments = {"p": self.pressure, "viscosity": self.flow.nu, "w": w[0] if w else None, **changes}
        return [
            *checker.verify_mass_conservation(u, v, arguments["w"]),
            *checker.verify_momentum_conservation(u, v, **arguments),
            *checker.verify_energy_conservation(u, v, **arguments),
        ]


def given(flow: ExactFlow) -> Given:
    n = 49 if flow.dim == 2 else 21
    axes = (np.linspace(-0.5, 0.5, n),) * flow.dim
    times = None if flow.steady else np.linspace(0.0, 0.1, 9)
    places = np.meshgrid(*([] if times is None else [times]), *axes, indexing="ij")
    places = [np.zeros(()), *places] if times is None else places
    return Given(flow, axes, times, list(np.moveaxis(flow.velocity(*places), -1, 0)), flow.pressure(*places))
