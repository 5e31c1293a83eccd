"""A gate that a run did not keep comes with the cheapest way to it, where one was measured."""

from __future__ import annotations

import pytest

from pinnx.config import load_config
from pinnx.evals.checks import check
from pinnx.jobs.judging.remedies import with_remedy


@pytest.mark.parametrize(
    ("name", "value", "settings", "wanted"),
    [
        ("pde_residual_l2", 3.16e-3, [], "about train.steps=16000"),
        ("pde_residual_l2", 1.5e-3, ["train.steps=800"], "about train.steps=2000"),
        ("pde_residual_l2", 1.1e-2, [], None),
        ("pde_residual_l2", float("nan"), [], None),
        ("pde_residual_l2", 9e-4, [], None),
        ("boundary_error_max", 1e-3, [], "model.hard_boundaries=true"),
        ("boundary_error_max", 1e-3, ["model.hard_boundaries=true"], None),
        ("conservation", 1e-3, [], "a stream function"),
        ("conservation", 1e-6, [], None),
        ("reconstruction", 0.5, [], None),
    ],
)
def test_a_remedy_is_of_what_did_not_pass(name: str, value: float, settings: list[str], wanted: str | None) -> None:
    found = with_remedy(check(name, value), load_config("demo", settings))
    assert (found.get("remedy") or "").startswith(wanted or "")
    assert ("remedy" in found) == (wanted is not None)
