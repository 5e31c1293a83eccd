"""Inside PySensors: our pivots are those of its own optimizers, and what it makes of them is the same."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tolerances
from planted_snapshots import planted

from pinnx.errors import PinnxError
from pinnx.sensors import PySensorsOptimizer, SensorSelector

pysensors = pytest.importorskip("pysensors", reason="the extra 'test' brings python-sensors")

VALUES = 10.0 * 0.7 ** np.arange(12)
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "pysensors_optimizer.py"


@pytest.fixture
def snapshots(rng: np.random.Generator) -> np.ndarray:
    return planted(rng, 60, 400, VALUES) + rng.normal(size=400)


def fitted(snapshots: np.ndarray, optimizer: object, k: int) -> object:
    basis = pysensors.basis.SVD(n_basis_modes=8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, in PySensors' own calls
        return pysensors.reconstruction.SSPOR(basis=basis, optimizer=optimizer, n_sensors=k).fit(snapshots, seed=0)


def test_sspor_with_our_optimizer_is_sspor(snapshots: np.ndarray) -> None:
    theirs = fitted(snapshots, pysensors.optimizers.QR(), 8)
    ours = fitted(snapshots, PySensorsOptimizer(), 8)
    np.testing.assert_array_equal(ours.selected_sensors, theirs.selected_sensors)
    seen = snapshots[:, ours.selected_sensors]
    answer = theirs.predict(seen, method="unregularized")
    np.testing.assert_array_equal(ours.predict(seen, method="unregularized"), answer)
    # And so does the whole of it: modes, choice and reconstruction.
    whole = SensorSelector(8).fit(snapshots)
    np.testing.assert_array_equal(whole.selected_sensors_, theirs.selected_sensors)
    rebuilt = np.linalg.solve(whole.basis_[whole.selected_sensors_], seen.T).T @ whole.basis_.T
    bound = tolerances.modes_by_squares(np.finfo(np.float64).eps, whole.singular_values_) * np.abs(rebuilt).max()
    np.testing.assert_allclose(rebuilt, answer, atol=bound)


def test_more_sensors_than_modes_keep_our_choice(snapshots: np.ndarray) -> None:
    """SSPOR shuffles what stands behind the modes: the order may change, the sensors may not."""
    optimizer = PySensorsOptimizer(n_sensors=14)
    model = fitted(snapshots, optimizer, 14)
    assert set(model.selected_sensors.tolist()) == set(optimizer.get_sensors().tolist())
    assert model.predict(snapshots[:, model.selected_sensors], method="unregularized").shape == snapshots.shape


def test_costs_are_those_of_ccqr(snapshots: np.ndarray, rng: np.random.Generator) -> None:
    costs = 0.1 * rng.uniform(size=400)
    theirs = fitted(snapshots, pysensors.optimizers.CCQR(sensor_costs=costs), 8)
    ours = fitted(snapshots, PySensorsOptimizer(costs=costs), 8)
    np.testing.assert_array_equal(ours.selected_sensors, theirs.selected_sensors)


def test_parameters_and_refusals(snapshots: np.ndarray) -> None:
    optimizer = PySensorsOptimizer(n_sensors=5, method="randomized")
    assert repr(optimizer) == "PySensorsOptimizer(n_sensors=5, method='randomized')"
    assert len(optimizer.fit(np.linalg.qr(snapshots.T)[0]).get_sensors()) == 5
    with pytest.raises(PinnxError, match=r"basis_matrix: expected shape \[n, r\], got \[4\]"):
        optimizer.fit(np.zeros(4))


def test_the_example_runs() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", str(EXAMPLE)], capture_output=True, text=True, check=True)
    assert "the same 12 sensors" in done.stdout
