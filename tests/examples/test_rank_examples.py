"""The examples of several processes run under torchrun, learn, and find what is wrong with a rank."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FAULTS = Path(__file__).with_name("parts_of_an_example.py")
SPLIT, PIPELINE = EXAMPLES / "split_domain.py", EXAMPLES / "pipeline_by_layers.py"

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="this build of torch has no gloo"
)


def on_ranks(size: int, script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)] if size > 1 else []
    command = [sys.executable, *torchrun, str(script), *options]
    # Without a buffer, as clusters start Python: the lines of two ranks must not mix.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def split(size: int, *options: str) -> tuple[list[float], list[float], list[list[int]]]:
    """Errors, jumps and points of the parts of a short training, as printed."""
    run = on_ranks(size, SPLIT, "--length", "2", "--density", "40", "--points", "256", "--steps", "200", *options)
    assert run.returncode == 0, run.stderr
    return printed(run.stdout)


def printed(text: str) -> tuple[list[float], list[float], list[list[int]]]:
    rows = re.findall(r"velocity (\S+)   jump at faces (\S+)   points \[(.*)\]   CPU", text)
    assert len(rows) == 11, text
    errors, jumps, counts = zip(*rows, strict=True)
    return [*map(float, errors)], [*map(float, jumps)], [[*map(int, row.split(","))] for row in counts]


def test_parts_learn_as_one_network_does_and_agree_at_their_faces() -> None:
    """The error falls to less than half in both, and the jump to less than a tenth of the field."""
    alone, _, _ = split(1)
    errors, jumps, counts = split(2)
    assert alone[-1] < 0.5 * alone[0], alone
    assert errors[-1] < 0.5 * errors[0], errors
    assert jumps[-1] < 0.1, jumps
    assert counts[-1] == [128, 128]


def test_without_conditions_the_jump_at_a_face_stays() -> None:
    _, jumps, _ = split(2, "--face-weight", "0")
    assert jumps[-1] > 0.2, jumps


def test_points_move_away_from_a_slow_part() -> None:
    """Five times slower for each point; all points are drawn still."""
    options = ("--length", "2", "--points", "512", "--steps", "60", "--balance", "10")
    run = on_ranks(2, FAULTS, "slow_part", *options)
    assert run.returncode == 0, run.stderr
    _, _, counts = printed(run.stdout)
    assert counts[0] == [256, 256]
    assert counts[-1][0] > 1.5 * counts[-1][1], counts
    assert abs(sum(counts[-1]) - 512) <= 1


def test_gradients_of_the_parts_are_those_of_the_joint_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part takes the other's side as a constant; the joint loss has the jump once, with both sides free."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import split_domain

    options = argparse.Namespace(length=2.0, density=12.0, width=16)
    parts, y = [split_domain.Part(rank, 2, options) for rank in range(2)], torch.linspace(0, 1, 8)

    def gradients(*, joint: bool) -> list[torch.Tensor]:
        sides = [part.misfit_and_faces(y)[1][0] for part in parts]
        losses = [(sides[0] - sides[1]).square().mean()]
        if not joint:
            losses = [(mine - theirs.detach()).square().mean() for mine, theirs in (sides, sides[::-1])]
        found = [parameter for part in parts for parameter in part.network["weights"]]
        return list(torch.autograd.grad(sum(losses), found))

    for apart, joint in zip(gradients(joint=False), gradients(joint=True), strict=True):
        torch.testing.assert_close(apart, joint)
        assert apart.abs().max() > 0


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_stages_have_the_gradients_of_the_whole_network(schedule: str) -> None:
    """To rounding in float64, and they learn."""
    options = ("--width", "16", "--points", "128", "--steps", "60", "--float64", "--schedule", schedule)
    run = on_ranks(2, PIPELINE, *options)
    assert run.returncode == 0, run.stderr
    differences = [float(number) for number in re.findall(r"whole network to (\S+)", run.stdout)]
    losses = [float(number) for number in re.findall(r"loss (\d\S+)", run.stdout)]
    assert len(differences) == 2
    assert max(differences) < 1e-13
    assert len(losses) == 11
    assert losses[-1] < 0.5 * losses[0], losses


def test_a_stage_with_a_wrong_weight_is_found() -> None:
    run = on_ranks(2, FAULTS, "wrong_stage", "--width", "16", "--points", "128", "--steps", "1", "--float64")
    assert run.returncode != 0
    assert "stage 1, layers 3 to 5: expected the gradients of the whole network" in run.stderr
