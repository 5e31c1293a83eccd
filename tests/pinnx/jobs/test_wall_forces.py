"""Forces on the bodies of a run, separation and recirculation, and the shear at walls, from a network's jets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pinn_ext
from pinnx.config import load_config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.wall_forces import body_forces, model_flow, walls_and_shear
from pinnx.models import FieldModel
from pinnx.report.tables import beside_errors


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


NU, SPEED, HEIGHT = 0.05, 2.0, 0.5
SHEAR = NU * 4 / HEIGHT / SPEED  # of u = 4 U (y / h) (1 - y / h), over U^2
WALLS = [{"where": {"side": side}, "u": 0.0, "v": 0.0} for side in ("bottom", "top")]
OPEN = [{"where": {"side": "left"}, "u": f"{4 * SPEED}*(y/{HEIGHT})*(1-y/{HEIGHT})", "v": 0.0}]


class Channel(FieldModel):
    """u = factor 4 U (y / h) (1 - y / h) in a box of scales that are not one."""

    def __init__(self, factor: float) -> None:
        super().__init__(2, 3, origin=[0.0, 0.0], coordinate_scales=0.7, field_scales=[SPEED, SPEED, SPEED**2])
        self.frequencies, self.factor = torch.zeros((2, 1), dtype=torch.float64), factor

    def jet(self, x: torch.Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        s, zero = 0.7 * x[:, 1] / HEIGHT, torch.zeros_like(x[:, 0])
        fields = torch.stack([4 * self.factor * s * (1 - s), zero, zero], dim=1)
        along_y = torch.stack([4 * self.factor * (1 - 2 * s) * 0.7 / HEIGHT, zero, zero], dim=1)
        first = [along_y if axis == 1 else torch.zeros_like(fields) for axis in spec.first]
        return pinn_ext.Jet(torch.stack([fields, *first]), spec)


def a_channel(folder: Path, *, scattered: bool = False, top: float = HEIGHT, boundaries: Any = (*OPEN, *WALLS)) -> Any:
    x, y = np.linspace(0.0, 2.0, 17), np.linspace(0.0, top, 13)
    at = np.meshgrid(x, y, indexing="ij")
    u = 4 * SPEED * at[1] / HEIGHT * (1 - at[1] / HEIGHT)
    given: dict[str, Any] = {"x": x, "y": y, "u": u, "v": 0 * u}
    if scattered:
        given = {name: values.ravel() for name, values in zip("xyuv", (*at, u, 0 * u), strict=True)}
    np.savez(folder / "channel.npz", **given)
    settings = {"data.path": str(folder / "channel.npz"), "data.axes": ["n"] if scattered else ["x", "y"]}
    settings |= {"flow.nu": NU, "domain.x": [0.0, 2.0], "domain.y": [0.0, HEIGHT], "boundaries": list(boundaries)}
    settings |= {"flow.scales.velocity": SPEED, "sensors.count": 4, "sensors.method": "random"}
    return load_case(load_config(None, list(settings.items())))


def test_the_shear_at_walls_is_that_of_the_flow(tmp_path: Path) -> None:
    """The inlet is no wall, nor is a side without a condition."""
    bottom, top = walls_and_shear(a_channel(tmp_path), Channel(1.1), NU, 0.0)
    assert (bottom["side"], top["side"]) == ("bottom", "top")
    for wall in (bottom, top):
        assert (wall["mean"], wall["largest"]) == pytest.approx((1.1 * SHEAR, 1.1 * SHEAR))
        assert (wall["reference_mean"], wall["reference_largest"]) == pytest.approx((SHEAR, SHEAR))
        assert wall["relative_l2"] == pytest.approx(0.1)
    (right, _) = walls_and_shear(a_channel(tmp_path), Channel(1.0), NU, 0.0)
    assert right["relative_l2"] < 1e-9
    (said,) = beside_errors({"walls": [bottom]})
    assert said.startswith("The shear at the wall bottom is 0.22 U^2 in the mean, and at most 0.22 U^2, at (")
    assert said.endswith(
        "The reference has 0.2 and 0.2: a relative error of 10 %.".replace("10 %", "10\N{NO-BREAK SPACE}%")
    )


def test_without_lines_of_a_reference_on_the_wall_it_stands_alone(tmp_path: Path) -> None:
    for case in (a_channel(tmp_path, scattered=True), a_channel(tmp_path, top=0.9 * HEIGHT)):
        *_, top = walls_and_shear(case, Channel(1.0), NU, 0.0)
        assert top["mean"] == pytest.approx(SHEAR)
        assert "relative_l2" not in top
        (said,) = beside_errors({"walls": [top]})
        assert "reference" not in said


def test_ends_where_sides_disagree_do_not_count(tmp_path: Path) -> None:
    case = a_channel(tmp_path, boundaries=[{"where": {"side": "top"}, "u": 1.0, "v": 0.0}])
    (lid,) = walls_and_shear(case, Channel(1.0), NU, 0.9)
    assert 0.9 < lid["worst_at"][0] < 1.1
    assert walls_and_shear(case, Channel(1.0), NU, 1.1) == []
