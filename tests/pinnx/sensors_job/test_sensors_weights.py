"""`pinnx sensors --weights`: an array of the file or the rule for channels reaches the choice, place by place."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np
import pytest

from pinnx.cli import main
from pinnx.sensors import SensorSelector, SensorSet, cell_areas

X, Y = np.linspace(0.0, 3.0, 13), np.linspace(-1.0, 1.0, 17)


def waves(rng: np.random.Generator) -> np.ndarray:
    """Twelve fields [t, y, x] of a few waves."""
    y, x = np.meshgrid(Y, X, indexing="ij")
    shapes = np.stack([np.cos(a * x + b * y) for a, b in ((1, 0), (0, 2), (2, 1), (1, 3), (3, 2), (2, 4))])
    return np.tensordot(rng.normal(size=(12, 6)), shapes, axes=1)


def places(*words: str) -> np.ndarray:
    assert main(["sensors", *words, "--method", "qr", "--count", "4", "--quiet", "--out", "s.csv", "--overwrite"]) == 0
    return SensorSet.read_csv("s.csv").positions


def test_an_array_of_the_file(heat: str, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(heat) as file:
        arrays = dict(file)
    weights = np.where(arrays["xy"][:, 0] < 0.5, 1.0, 1e-3)
    np.savez(heat, weight=weights, both=np.stack([weights, 1.0 - weights]), **arrays)
    words = [heat, "--variable", "temperature"]
    free = places(*words)
    assert (free[:, 0] > 0.5).any()
    assert (places(*words, "--weights", "weight")[:, 0] < 0.5).all()
    assert (places(*words, "--weights", "both[1]")[:, 0] >= 0.5).all()
    assert main(["sensors", *words, "--count", "4", "--weights", "weight"]) == 0
    shown = capsys.readouterr().out
    assert "Places are weighted by weight, 0.001 to 1" in " ".join(shown.split())
    (header,) = (line for line in shown.splitlines() if "rank" in line)
    assert "weight" in header
    assert main(["sensors", *words, "--count", "4"]) == 0
    assert "weight" not in capsys.readouterr().out


@pytest.mark.parametrize("order", ["tyx", "txy"])
def test_weights_of_a_grid_stand_where_the_values_stand(rng: np.random.Generator, order: str) -> None:
    """Falling lines, either order of axes: a weight belongs to its place."""
    values = waves(rng)[:, ::-1]
    y, x = np.meshgrid(Y[::-1], X, indexing="ij")
    weights = 1.0 + x + 0.1 * y
    turn = order == "txy"
    np.savez(
        "grid.npz",
        q=values.swapaxes(1, 2) if turn else values,
        w=weights.T if turn else weights,
        x=X,
        y=Y[::-1],
    )
    got = places("grid.npz", "--variable", "q", "--weights", "w", f"data.axes=[{','.join(order)}]", "--hold-out", "0")
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    flat = values.reshape(12, -1)
    areas = cell_areas(points)
    wanted = SensorSelector(4, scale_modes=True, areas=areas, weights=weights.ravel()).fit(flat).selected_sensors_
    np.testing.assert_allclose(got, points[wanted])
    plain = SensorSelector(4, scale_modes=True, areas=areas).fit(flat).selected_sensors_
    assert wanted.tolist() != plain.tolist()


def test_weights_of_a_flow_are_cut_with_it(rng: np.random.Generator) -> None:
    weights = np.where(np.abs(np.tile(X, (Y.size, 1)) - 2.0) < 0.3, 1.0, 0.0)
    with h5py.File("flow.h5", "w") as file:
        file["x"], file["y"], file["t"], file["w"] = X, Y, np.arange(12.0), weights
        file["u"], file["v"] = waves(rng), waves(rng)
    flow = ["flow.h5", "data.arrays.t=t", "data.axes=[t,y,x]", "data.check_orientation=false"]
    for window in ([], ["data.window.x=[1.5,3]"], ["data.window.y=[0,1]", "data.times=[0,8]"]):
        got = places(*flow, *window, "--weights", "w")
        assert (np.abs(got[:, 0] - 2.0) < 0.3).all()
    assert not (np.abs(places(*flow)[:, 0] - 2.0) < 0.3).all()


def test_the_rule_for_channels(rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    # As the modes live in the middle, few sensors go to the walls unless they weigh more.
    np.savez("channel.npz", q=waves(rng) * np.cos(0.45 * np.pi * Y)[:, None], x=X, y=Y + 1.0)
    words = ["channel.npz", "--variable", "q", "data.axes=[t,y,x]"]

    def near(found: np.ndarray) -> int:
        return int((np.abs(found[:, 1] - 1.0) > 0.9 * (1 + 1e-9)).sum())

    assert near(places(*words, "--weights", "channel")) > near(places(*words))
    assert main(["sensors", *words, "--count", "4", "--weights", "channel"]) == 0
    assert "the rule for channels, 5 near the walls y = 0 and 2" in " ".join(capsys.readouterr().out.split())


def test_a_formula_of_the_configuration(rng: np.random.Generator, refused: Callable[..., str]) -> None:
    np.savez("flow.npz", u=waves(rng), v=waves(rng), x=X, y=Y, t=np.arange(12.0))
    words = ["flow.npz", "data.arrays.t=t", "data.axes=[t,y,x]", "data.check_orientation=false"]
    assert (places(*words)[:, 0] > 1.0).any()
    assert (places(*words, "sensors.weight=where(x < 1.1, 1, 0)")[:, 0] < 1.1).all()
    given = "sensors.weight: expected weights >= 0 that are not all 0, got "
    assert refused(*words, "sensors.weight=x - 1") == given + "-1 to 2"
    assert refused(*words, "sensors.weight=0*x") == given + "0 to 0"
    assert refused(*words, "sensors.weight=x", "--weights", "channel").startswith("--weights: expected none beside")


def test_an_array_that_is_called_channel(heat: str) -> None:
    with np.load(heat) as file:
        arrays = dict(file)
    np.savez(heat, channel=(arrays["xy"][:, 0] < 0.5).astype(float), **arrays)
    assert (places(heat, "--variable", "temperature", "--weights", "channel[:]")[:, 0] < 0.5).all()


def test_refuses(heat: str, rng: np.random.Generator, refused: Callable[..., str]) -> None:
    with np.load(heat) as file:
        arrays = dict(file)
    n = len(arrays["xy"])
    more = {
        "short": np.ones(n - 1),
        "minus": np.linspace(-1.0, 1.0, n),
        "zeros": np.zeros(n),
        "often": np.ones((20, n)),
        "holes": np.full(n, np.nan),
    }
    np.savez(heat, **arrays, **more)
    given = [heat, "--variable", "temperature", "--weights"]
    assert refused(*given, "none").startswith("variable: no array 'none' in heat.npz")
    assert refused(*given, "short").startswith(
        "short: expected an order that the shapes decide, got fields [149] with x [150], y [150]"
    )
    assert refused(*given, "minus") == "minus: expected weights >= 0 that are not all 0, got -1 to 1"
    assert refused(*given, "zeros") == "zeros: expected weights >= 0 that are not all 0, got 0 to 0"
    assert refused(*given, "often") == "often: expected one weight for each place, got [20, 150]"
    assert refused(*given, "holes").startswith("holes: expected values, got NaN at every place and time")
    np.savez("flat.npz", q=rng.normal(size=(6, 5)), x=np.arange(5.0), y=np.zeros(5))
    assert refused("flat.npz", "--variable", "q", "data.axes=[t,n]", "--weights", "channel", "--count", "2") == (
        "--weights channel: expected walls at two values of y, got y = 0 alone"
    )
    np.savez("flow.npz", u=waves(rng), v=waves(rng), x=X, y=Y, t=np.arange(12.0))
    flow = ["flow.npz", "data.arrays.t=t", "data.axes=[t,y,x]", "data.check_orientation=false"]
    assert refused(*flow, "data.window.y=[0,1]", "--weights", "channel").startswith(
        "--weights channel: expected the channel from wall to wall, got data.window.y=(0.0, 1.0)"
    )
