"""The seam: an equation and a term that the package has never seen train with the trainer as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.data.collocation import BoxPoints
from pinnx.errors import PinnxError
from pinnx.evals import evaluate, measure, verify
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import WHOLE, Equations, EquationTerm, JetTerm, Measured, MeasuredValues, Points, Share
from pinnx.train import (
    FirstOrder,
    GaussNewton,
    Objective,
    Phase,
    Problem,
    Trainer,
    cosine_schedule,
    load_checkpoint,
    make_optimizer,
    save_checkpoint,
)
from pinnx.train.number_estimates import number_estimates

BOUNDS = {"t": (0.0, 0.2), "x": (0.0, 1.0)}
DIFFUSIVITY = 0.5
SOURCE = 30.0


class Heat(Equations):
    """df/dt - a d2f/dx2 = 0 in plain torch, with a learned diffusivity."""

    names = ("heat",)
    spec = pinn_ext.JetSpec(first=(0, 1), laplacian=(1,))

    def __init__(self, guess: float) -> None:
        super().__init__()
        self.log_a = nn.Parameter(torch.tensor(np.log(guess), dtype=torch.float64))

    def residual(self, jet: pinn_ext.Jet) -> Tensor:
        return jet.derivative(0) - self.log_a.exp() * jet.laplacian


class Heated(Heat):
    """df/dt - a d2f/dx2 - s = 0 with a source that varies in space and time."""

    def known_at(self, coordinates: np.ndarray, *, finite: bool = True) -> dict[str, np.ndarray]:
        return {"source": SOURCE * coordinates[:, :1] * np.sin(np.pi * coordinates[:, 1:])}

    def residual(self, jet: pinn_ext.Jet, source: Tensor) -> Tensor:
        return super().residual(jet) - source


class Slope(JetTerm):
    """A prescribed slope df/dx at x = 0, for which the package has no term: one class, all of it here."""

    name = "slope"
    names = ("slope",)
    spec = pinn_ext.JetSpec(first=(1,))
    num_points = 20

    def __init__(self) -> None:
        self._times = BoxPoints([BOUNDS["t"][0], 0.0], [BOUNDS["t"][1], 0.0], self.num_points, seed=0, stream=1)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        x = self._times.draw(step, share.rows(self.num_points))
        return {"x": x, "slope": np.pi * decay(x[:, :1])}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        return jet.derivative(1) - points["slope"]

    def measure(self, model: FourierNetwork, *, num_points: int, seed: int) -> list[Measured]:
        drawn = self.draw(0)
        with torch.no_grad():
            jet = model.jet(torch.from_numpy(model.inputs(drawn["x"])), self.spec)
        error = self.residual(jet, {"slope": torch.from_numpy(drawn["slope"])}).abs().max()
        return [Measured("neumann_error_max", float(error))]


class Known(Slope):
    """f at the start and at both ends: values alone."""

    name = "known"
    names = ("known",)
    spec = pinn_ext.JetSpec()
    num_points = 60

    def __init__(self) -> None:
        self._places = BoxPoints([0.0, 0.0], [1.0, 1.0], self.num_points, seed=0, stream=2)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        rows = share.rows(self.num_points)
        x, side = self._places.draw(step, rows).copy(), np.array(rows) % 3
        x[:, 0] *= np.where(side == 0, 0.0, BOUNDS["t"][1])
        x[side > 0, 1] = side[side > 0] - 1.0
        return {"x": x, "values": exact(x)}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        return jet.value - points["values"]

    def measure(self, model: FourierNetwork, *, num_points: int, seed: int) -> list[Measured]:
        return []


def decay(t: np.ndarray) -> np.ndarray:
    return np.exp(-DIFFUSIVITY * np.pi**2 * t)


def exact(x: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * x[:, 1:]) * decay(x[:, :1])


def method(objective: Objective, steps: int) -> FirstOrder:
    optimizer = make_optimizer("soap", objective.parameters, lr=1e-2)
    return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, 1e-5))


def make_trainer(steps: int, **options: Any) -> Trainer:
    frequencies = random_frequencies((5.0, 1.0), 0.5, 8, seed=0)
    network = FourierNetwork(frequencies, 1, width=16, layers=2, seed=1, dtype=torch.float64)
    heat = EquationTerm(Heat(guess=0.3), bounds=BOUNDS, num_points=64, seed=0, name="heat")
    places = np.random.default_rng(1).uniform([0.0, 0.0], [0.2, 1.0], (20, 2))
    data = MeasuredValues(places, exact(places), name="readings")
    problem = Problem(network, [heat, Slope(), options.pop("known", None) or Known(), data], fields=["f"])

    weights = {"heat": 1.0, "slope": 1.0, "known": 10.0, "readings": 10.0}
    return Trainer(problem, options.pop("phases", [Phase(method)]), weights=weights, steps=steps, **options)


def test_the_heat_equation_is_solved_and_its_diffusivity_found() -> None:
    trainer = make_trainer(600)
    trainer.run()
    problem = trainer.problem
    x = np.random.default_rng(0).uniform([0.0, 0.0], [0.2, 1.0], (200, 2))
    found = evaluate(problem.model, problem.terms, x)
    assert found.residual_names == ("heat",)
    assert np.abs(found.fields - exact(x)).max() < 0.1
    assert abs(problem.terms[0].equations.log_a.exp().item() / DIFFUSIVITY - 1) < 0.15, "from 0.6 of the truth"
    checks = verify(measure(problem.model, problem.terms, BOUNDS, num_points=100, seed=0))
    assert [item.name for item in checks] == ["pde_residual_l2", "neumann_error_max", "sensor_misfit"]


def test_a_source_that_varies_comes_with_the_points() -> None:
    """Loss, rows, residual and check have it where the points are; without it they are other numbers."""
    problem = make_trainer(1).problem
    plain, (t, x) = problem.terms[0], np.random.default_rng(0).uniform([0.0, 0.0], [0.2, 1.0], (50, 2)).T
    heated = EquationTerm(Heated(guess=0.3), bounds=BOUNDS, num_points=64, seed=0, name="heat")
    at, source = np.column_stack([t, x]), SOURCE * t * np.sin(np.pi * x)
    found = [evaluate(problem.model, [term], at).residual[:, 0] for term in (heated, plain)]
    np.testing.assert_allclose(found[0], found[1] - source, rtol=0.0, atol=1e-12)
    drawn = {name: torch.from_numpy(array) for name, array in heated.draw(5).items()}
    (row,), one = heated.weighed_residual(problem.model, drawn), torch.ones(1, dtype=torch.float64)
    total = heated.loss(problem.model, drawn, one).total.detach()
    torch.testing.assert_close(total, row.detach().square().sum())
    (wanted,) = evaluate(problem.model, [heated], drawn["x"].numpy()).residual.T
    assert float(total) == pytest.approx(np.square(wanted).mean())
    (checked,), (still,) = (term.measure(problem.model, num_points=100, seed=0) for term in (heated, plain))
    assert abs(checked.value - still.value) > 0.1


def test_gauss_newton_finds_the_number_of_an_equation_of_one_s_own() -> None:
    """Its derivatives are of each point, so the number comes as one for each."""
    trainer = make_trainer(40, phases=[Phase(lambda objective, steps: GaussNewton(objective))])
    trainer.run()
    assert abs(trainer.problem.terms[0].equations.log_a.exp().item() / DIFFUSIVITY - 1) < 0.01, "from 0.6 of the truth"
    found = number_estimates(trainer.problem, trainer.weights.values, trainer.steps)["log_a"]
    assert abs(found.value - np.log(DIFFUSIVITY)) < 0.01
    assert found.low < found.value < found.high


def assert_resumes(make: Callable[[], Trainer], folder: Path) -> Trainer:
    """A training that is saved after three steps ends with the bits of one without a stop; it is returned at step 3."""
    whole, part, resumed = (make() for _ in range(3))
    whole.run()
    for _ in range(3):
        part.train_step()
    save_checkpoint(folder / "c", part.state_dict())
    resumed.load_state_dict(load_checkpoint(folder / "c"))
    resumed.run()
    pairs = zip(whole.problem.parameters(), resumed.problem.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    return part


def test_its_parameters_are_in_the_checkpoint(tmp_path: Path) -> None:
    part = assert_resumes(lambda: make_trainer(6), tmp_path)
    assert "log_a" in part.state_dict()["term heat"]


def test_a_number_in_another_dtype_takes_that_of_the_model(tmp_path: Path) -> None:
    """It stayed in float64, and was in float32 where the training was resumed: other bits."""

    def trainer() -> Trainer:
        made = make_trainer(6)
        made.problem.model.to(torch.float32)
        problem = Problem(made.problem.model, made.problem.terms, fields=["f"])
        weights = {"heat": 1.0, "slope": 1.0, "known": 10.0, "readings": 10.0}
        return Trainer(problem, [Phase(method)], weights=weights, steps=6)

    assert trainer().problem.terms[0].equations.log_a.dtype == torch.float32
    assert_resumes(trainer, tmp_path)


def test_a_term_may_follow_the_training() -> None:
    trainer, seen = make_trainer(3), []
    trainer.problem.terms[1].adapt = lambda model, step: seen.append((model is trainer.problem.model, step))
    trainer.run()
    assert seen == [(True, 1), (True, 2), (True, 3)]


@pytest.mark.parametrize(
    ("num_points", "message"),
    [
        (30, "slope: expected 30 points, its share of num_points, got 20"),
        (10, "slope: expected at most 10 rows, got 20"),
    ],
)
def test_a_term_with_another_number_of_points_is_refused(num_points: int, message: str) -> None:
    """The sum of squares is divided by ``num_points``: the column would be too small or too large."""
    trainer = make_trainer(3)
    drawn = trainer.problem.terms[1].draw(0)
    trainer.problem.terms[1].draw = lambda step, share: drawn
    trainer.problem.batch(0)
    trainer.problem.terms[1].num_points = num_points
    with pytest.raises(PinnxError, match=message):
        trainer.run()


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (
            {"points": np.zeros((20, 2)), "slope": np.zeros(20)},
            "coordinates of the points as 'x' from draw, got 'points', 'slope'",
        ),
        ({}, "coordinates of the points as 'x' from draw, got no array"),
        (np.zeros((20, 2)), "a dict of arrays from draw, got ndarray"),
    ],
)
def test_points_without_coordinates_are_refused(drawn: Any, message: str) -> None:
    trainer = make_trainer(3)
    trainer.problem.terms[1].draw = lambda step, share: drawn
    with pytest.raises(PinnxError, match=f"^term slope: expected {message}$"):
        trainer.run()


class Scaled(Known):
    """As Known, with a factor on the values that it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        return jet.value - self.factor * points["values"]


class ScaledModule(nn.Module, Scaled):
    """Its parameters and its state are those of a module."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        Scaled.__init__(self)


def test_what_a_term_learns_is_trained_and_saved_or_refused() -> None:
    """A parameter that is an attribute alone had a gradient, and stayed as it was."""
    network, term = make_trainer(3).problem.model, Scaled()
    with pytest.raises(
        PinnxError, match=r"^term known: expected factor among its parameters\(\), or requires_grad=False"
    ):
        Problem(network, [term], fields=["f"])
    term.parameters = lambda: [term.factor]
    with pytest.raises(PinnxError, match=r"^term known: expected state_dict and load_state_dict beside parameters"):
        Problem(network, [term], fields=["f"])
    del term.parameters
    term.factor.requires_grad_(False)
    assert len(Problem(network, [term], fields=["f"]).parameters()) == len(list(network.parameters()))

    trainer = make_trainer(3, known=ScaledModule())
    trainer.run()
    learned = trainer.problem.terms[2].factor
    assert learned.item() != 0.5
    resumed = make_trainer(3, known=ScaledModule())
    resumed.load_state_dict(trainer.state_dict())
    assert torch.equal(resumed.problem.terms[2].factor, learned)


def test_what_a_term_learns_is_where_the_model_is() -> None:
    network, term = make_trainer(3).problem.model, EquationTerm(Heat(0.3), bounds=BOUNDS, num_points=8, seed=0)
    term.equations.to("meta")
    with pytest.raises(PinnxError, match=r"^term equations: expected parameters on cpu, got meta$"):
        Problem(network, [term], fields=["f"])
    Problem(network.to("meta"), [term], fields=["f"])


def test_equations_of_two_terms_are_trained_once() -> None:
    trainer = make_trainer(3)
    heat = trainer.problem.terms[0].equations
    terms = [EquationTerm(heat, bounds=BOUNDS, num_points=8, seed=i, name=f"part {i}") for i in range(2)]
    terms[1].names = ("heat of another part",)
    parameters = Problem(trainer.problem.model, terms, fields=["f"]).parameters()
    assert sum(parameter is heat.log_a for parameter in parameters) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": "heat"}, "Odd: expected names, a tuple of the residual's columns, got the text 'heat'"),
        ({}, "Odd: expected names, a tuple of the residual's columns, got none"),
        (
            {"names": ("heat",), "gates": {"pde_residual_l2": ("haet",)}},
            "gates of h: expected .* columns heat, got 'haet'",
        ),
        (
            {"names": ("heat",), "gates": {"pde_residual_l2": "heat"}},
            "gates of h: expected tuples .*, got 'a', 'e', 'h', 't'",
        ),
    ],
)
def test_names_and_gates_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    odd = type("Odd", (Equations,), changes)()
    with pytest.raises(PinnxError, match=f"^{message}$"):
        EquationTerm(odd, bounds=BOUNDS, num_points=8, seed=0, name="h")


def test_weights_of_times_need_the_time_first() -> None:
    """The parts of the time are those of the first column."""
    given = {"num_points": 8, "seed": 0, "time_weights": torch.ones(2)}
    EquationTerm(Heat(0.3), bounds=BOUNDS, **given)
    with pytest.raises(PinnxError, match=r"^time_weights: expected bounds with t as the first axis, got x, t$"):
        EquationTerm(Heat(0.3), bounds=dict(reversed(BOUNDS.items())), **given)


def test_a_term_that_names_one_text_as_its_columns_is_refused() -> None:
    term = Known()
    term.names = "known"
    with pytest.raises(
        PinnxError, match=r"^term known: expected a tuple of names of columns, \('known',\), got a text$"
    ):
        Problem(make_trainer(3).problem.model, [term], fields=["f"])


def test_a_term_says_what_of_it_is_checked() -> None:
    trainer = make_trainer(3)
    problem = trainer.problem
    problem.terms[1].measure = JetTerm.measure.__get__(problem.terms[1])
    with pytest.raises(
        PinnxError, match=r"^term slope: expected a method measure, with the numbers of its checks or \[\]"
    ):
        measure(problem.model, problem.terms, BOUNDS, num_points=10, seed=0)


@pytest.mark.parametrize("shape", [(20,), (20, 3)])
def test_coordinates_of_another_space_are_refused(shape: tuple[int, ...]) -> None:
    trainer = make_trainer(3)
    trainer.problem.terms[1].draw = lambda step, share: {"x": np.zeros(shape), "slope": np.zeros((20, 1))}
    with pytest.raises(PinnxError) as caught:
        trainer.run()
    assert str(caught.value) == f"term slope: expected 'x' of shape [n, 2] from draw, got {list(shape)}"


def test_a_residual_that_is_one_number_is_refused() -> None:
    trainer = make_trainer(3)
    trainer.problem.terms[1].residual = lambda jet, points: jet.value.mean()
    with pytest.raises(PinnxError, match=r"term slope: expected a residual \[n, r\] that makes 1 columns, slope; got"):
        trainer.run()
