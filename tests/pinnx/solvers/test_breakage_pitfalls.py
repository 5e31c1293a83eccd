"""Two mistakes of earlier codes, each beside what stands here: the birth integral, and a delta on a grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from tolerances import BREAKAGE_CHEBYSHEV, EXACT_BREAKAGE

from pinn_ext import breakage_residual
from pinnx.evals import BREAKAGE_CASES
from pinnx.solvers.breakage import ChebyshevGrid, PivotGrid, SizeGrid, solve_breakage


def dropped_cell(v: np.ndarray, f: np.ndarray) -> np.ndarray:
    """2 int_v^inf f dw for S = w by trapezoids, without the cell that begins at v."""
    cells = np.diff(v) * (f[1:] + f[:-1]) / 2
    return 2 * np.append(np.cumsum(cells[::-1])[::-1][1:], [0.0, 0.0])


@pytest.mark.parametrize("num", [41, 51])
def test_the_birth_integral(num: int) -> None:
    case, t = BREAKAGE_CASES["case1"], 5.0
    v = np.geomspace(*case.sizes, num)
    f, exact = case.density(v, t), 2 * (1 + t) * np.exp(-v * (1 + t))
    seen = f > 1e-6 * f.max()
    naive = np.abs(dropped_cell(v, f) / exact - 1)[seen]
    assert naive.mean() > 0.03
    assert naive.max() > 0.5
    g, at = torch.from_numpy(np.log(f))[None], torch.from_numpy(v)
    birth = f * (at - breakage_residual(g, torch.zeros_like(g), at, at, tail="exponential")[0]).numpy()
    assert np.abs(birth / exact - 1)[seen].max() < EXACT_BREAKAGE
    grid = ChebyshevGrid(case.sizes[0], 10.0, num_nodes=num)
    born = grid.matrix(case.kinetics) @ case.density(grid.v, t) + grid.v * case.density(grid.v, t)
    wanted = 2 * (1 + t) * (np.exp(-grid.v * (1 + t)) - np.exp(-10.0 * (1 + t)))
    assert np.abs(born - wanted).max() < BREAKAGE_CHEBYSHEV * wanted.max()


@pytest.mark.parametrize("grid", [ChebyshevGrid(1e-4, 1.0), PivotGrid(1e-4, 1.0)], ids=["chebyshev", "pivot"])
def test_a_delta_has_the_weight_one(grid: SizeGrid) -> None:
    case = BREAKAGE_CASES["case4"]
    found = solve_breakage(case.kinetics, grid, [0.0], delta_at=1.0)
    assert (found.f == 0).all()
    assert [found.moment(order)[0] for order in (0, 1, 2, 3)] == [1.0] * 4
    weights = []
    for num in (42, 48):  # a bell in its place weighs as its nodes happen to be
        v = np.geomspace(*case.sizes, num)
        bell = np.exp(-(((v - 1) / 0.02) ** 2) / 2) / (0.02 * np.sqrt(2 * np.pi))
        weights.append(trapezoid(bell, v))
    assert weights[0] < 0.1
    assert weights[1] > 4.0
