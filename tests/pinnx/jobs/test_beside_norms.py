"""The worst place of a run's error, its spectrum, and the forces on its bodies, from a network's jets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import pinn_ext
from pinnx.config import load_config
from pinnx.jobs.beside_norms import beside_norms, body_forces, model_flow
from pinnx.jobs.flow_problem import flow_problem
from pinnx.jobs.load_case import load_case
from pinnx.models import FieldModel


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
