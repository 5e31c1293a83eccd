"""What engineers read from a table of sizes: against closed forms, with a delta, and where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from tolerances import TABULATED_SIZES

from pinnx.evals import BREAKAGE_CASES
from pinnx.evals.size_table import SizeTable
from pinnx.evals.tabulated_sizes import as_distributions, diameters
from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.solvers.breakage import diameter


def table(name: str, times: list[float], high: float) -> SizeTable:
    case, grid = BREAKAGE_CASES[name], VolumeGrid(1e-3, high, num_nodes=64, pieces=8)
    t = np.array(times)
    f = case.density(grid.fine, t[:, None])
    moments = np.zeros((len(t), 4))
    return SizeTable(grid.fine, grid.weights, t, f, case.delta_amplitude(t), moments, f[0] >= 0)


def test_curves_and_diameters_in_closed_form() -> None:
    """Case 1 in y = v (1 + t): the volume below is 1 - (1 + y) exp(-y)."""
    case, times = BREAKAGE_CASES["case1"], [0.0, 2.0, 5.0]
    sizes = as_distributions(table("case1", times, 40.0), case.kinetics, None)
    y = sizes.grid.v * (1 + sizes.times[:, None])
    np.testing.assert_allclose(sizes.below(sizes.grid.v), 1 - (1 + y) * np.exp(-y), atol=TABULATED_SIZES)
    np.testing.assert_allclose(sizes.density([0.1]), case.density([0.1], sizes.times[:, None]), rtol=TABULATED_SIZES)
    found, factor = diameters(sizes), (1 + sizes.times) ** (1 / 3)
    for name, place in (("d10", 0.531812), ("d50", 1.678347), ("d90", 3.889720)):
        np.testing.assert_allclose(found[name] * factor, diameter(place), rtol=TABULATED_SIZES)
    np.testing.assert_allclose(found["d32"] * factor, diameter(1.0) / special.gamma(5 / 3), rtol=TABULATED_SIZES)
    assert found["d50"][1] < 0.8 * found["d50"][0]


def test_particles_of_one_size() -> None:
    case = BREAKAGE_CASES["case3"]
    sizes = as_distributions(table("case3", [0.0, 0.5, 1e4], 1.0), case.kinetics, 1.0)
    found = diameters(sizes)
    assert [found[name][0] for name in found] == pytest.approx([float(diameter(1.0))] * 4)
    assert found["d90"][1] == pytest.approx(float(diameter(1.0)))  # 61 % of the volume has not broken
    assert np.isnan(found["d10"][2])  # below the smallest volume
