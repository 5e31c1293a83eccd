"""The shear at the walls of a channel is exact, and a network that is wrong by a tenth there is wrong by a tenth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pinn_ext
from pinnx.config import load_config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging.wall_forces import walls_and_shear
from pinnx.models import FieldModel
from pinnx.report.tables import beside_errors

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


def a_case(folder: Path, *, scattered: bool = False, top: float = HEIGHT, boundaries: Any = (*OPEN, *WALLS)) -> Any:
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
    bottom, top = walls_and_shear(a_case(tmp_path), Channel(1.1), NU, 0.0)
    assert (bottom["side"], top["side"]) == ("bottom", "top")
    for wall in (bottom, top):
        assert (wall["mean"], wall["largest"]) == pytest.approx((1.1 * SHEAR, 1.1 * SHEAR))
        assert (wall["reference_mean"], wall["reference_largest"]) == pytest.approx((SHEAR, SHEAR))
        assert wall["relative_l2"] == pytest.approx(0.1)
    (right, _) = walls_and_shear(a_case(tmp_path), Channel(1.0), NU, 0.0)
    assert right["relative_l2"] < 1e-9
    (said,) = beside_errors({"walls": [bottom]})
    assert said.startswith("The shear at the wall bottom is 0.22 U^2 in the mean, and at most 0.22 U^2, at (")
    assert said.endswith(
        "The reference has 0.2 and 0.2: a relative error of 10 %.".replace("10 %", "10\N{NO-BREAK SPACE}%")
    )


def test_without_lines_of_a_reference_on_the_wall_it_stands_alone(tmp_path: Path) -> None:
    for case in (a_case(tmp_path, scattered=True), a_case(tmp_path, top=0.9 * HEIGHT)):
        *_, top = walls_and_shear(case, Channel(1.0), NU, 0.0)
        assert top["mean"] == pytest.approx(SHEAR)
        assert "relative_l2" not in top
        (said,) = beside_errors({"walls": [top]})
        assert "reference" not in said


def test_ends_where_sides_disagree_do_not_count(tmp_path: Path) -> None:
    case = a_case(tmp_path, boundaries=[{"where": {"side": "top"}, "u": 1.0, "v": 0.0}])
    (lid,) = walls_and_shear(case, Channel(1.0), NU, 0.9)
    assert 0.9 < lid["worst_at"][0] < 1.1
    assert walls_and_shear(case, Channel(1.0), NU, 1.1) == []
