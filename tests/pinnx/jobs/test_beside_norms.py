"""The worst place of a run's error, and its spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging.beside_norms import beside_norms


@pytest.fixture(scope="module")
def demo() -> Any:
    return load_case(load_config("demo", ["data.synthetic.resolution=16", "data.synthetic.num_frames=3"]))


def test_the_worst_place_and_the_waves_that_are_there(demo: Any) -> None:
    wanted = demo.reference.velocity
    exact = np.concatenate([wanted, np.zeros((*wanted.shape[:2], 1))], axis=2)
    found = beside_norms(demo, exact.reshape(-1, 3))
    assert found is not None
    assert (found["rmse"], found["largest"]) == (0.0, 0.0)
    assert found["resolved_wavenumber"] > 0.0
    wrong = exact.copy()
    wrong[1, 37, 0] += 0.5
    found = beside_norms(demo, wrong.reshape(-1, 3))
    assert found is not None
    assert found["largest"] == pytest.approx(0.5)
    assert found["worst_at"] == [*demo.reference.points[37], demo.reference.times[1]]
    assert found["rmse"] == pytest.approx(0.5 / np.sqrt(wanted.shape[0] * wanted.shape[1]))
    still = replace(demo.reference, values=wanted * np.array([0.0, 1.0, 1.0])[:, None, None])
    found = beside_norms(replace(demo, reference=still), wrong.reshape(-1, 3))
    assert found is not None
    assert found["worst_at"][2] == demo.reference.times[0], "a frame at rest counts"
    weak = beside_norms(demo, 0.5 * exact.reshape(-1, 3))
    assert weak is not None
    assert weak["resolved_wavenumber"] == 0.0
    assert beside_norms(replace(demo, reference=None), exact.reshape(-1, 3)) is None
