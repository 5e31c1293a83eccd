"""What is minimised: fresh points by counter, one buffer for them, columns that are means, shares that add up."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tolerances import KERNEL_FLOAT64

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.models import FieldModel, FourierNetwork
from pinnx.physics import MeasuredValues, Share
from pinnx.train import Problem

Build = Callable[..., Problem]


def test_a_batch_depends_on_seed_and_step_alone(make_problem: Build) -> None:
    problem, again = make_problem(), make_problem()
    again.batch(0)  # what was drawn before does not matter
    assert torch.equal(problem.batch(7).flat, again.batch(7).flat)
    for other in (problem.batch(8), make_problem(seed=1).batch(7)):
        for term in ("equations", "boundary"):
            assert not torch.equal(problem.batch(7)[term]["x"], other[term]["x"])


def test_collocation_points_fill_the_domain(make_problem: Build) -> None:
    bounds = {"t": (0.0, 2.0), "x": (-1.0, 1.0), "y": (3.0, 4.0)}
    points = make_problem(bounds=bounds, sides=(), collocation=500, dtype=torch.float64).batch(3)["equations"]["x"]
    low, high = np.array(list(bounds.values())).T
    np.testing.assert_array_equal(points, uniform_points(low, high, 500, seed=0, step=3))
    assert ((points >= torch.tensor(low)) & (points <= torch.tensor(high))).all()


def test_the_origin_is_subtracted_before_the_cast(make_problem: Build) -> None:
    """Times of a clock and coordinates of a map keep their digits in float32."""
    far = make_problem(bounds={"t": (1.7e9, 1.7e9 + 1), "x": (5e5, 5e5 + 1), "y": (4.5e6, 4.5e6 + 1)}, sides=())
    far.model.origin = np.array([1.7e9, 5e5, 4.5e6])
    near = make_problem(sides=())
    difference = far.batch(0)["equations"]["x"] - near.batch(0)["equations"]["x"]
    assert difference.abs().max() < 1e-6


def test_columns_are_means_over_what_is_known(make_problem: Build) -> None:
    problem = make_problem(sides=("left", "right"), dtype=torch.float64)
    batch, equations = problem.batch(0), problem.terms[0].equations
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    total, values = problem.loss(batch, weights)
    close = {"rtol": KERNEL_FLOAT64, "atol": 0.0}
    torch.testing.assert_close(total, weights.dot(values), **close)
    assert problem.names == ("momentum_x", "momentum_y", "continuity", "data", "boundary")
    columns = dict(zip(problem.names, values, strict=True))
    data, boundary = batch["data"], batch["boundary"]
    misfit = problem.model(data["x"])[:, :2] - data["values"]
    torch.testing.assert_close(columns["data"], misfit.square().mean(), **close)
    misfit = problem.model(boundary["x"]) - boundary["values"]
    squares = torch.cat([misfit[:8, :2].reshape(-1), misfit[8:16, 2]]).square()  # a wall, then an outlet
    torch.testing.assert_close(columns["boundary"], squares.mean(), **close)
    residual = equations.residual(problem.model.jet(batch["equations"]["x"], equations.spec))
    for column, name in enumerate(equations.names):
        torch.testing.assert_close(columns[name], residual[:, column].square().mean(), **close)


def test_without_conditions_there_is_no_boundary_term(make_problem: Build) -> None:
    problem = make_problem(sides=())
    assert problem.names == ("momentum_x", "momentum_y", "continuity", "data")
    assert problem.loss(problem.batch(0), torch.ones(4))[1].shape == (4,)


def test_points_near_a_corner_count_less(make_problem: Build) -> None:
    assert "weights" not in make_problem().batch(0)["equations"]
    weights = make_problem(corner_radius=0.5).batch(0)["equations"]["weights"]
    assert 0.0 <= weights.min() < 1.0
    assert weights.max() == 1.0
    assert "weights" not in make_problem(sides=("left",), corner_radius=0.5).batch(0)["equations"], "no corner"


@pytest.mark.parametrize("parts", [2, 5, 40])
def test_shares_add_up_to_the_step(make_problem: Build, parts: int) -> None:
    """Ranks and micro-batches: the same points, and losses, gradients and residuals that add up. 40: some are empty."""
    problem = make_problem(learn_nu=True, measured=5, corner_radius=0.3, dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    total, columns = problem.loss(whole := problem.batch(3), weights)
    gradients = torch.autograd.grad(total, problem.parameters())
    batches = [problem.batch(3, Share(part, parts)) for part in range(parts)]
    for term, name in (("equations", "x"), ("equations", "weights"), ("data", "values"), ("boundary", "mask")):
        assert torch.equal(torch.cat([batch[term][name] for batch in batches]), whole[term][name])
    if parts == 40:
        return
    shares = [problem.loss(batch, weights) for batch in batches]
    torch.testing.assert_close(sum(share[1] for share in shares), columns, rtol=KERNEL_FLOAT64, atol=0.0)
    summed = torch.autograd.grad(sum(share[0] for share in shares), problem.parameters())
    for g, w in zip(summed, gradients, strict=True):
        assert (g - w).abs().max() <= KERNEL_FLOAT64 * w.abs().max()


def test_residuals_on_request_are_those_of_the_columns(make_problem: Build) -> None:
    problem = make_problem(dtype=torch.float64)
    batch = problem.batch(0)
    equations, data, boundary = (problem.residual(batch, name)[1] for name in ("equations", "data", "boundary"))
    prescribed = batch["boundary"]["mask"].sum()
    wanted = [*equations.square().mean(0), data.square().mean(), boundary.square().sum() / prescribed]
    _, got = problem.loss(batch, torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(got, torch.stack(wanted), rtol=KERNEL_FLOAT64, atol=0.0)


@pytest.mark.parametrize("fused", [True, False])
def test_the_total_has_the_gradient_of_its_columns(make_problem: Build, fused: bool) -> None:
    """The fused step, and the one that equations without a fused loss take, against plain torch in all parameters."""
    problem = make_problem(sides=("left", "top"), learn_nu=True, corner_radius=0.3, dtype=torch.float64)
    batch, equations = problem.batch(0), problem.terms[0].equations
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    if not fused:
        equations.network_loss = super(type(equations), equations).network_loss
    got = torch.autograd.grad(problem.loss(batch, weights)[0], problem.parameters())

    residual = equations.residual(problem.model.jet(batch["equations"]["x"], equations.spec))
    columns = (residual.square() * batch["equations"]["weights"][:, None]).mean(0)
    data, boundary = batch["data"], batch["boundary"]
    measured = (problem.model(data["x"])[:, :2] - data["values"]).square().mean()
    squares = (problem.model(boundary["x"]) - boundary["values"]).square() * boundary["mask"]
    known = torch.stack([measured, squares.sum() / boundary["mask"].sum()])
    wanted = torch.autograd.grad(weights.dot(torch.cat([columns, known])), problem.parameters())
    for g, w in zip(got, wanted, strict=True):
        assert (g - w).abs().max() <= KERNEL_FLOAT64 * w.abs().max()


def test_terms_need_names_of_their_own(make_problem: Build) -> None:
    problem = make_problem()
    for terms in ((), (problem.terms[0], problem.terms[0])):
        with pytest.raises(PinnxError, match="problem: expected terms with names of their own, got "):
            Problem(problem.model, terms, fields=problem.fields)
    twin = MeasuredValues(problem.terms[1].coordinates, problem.terms[1].values, seed=0)
    twin.name = "more data"
    with pytest.raises(PinnxError, match=r"problem: expected columns with names of their own, got .*data, .*data"):
        Problem(problem.model, [*problem.terms, twin], fields=problem.fields)


def test_a_residual_of_other_columns_than_the_term_names_is_refused(make_problem: Build) -> None:
    problem = make_problem(sides=())
    problem.terms[1].columns = lambda residual, points: residual.square().mean(0)
    with pytest.raises(PinnxError, match=r"term data: expected .* 1 columns, data; got .*\[6, 2\] and columns \[2\]"):
        problem.loss(problem.batch(0), torch.ones(4))


@pytest.mark.parametrize("shape", [(), (1, 3), (16,), (16, 16)])
def test_a_residual_of_equations_has_a_row_for_each_point(make_problem: Build, shape: tuple[int, ...]) -> None:
    problem = make_problem(sides=())
    equations = problem.terms[0].equations
    equations.network_loss = super(type(equations), equations).network_loss
    problem.loss(problem.batch(0), torch.ones(4))
    equations.residual = lambda jet: torch.zeros(shape)
    got = re.escape(str(list(shape)))
    with pytest.raises(PinnxError, match=rf"^residual of momentum_x, .*: expected shape \[16, 3\], got {got}$"):
        problem.loss(problem.batch(0), torch.ones(4))


def test_a_model_has_jets(make_problem: Build) -> None:
    problem = make_problem()
    bare = FieldModel(3, 3)
    for model, got in ((torch.nn.Linear(3, 3), "Linear"), (bare, "FieldModel without frequencies")):
        with pytest.raises(PinnxError, match=rf"^model: expected a FieldModel, .*, got {got}$"):
            Problem(model, problem.terms, fields=problem.fields)


def test_fields_are_the_outputs_of_the_model(make_problem: Build) -> None:
    problem = make_problem()
    with pytest.raises(PinnxError, match=r"^fields: expected 3 names, one for each output of the model, got \['u'\]$"):
        Problem(problem.model, problem.terms, fields=["u"])


def scaled(problem: Problem, coordinates: object = 1.0, fields: object = 1.0) -> FourierNetwork:
    """A network for the small problem, with scales."""
    scales = {"coordinate_scales": coordinates, "field_scales": fields}
    return FourierNetwork(problem.model.frequencies, 3, width=8, layers=1, **scales)


@pytest.mark.parametrize(("of", "name"), [(1, "data"), (2, "boundary")])
def test_values_in_other_scales_than_the_fields_are_refused(make_problem: Build, of: int, name: str) -> None:
    """A model that fits them is off by the factor where it is asked for its fields, and passes its checks."""
    problem = make_problem()
    model, term = scaled(problem, fields=[2.0, 2.0, 4.0]), problem.terms[of]
    wanted = r"\[2.0, 2.0\]" if name == "data" else r"\[2.0, 2.0, 4.0\]"
    with pytest.raises(
        PinnxError, match=rf"^term {name}: expected scales {wanted}, the field_scales of the model, got"
    ):
        Problem(model, [term], fields=problem.fields)
    with pytest.raises(PinnxError, match=f"^term {name}: "):
        Problem(model, [problem.terms[0]], fields=problem.fields, checks=[term])
    right = MeasuredValues(problem.terms[1].coordinates, problem.terms[1].values, scales=[2.0, 2.0])
    Problem(model, [right], fields=problem.fields)


@pytest.mark.parametrize("scales", [{"coordinates": [1.0, 2.0, 2.0]}, {"fields": [2.0, 2.0, 4.0]}])
def test_equations_of_a_model_with_scales_state_theirs(make_problem: Build, scales: dict[str, object]) -> None:
    """Derivatives are in those scales, so an equation that is written in the user's units is another one."""
    problem = make_problem()
    model, term = scaled(problem, **scales), problem.terms[0]
    Problem(model, [term], fields=problem.fields)
    term.equations.residual_scales = {"continuity": 1.0}
    with pytest.raises(PinnxError, match=r"^term equations: expected residual_scales of momentum_x, momentum_y \("):
        Problem(model, [term], fields=problem.fields)
    Problem(scaled(problem), [term], fields=problem.fields)


def test_a_term_that_draws_all_points_for_every_share_is_refused(make_problem: Build) -> None:
    """On two ranks it would count twice."""
    problem = make_problem()
    drawn = problem.terms[1].draw
    problem.terms[1].draw = lambda step, share: drawn(step)
    problem.batch(0)
    with pytest.raises(PinnxError, match=r"^term data: expected draw\(step, share\) to .* of 6 points, .*, got 12 in"):
        problem.batch(0, Share(1, 2))


def test_points_are_arrays_of_the_host(make_problem: Build) -> None:
    problem = make_problem(sides=())
    problem.terms[1].draw = lambda step, share: {"x": torch.rand(6, 3)}
    with pytest.raises(PinnxError, match=r"^term data: expected NumPy arrays from draw, got Tensor for 'x'$"):
        problem.batch(0)
