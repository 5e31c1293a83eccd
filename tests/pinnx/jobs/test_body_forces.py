"""Forces on the bodies of a run, separation and recirculation, from a network's jets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pinn_ext
from pinnx.config import load_config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.wall_forces import body_forces, model_flow
from pinnx.models import FieldModel


@pytest.fixture(scope="module")
def demo() -> Any:
    return load_case(load_config("demo", ["data.synthetic.resolution=16", "data.synthetic.num_frames=3"]))


class Swirl(FieldModel):
    """u = (-y, x) / r^2, p = -1 / (2 r^2) and a pressure -s x, dimensionless about the origin of the data."""

    def __init__(self, push: float, scale: float) -> None:
        super().__init__(2, 3, origin=[0.5, 0.25], coordinate_scales=scale, field_scales=[2.0, 2.0, 4.0])
        self.frequencies = torch.zeros((2, 1), dtype=torch.float64)
        self.push = push

    def jet(self, x: torch.Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            place = x * torch.tensor(self.coordinate_scales) + torch.tensor(self.origin)
            r2 = place.square().sum(1)
            fields = torch.stack(
                [-place[:, 1] / r2 / 2, place[:, 0] / r2 / 2, (-0.5 / r2 - self.push * place[:, 0]) / 4], dim=1
            )
            slopes = [torch.autograd.grad(fields[:, i].sum(), x, retain_graph=True)[0] for i in range(3)]
        first = [torch.stack([slope[:, axis] for slope in slopes], dim=1) for axis in spec.first]
        return pinn_ext.Jet(torch.stack([fields.detach(), *first]), spec)


def a_case(**changes: Any) -> Any:
    circle = {"where": {"circle": {"center": [0.0, 0.0], "radius": 0.5}}, "u": 0.0, "v": 0.0}
    settings = {"data.measurements": changes.pop("csv"), "domain.x": [-3.0, 5.0], "domain.y": [-3.0, 3.0]}
    settings |= {"flow.nu": 0.1, "boundaries": [circle], "flow.scales.velocity": 1.0} | changes
    return load_case(load_config(None, list(settings.items())))


def test_drag_and_lift_come_from_the_jets_and_a_box_agrees(tmp_path: Any) -> None:
    csv = tmp_path / "sensors.csv"
    csv.write_text("x,y,u,v\n1.0,1.0,1.0,0.1\n2.0,-0.4,0.9,0.0\n")
    case = a_case(csv=str(csv))
    (free,) = body_forces(case, Swirl(0.0, 2.5), 0.1)
    assert (free["drag"], free["lift"], free["drag_of_box"]) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    (pushed,) = body_forces(case, Swirl(0.8, 2.5), 0.1)
    # A pressure -s x pushes the circle with s times its area, and the box with s times its own: they disagree.
    assert pushed["drag"] == pytest.approx(2 * 0.8 * np.pi * 0.25)
    assert pushed["drag_of_box"] == pytest.approx(2 * 0.8 * 16.0)
    velocity, pressure, gradient = model_flow(case, Swirl(0.8, 2.5), None)(np.array([[1.0, 2.0]]))
    assert velocity[0] == pytest.approx([-0.4, 0.2])
    assert pressure[0] == pytest.approx(-0.1 - 0.8)
    assert gradient[0] == pytest.approx(np.array([[4.0, 3.0], [3.0, -4.0]]) / 25)
    near = a_case(csv=str(csv), **{"domain.y": [-0.5, 3.0]})
    assert "drag_of_box" not in body_forces(near, Swirl(0.0, 2.5), 0.1)[0]


def test_a_network_has_the_gradient_of_its_fields(demo: Any) -> None:
    problem = flow_problem(
        load_config("demo", ["model.width=8", "model.layers=2", "train.dtype=float64"]), demo
    ).problem
    points, step = np.random.default_rng(0).uniform(0.2, 0.8, (5, 2)), 1e-6
    flow = model_flow(demo, problem.model, 1.0)
    _, _, gradient = flow(points)
    for axis in (0, 1):
        offset = step * np.eye(2)[axis]
        slope = (flow(points + offset)[0] - flow(points - offset)[0]) / (2 * step)
        assert np.allclose(gradient[..., axis], slope, rtol=1e-4, atol=1e-6)


CIRCLE = {"name": "it", "circle": {"center": [0.0, 0.0], "radius": 0.5}}
ELLIPSE = {"name": "it", "ellipse": {"center": [0.0, 0.0], "half_axes": [1.0, 0.5]}}


@pytest.mark.parametrize(("shape", "size", "area"), [(CIRCLE, 1.0, np.pi / 4), (ELLIPSE, 2.0, np.pi / 2)])
def test_every_shape_has_forces(shape: dict[str, Any], size: float, area: float, tmp_path: Any) -> None:
    csv = tmp_path / "sensors.csv"
    csv.write_text("x,y,u,v\n1.5,1.0,1.0,0.1\n2.0,-0.4,0.9,0.0\n")
    (pushed,) = body_forces(a_case(csv=str(csv), **{"domain.holes": [shape], "boundaries": []}), Swirl(0.8, 2.5), 0.1)
    assert pushed["size"] == pytest.approx(size)
    # The vortex itself pushes neither: momentum is conserved in between.
    assert pushed["drag"] == pytest.approx(2 * 0.8 * area / size, abs=2e-3)
    assert pushed["lift"] == pytest.approx(0.0, abs=2e-3)
    assert pushed["name"] == "it"


def test_of_a_body_on_a_side_only_what_borders_the_flow_counts(tmp_path: Any) -> None:
    csv = tmp_path / "sensors.csv"
    csv.write_text("x,y,u,v\n1.5,1.0,1.0,0.1\n2.0,0.4,0.9,0.0\n")
    half = {"domain.holes": [CIRCLE], "boundaries": [], "domain.y": [0.0, 3.0]}
    (upper,) = body_forces(a_case(csv=str(csv), **half), Swirl(0.8, 2.5), 0.1)
    (still,) = body_forces(a_case(csv=str(csv), **half), Swirl(0.0, 2.5), 0.1)
    # Half of the circle, of which the pressure -s x has half of the force.
    assert upper["drag"] - still["drag"] == pytest.approx(0.8 * np.pi / 4, rel=1e-3)
    assert upper["wall_shear"] == pytest.approx(0.8, rel=1e-3), "nu r d(u/r)/dr of u = 1 / r at r = 1 / 2"
    assert "drag_of_box" not in upper, "it touches a side"
