"""A gate that a run did not keep comes with the cheapest way to it, as far as it is known."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.evals.checks import check
from pinnx.jobs.judging.remedies import with_remedy


def history(power: float, steps: int = 2000, every: int = 10) -> dict[str, np.ndarray]:
    """A residual that falls as a power of the steps, and at the end faster, with the learning rate."""
    step = np.arange(every, steps + 1, every, dtype=float)
    square = step ** (-2.0 * power) * np.where(step > 0.5 * steps, (step / (0.5 * steps)) ** -4.0, 1.0)
    return {"step": step, "loss/momentum_x": 0.7 * square, "loss/momentum_y": 0.3 * square, "loss/data": step}


@pytest.mark.parametrize(
    ("name", "value", "settings", "wanted"),
    [
        (
            "pde_residual_l2",
            3.16e-3,
            ["model.width=256"],
            "about train.steps=12000, if the residual keeps falling with the steps to",
        ),
        ("pde_residual_l2", 1.1e-2, [], None),
        ("energy_budget", 1.1e-3, ["model.width=256"], "about train.steps=2300, if the residual keeps falling with"),
        ("pde_residual_l2", 3.16e-3, [], "model.width=128, as twice the width left 0.4 to 0.7 of the residual"),
        ("pde_residual_l2", float("nan"), [], None),
        ("pde_residual_l2", 9e-4, [], None),
        ("boundary_error_max", 1e-3, [], "model.hard_boundaries=true"),
        ("boundary_error_max", 1e-3, ["model.hard_boundaries=true"], None),
        ("boundary_error_max", 1e-3, ["model.stream_function=true"], None),
        ("conservation", 1e-3, [], "no steps, weights or constraints"),
        ("conservation", 1e-6, [], None),
        ("reconstruction", 0.5, [], None),
    ],
)
def test_a_remedy_is_of_what_did_not_pass(name: str, value: float, settings: list[str], wanted: str | None) -> None:
    found = with_remedy(check(name, value), load_config("demo", settings), history(0.65))
    assert (found.get("remedy") or "").startswith(wanted or "")
    assert ("remedy" in found) == (wanted is not None)


def test_the_steps_are_those_of_the_run_s_own_history() -> None:
    """Another case falls at another pace; one that does not fall, or has hardly a history, says nothing."""
    config, item = load_config("demo", ["model.width=256"]), check("pde_residual_l2", 4e-3)
    said = {power: with_remedy(item, config, history(power)).get("remedy", "") for power in (0.5, 1.0, 0.3, 0.0, -1.0)}
    assert said[0.5].startswith("about train.steps=32000, ")
    assert said[1.0].startswith("about train.steps=8000, ")
    assert said[1.0].endswith("to the power 1.00, as between 10 and 30 % of this run")
    assert [said[power] for power in (0.3, 0.0, -1.0)] == [""] * 3
    for few in (history(1.0, every=100), {"step": np.array([])}, {"step": np.arange(1.0, 2001.0)}):
        assert "remedy" not in with_remedy(item, config, few)


def test_a_steady_flow_is_referred_to_its_polished_one() -> None:
    said = [
        with_remedy(check("conservation", 1e-3), load_config("demo", settings), {})["remedy"]
        for settings in ([], ["flow.steady=true"])
    ]
    assert ["solver.polish=true" in words for words in said] == [False, True]
    said = with_remedy(check("conservation", 1e-3), load_config("demo", ["flow.steady=true"]), {}, polished=True)
    assert said["remedy"].startswith("take the polished flow beside this one in fields.h5"), "where it has been made"
    kept = with_remedy(check("conservation", 1e-6), load_config("demo", []), {}, polished=True)
    assert "remedy" not in kept
