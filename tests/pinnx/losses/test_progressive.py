"""The equations come in by and by: 0, then linear, then full, whatever the number of steps."""

from __future__ import annotations

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.losses import Probes, ProgressivePhysics, progressive_loss_weights


def none(*given: object) -> torch.Tensor:
    raise AssertionError("a schedule needs no probe")


@pytest.mark.parametrize("steps", [10, 3000])
def test_the_published_schedule(steps: int) -> None:
    got = [progressive_loss_weights(steps * tenth // 10, steps) for tenth in range(11)]
    assert [data for data, _ in got] == [1.0] * 11
    wanted = [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert [physics for _, physics in got] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("start", "full"), [(0.5, 0.5), (0.7, 0.3), (-0.1, 0.5), (0.5, 1.1)])
def test_shares_that_make_no_ramp_are_refused(start: float, full: float) -> None:
    with pytest.raises(PinnxError, match=r"^physics_ramp: expected 0 <= start < full <= 1 and steps >= 1, got "):
        progressive_loss_weights(0, 10, start, full)


def test_the_physics_alone_is_held_back() -> None:
    """The factors of the next step, in the tensor that a graph has captured; exactly 0 and exactly 1 at the ends."""
    ramp = ProgressivePhysics([True, False, True], 10, (0.2, 0.6), torch.ones(1))
    place, seen = ramp.factors.data_ptr(), [ramp.factors.tolist()]
    for step in range(9):
        ramp.adapt(step, torch.ones(3), Probes(none, none, none))
        seen.append(ramp.factors.tolist())
    assert ramp.factors.data_ptr() == place
    assert [row[1] for row in seen] == [1.0] * 10
    assert [row[0] for row in seen] == [row[2] for row in seen]
    assert [row[0] for row in seen] == pytest.approx([0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0], abs=1e-6)
    assert seen[2][0] == 0.0
    assert seen[6][0] == 1.0
