"""Every setting of the network acts, resumes to the bit, and is refused where it would do nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from rich.console import Console
from same_runs import Tiny, course, made, parameter_bytes, trained

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct, training
from pinnx.jobs.cases.load_case import load_case
from pinnx.physics.equations import EquationTerm
from pinnx.train import load_checkpoint, save_checkpoint

PERIODIC = "domain={x: [0.0, 2.0], periodic: [x]}"
SIREN = ["model.architecture=siren", "model.activation=sine"]
PIRATE = ["model.architecture=piratenet"]
FACTORIZED, PLAIN = "model.factorization.mean=1.0", "model.factorization.mean=null"
HARD = "model.hard_boundaries=true"
CURL = "model.stream_function=true"
NEWTON = ["train.optimizer=gauss_newton", "train.dtype=float64", PLAIN]


def box_of_walls(top: str = '"u": 1.0, "v": 0.0') -> str:
    rest = [f'{{"where": {{"side": "{side}"}}, "u": 0.0, "v": 0.0}}' for side in ("left", "right", "bottom")]
    return f'boundaries=[{", ".join(rest)}, {{"where": {{"side": "top"}}, {top}}}]'


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ([], ["model.width=9"]),
        ([], ["model.frequencies=5"]),
        ([], ["model.input_scale=[1.0, 0.7, 0.5]"]),
        ([], ["model.seed=3"]),
        ([], SIREN),
        (SIREN, ["model.omega=10.0"]),
        (SIREN, ["model.sigma=1.0"]),
        ([], PIRATE),
        (PIRATE, ["model.layers=2"]),
        (PIRATE, ["model.activation=gelu"]),
        ([], ["model.bands=[1.0, 3.0]"]),
        ([PERIODIC], ["model.harmonics=2"]),
        ([], ["model.time_period=0.8"]),
        ([], ["model.train_frequencies=true"]),
        (PIRATE, ["model.train_frequencies=true"]),
        ([], [PLAIN]),
        (PIRATE, [PLAIN]),
        ([], ["model.factorization.mean=0.5"]),
        ([], ["model.factorization.deviation=0.3"]),
        ([], [HARD]),
        ([], [CURL]),
        ([PERIODIC], [CURL]),
        (SIREN, [CURL]),
        (PIRATE, [HARD]),
        (NEWTON, [CURL]),
        ([*NEWTON, CURL], [PERIODIC]),
        ([*NEWTON, CURL, box_of_walls()], [HARD]),
    ],
)
def test_each_setting_acts_and_resumes_to_the_bit(
    tiny: Tiny, tmp_path: Path, base: list[str], change: list[str]
) -> None:
    with_it = tiny("unsteady_grid", *base, *change)
    whole = course(tiny, *base, *change)
    assert whole != course(tiny, *base)
    half, rest = made(with_it), made(with_it)
    for _ in range(3):
        half.train_step()
    save_checkpoint(tmp_path / "half.safetensors", half.state_dict())
    rest.load_state_dict(load_checkpoint(tmp_path / "half.safetensors"))
    rest.run()
    assert parameter_bytes(rest) == whole


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["model.omega=10.0"], "omega: only for a siren, got mlp"),
        (["model.architecture=siren"], "activation: expected sine for a siren, got tanh"),
        ([*SIREN, "model.train_frequencies=true"], "train_frequencies: those of a siren always are; set it to false"),
        (
            [*SIREN, FACTORIZED],
            "factorization.mean: not for a siren, whose omega does the same; set it to null",
        ),
        ([CURL, *PIRATE], "stream_function: expected an mlp or a siren, got piratenet"),
        (
            [CURL, HARD],
            "model.hard_boundaries with stream_function: expected train.optimizer gauss_newton, got soap",
        ),
        (
            [CURL, "train.phases=[{start: 0.5, optimizer: gauss_newton}]"],
            "model.stream_function: expected gauss_newton in all of the training or nowhere",
        ),
        ([CURL, "train.balance.method=ntk"], "model.stream_function: expected another train.balance.method than ntk"),
        (["model.factorization={mean: null, deviation: 0.3}"], "deviation: only with a mean, got mean null"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: list[Any], message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        load_config("demo", ["model.architecture=mlp", "model.activation=tanh", *given])


def test_weights_are_factorised_unless_they_may_not_be(tiny: Tiny) -> None:
    """Without a word of it: lengths and directions in a network of tanh, plain weights in a siren."""
    for given, factorised in ([], True), ([PLAIN], False), (SIREN, False), (PIRATE, True):
        parameters = dict(made(tiny("unsteady_grid", *given)).problem.model.named_parameters())
        assert any("parametrizations.weight_" in name for name in parameters) == factorised, given


@pytest.mark.parametrize(
    ("flow", "given", "message"),
    [
        (
            "unsteady_grid",
            [*PIRATE, "model.width=9"],
            "model.width: expected the 8 features for a piratenet, got 9",
        ),
        ("unsteady_grid", ["model.harmonics=2"], "model.harmonics: expected a periodic axis, got none for 2 harmonics"),
        ("steady_grid", ["model.time_period=0.8"], "model.time_period: expected a flow with times, got a steady one"),
        ("scattered_3d", [CURL], "model.stream_function: expected a flow in 2 dimensions, got 3; set it to false"),
        (
            "unsteady_grid",
            [CURL, "domain={x: [0.0, 2.0], y: [0.0, 1.5], periodic: [x, y]}", "flow.forcing=[0.1, 0.0]"],
            "model.stream_function: expected a mean velocity that is constant in time, got a force",
        ),
        ("unsteady_csv", [HARD], "model.hard_boundaries: expected a boundary at a side or a circle"),
        ("scattered_3d", [CURL, *NEWTON], "model.stream_function: expected a flow in 2 dimensions, got 3"),
        (
            "steady_grid",
            [CURL, HARD, *NEWTON, 'boundaries=[{"where": {"side": "left"}, "u": 0.0, "v": 0.0}]'],
            "model.hard_boundaries with stream_function: expected a box of walls, .* got no such velocity on right",
        ),
        (
            "steady_grid",
            [CURL, HARD, *NEWTON, box_of_walls(top='"u": 1.0, "v": 0.1')],
            "model.hard_boundaries with stream_function: .* got {'u': 1.0, 'v': 0.1} on top",
        ),
        (
            "steady_grid",
            [CURL, HARD, *NEWTON, box_of_walls(top='"u": "x", "v": 0.0')],
            "model.hard_boundaries with stream_function: expected a box of walls",
        ),
        (
            "steady_grid",
            [CURL, HARD, *NEWTON, box_of_walls(), "model.corner_flow=false"],
            "model.hard_boundaries with stream_function: expected model.corner_flow=true at a lid",
        ),
        (
            "steady_grid",
            [CURL, HARD, *NEWTON, box_of_walls(), "domain={x: [-0.5, 1.5], periodic: [x]}"],
            "model.hard_boundaries with stream_function: expected no domain.periodic, got x",
        ),
    ],
)
def test_what_does_not_fit_the_case_is_refused(tiny: Tiny, flow: str, given: list[str], message: str) -> None:
    with pytest.raises(PinnxError, match=f"^{message}"):
        made(tiny(flow, *given))


@pytest.mark.parametrize("network", [[], SIREN, PIRATE, ["model.train_frequencies=true"]])
def test_a_flow_that_repeats_itself_has_its_period_by_form(tiny: Tiny, network: list[str]) -> None:
    """In units in which the training's time is not that of the data, and after steps; without it nothing repeats."""
    given = [*network, "model.sigma=2.0", "flow.scales={length: 3.0, velocity: 0.7}", "flow.nu=0.1"]
    places = np.array([[0.1, 0.3, 0.4], [0.2, 1.7, 1.1]])
    for period in ("model.time_period=0.8", "model.time_period=null"):
        model = trained(tiny("unsteady_grid", *given, period)).problem.model
        first, later, between = (model.predict(places + np.array([dt, 0.0, 0.0])) for dt in (0.0, 1.6, 0.3))
        assert (np.abs(later - first).max() < 1e-4) == (period != "model.time_period=null")
        assert np.abs(between - first).max() > 1e-3, "it moves"


def test_what_is_held_leaves_the_loss_and_is_checked(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    """All sides held: no column of the loss; a place without a distance stays, and is what the largest error is of."""
    sides = '[{"where": {"side": "left"}, "u": 0.3}, {"where": {"side": "right"}, "u": 0.7, "v": 0.1}]'
    console = Console(file=io.StringIO(), width=200)
    metrics = reconstruct(tiny("unsteady_grid", HARD, f"boundaries={sides}"), tmp_path / "held", console=console)
    assert f"network: {metrics['network']}\n" in console.file.getvalue()
    assert metrics["terms"] == ["momentum_x", "momentum_y", "continuity", "data"]
    assert metrics["boundary_error_max"] < 1e-6
    assert metrics["network"] == "mlp, 110 parameters, composed of jets, boundaries held by its form"
    with h5py.File(tmp_path / "held" / "fields.h5") as file:
        np.testing.assert_allclose(file["u"][:, -1], 0.7, rtol=0, atol=1e-6)
        assert np.ptp(file["u"][:, 2]) > 1e-3
    mixed = sides.replace("0.3", '"0.3*y"').replace("]", ', {"where": {"expression": "t < 0.1"}, "v": 0.25}]')
    metrics = reconstruct(tiny("unsteady_grid", HARD, f"boundaries={mixed}"), tmp_path / "mixed")
    assert metrics["terms"][-1] == "boundary"
    assert metrics["boundary_error_max"] > 1e-3
    with h5py.File(tmp_path / "mixed" / "fields.h5") as file:
        np.testing.assert_allclose(file["u"][:, 0], 0.3 * file["y"][()] + np.zeros((4, 1)), rtol=0, atol=1e-6)
    rows = (tmp_path / "mixed" / "history.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["loss/boundary"] > 0


@pytest.mark.parametrize(("given", "chosen"), [([], 1), ([HARD], 1), (PIRATE, 0)])
def test_threads_are_not_chosen_by_time_where_bits_depend_on_them(tiny: Tiny, given: list[str], chosen: int) -> None:
    trainer = made(tiny("unsteady_grid", *given))
    with training._threads(trainer, None, SimpleNamespace(line=print)):
        assert len(trainer.hooks) == chosen


@pytest.mark.parametrize("given", [[HARD], [FACTORIZED, "model.train_frequencies=true"], SIREN])
def test_bits_do_not_depend_on_threads(tiny: Tiny, given: list[str]) -> None:
    before, found = torch.get_num_threads(), []
    config = tiny("unsteady_grid", *given, "train.collocation_points=2048", "train.steps=3")
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(parameter_bytes(trained(config)))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("flow", ["steady_grid", "unsteady_grid"])
def test_a_stream_function_learns_a_flow_and_its_viscosity_without_a_divergence(tiny: Tiny, flow: str) -> None:
    size = ["model.width=24", "model.layers=2", "model.frequencies=12", "train.collocation_points=64"]
    size += ["train.steps=300", "train.optimizer=soap", "train.lr=0.01", "train.weights.data=100"]
    config = tiny(flow, CURL, *size, "flow.learn_nu=true")
    case = load_case(config)
    trainer = made(config)
    model, before = trainer.problem.model, trainer.problem.model.predict(case.coordinates)
    trainer.run()
    wrong = [np.square(fields[:, :2] - case.velocity).mean() for fields in (before, model.predict(case.coordinates))]
    assert wrong[1] < 0.05 * wrong[0]
    (found,) = [term for term in trainer.problem.terms if isinstance(term, EquationTerm)]
    measured = {item.gate: item.value for item in found.measure(model, num_points=50, seed=0)}
    assert measured["conservation"] == 0.0
    assert measured["pde_residual_l2"] > 0.0
    assert dict(trainer.problem.unknown_numbers())["log_nu"].grad is not None


def test_a_cavity_keeps_its_walls_and_mass_by_form_and_its_residual_falls_by_gauss_newton(tiny: Tiny) -> None:
    """No boundary is in the loss; points that stay for several steps are learned to far below what fresh ones leave."""
    size = ["model.width=12", "model.layers=2", "model.frequencies=6", "train.collocation_points=128"]
    given = [*NEWTON, CURL, HARD, box_of_walls(), *size, "train.steps=20", "train.weights.data=0", "flow.nu=0.1"]
    trainer = made(tiny("steady_grid", *given, "train.quasi_newton.points_for=20"))
    assert trainer.problem.names[:2] == ("momentum_x", "momentum_y")
    assert not {"continuity", "boundary"} & set(trainer.problem.names)
    (term,) = [term for term in trainer.problem.terms if isinstance(term, EquationTerm)]
    before = {item.gate: item.value for item in term.measure(trainer.problem.model, num_points=50, seed=0)}
    trainer.run()
    after = {item.gate: item.value for item in term.measure(trainer.problem.model, num_points=50, seed=0)}
    assert before["conservation"] == after["conservation"] == 0.0
    assert after["pde_residual_l2"] < 0.02 * before["pde_residual_l2"]
    (held,) = [term for term in trainer.problem.checked if term.name == "boundary"]
    walls = {item.gate: item.value for item in held.measure(trainer.problem.model, num_points=50, seed=0)}
    assert walls["boundary_error_max"] < 1e-12
