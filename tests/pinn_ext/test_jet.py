"""JetSpec and Jet: what they accept, how streams are laid out, what they say when misused."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pinn_ext import Jet, JetSpec


def numbered_jet(spec: JetSpec, n: int = 4, c: int = 3) -> Jet:
    """Stream k holds the number k everywhere."""
    data = torch.arange(spec.num_streams, dtype=torch.float64)[:, None, None]
    return Jet(data.expand(spec.num_streams, n, c).contiguous(), spec)


@pytest.mark.parametrize(
    ("first", "laplacian", "num_streams"),
    [((), (), 1), ((0,), (), 2), ((0, 1, 2), (1, 2), 5), ((3, 1), (1,), 4), ((0, 1), (0, 1), 4)],
)
def test_number_of_streams(first: tuple[int, ...], laplacian: tuple[int, ...], num_streams: int) -> None:
    spec = JetSpec(first=first, laplacian=laplacian)
    assert spec.num_streams == num_streams
    assert spec.has_laplacian == bool(laplacian)


def test_lists_become_tuples_and_specs_are_values() -> None:
    spec = JetSpec(first=[0, 1], laplacian=[1], weights=[2])
    assert spec == JetSpec(first=(0, 1), laplacian=(1,), weights=(2.0,))
    assert hash(spec) == hash(JetSpec(first=(0, 1), laplacian=(1,), weights=(2.0,)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.first = (0,)


def test_laplacian_weights_follow_the_order_of_first() -> None:
    assert JetSpec(first=(2, 0, 1), laplacian=(1, 2)).laplacian_weights == (1.0, 0.0, 1.0)
    spec = JetSpec(first=(2, 0, 1), laplacian=(1, 2), weights=(4.0, -0.5))
    assert spec.laplacian_weights == (-0.5, 0.0, 4.0)
    assert JetSpec(first=(0, 1)).laplacian_weights == (0.0, 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": (0, 0)}, r"first: expected distinct coordinates >= 0, got \(0, 0\)"),
        ({"first": (-1,)}, r"first: expected distinct coordinates >= 0, got \(-1,\)"),
        ({"first": (0,), "laplacian": (0, 0)}, r"laplacian: expected distinct coordinates >= 0"),
        ({"first": (0,), "laplacian": (1,)}, r"laplacian: expected coordinates that are also in"),
        ({"first": (0,), "laplacian": (0,), "weights": (1.0, 2.0)}, r"weights: expected one per"),
        ({"first": (0,), "weights": (1.0,)}, r"weights: expected one per axis"),
        (
            {"first": (0,), "laplacian": (0,), "weights": (float("nan"),)},
            r"weights: expected finite numbers",
        ),
    ],
)
def test_wrong_specs(arguments: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JetSpec(**arguments)


@pytest.mark.parametrize("first", [0, (0.7,), "01"])
def test_coordinates_are_whole_numbers(first: object) -> None:
    with pytest.raises(TypeError, match=r"^first: expected a sequence of whole numbers, got "):
        JetSpec(first=first)


def test_streams_by_name() -> None:
    jet = numbered_jet(JetSpec(first=(2, 0, 1), laplacian=(1, 2)))
    assert jet.value.shape == (4, 3)
    assert (jet.value == 0).all()
    assert jet.first.shape == (3, 4, 3)
    assert (jet.first[:, 0, 0] == torch.tensor([1, 2, 3])).all()
    assert jet.laplacian is not None
    assert (jet.laplacian == 4).all()
    assert (jet.derivative(2) == 1).all()
    assert (jet.derivative(0) == 2).all()
    assert (jet.derivative(1) == 3).all()


def test_streams_are_views() -> None:
    jet = numbered_jet(JetSpec(first=(0,), laplacian=(0,)))
    jet.data[0, 0, 0] = 7.0
    assert jet.value[0, 0] == 7.0


def test_unpacks_like_a_tuple() -> None:
    value, first, laplacian = numbered_jet(JetSpec(first=(0, 1), laplacian=(0,)))
    assert value.shape == (4, 3)
    assert first.shape == (2, 4, 3)
    assert (laplacian == 3).all()
    value, first, laplacian = numbered_jet(JetSpec())
    assert value.shape == (4, 3)
    assert first.shape == (0, 4, 3)
    assert laplacian is None


def test_wrong_data_and_wrong_coordinate() -> None:
    spec = JetSpec(first=(0, 2))
    with pytest.raises(ValueError, match=r"data: expected shape \[3, n, c\].*got \[2, 4, 3\]"):
        Jet(torch.zeros(2, 4, 3), spec)
    with pytest.raises(ValueError, match=r"data: expected shape \[3, n, c\].*got \[3, 4\]"):
        Jet(torch.zeros(3, 4), spec)
    with pytest.raises(ValueError, match=r"coordinate: expected one of first=\(0, 2\), got 1"):
        Jet(torch.zeros(3, 4, 3), spec).derivative(1)


def test_repr_names_shape_and_spec() -> None:
    text = repr(numbered_jet(JetSpec(first=(0, 1))))
    assert "[3, 4, 3]" in text
    assert "float64" in text
    assert "first=(0, 1)" in text
