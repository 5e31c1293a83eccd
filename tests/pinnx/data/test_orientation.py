"""Orientation: a right field passes, each wrong reading of it is found and its remedy named."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import tolerances

from pinnx.data import check_orientation, relative_divergence
from pinnx.errors import PinnxError


def waves(*sizes: int, stretching: float = 1.2) -> tuple[np.ndarray, list[np.ndarray]]:
    """Two frames of a divergence-free flow without symmetry, on an uneven grid."""
    lines = [np.linspace(0, 1, size) ** stretching + axis / 10 for axis, size in enumerate(sizes)]
    mesh = np.meshgrid(*lines, indexing="ij")
    frames = []
    for t in (0.0, 1.0):
        fields = [np.zeros(sizes) for _ in sizes]
        for k in ((1.0, 3.0, 2.0), (2.0, -1.0, 0.5)):
            # A velocity normal to its wave vector is free of divergence; in the plane k_z = 0.
            wave = np.array([*k[: len(sizes)], 0.0])[:3]
            along = np.cross(wave, [0.3, -0.4, 1.0] if len(sizes) == 3 else [0.0, 0.0, 1.0])
            phase = sum(part * axis for part, axis in zip(wave, mesh, strict=False)) + t
            for component in range(len(sizes)):
                fields[component] = fields[component] + along[component] * np.sin(phase)
        frames.append(np.stack(fields, axis=-1))
    return np.stack(frames), lines


@pytest.mark.parametrize("sizes", [(24, 24), (24, 30), (16, 16, 16), (12, 14, 16), (16, 16, 12)])
def test_a_right_field_passes(sizes: tuple[int, ...]):
    velocity, lines = waves(*sizes)
    assert relative_divergence(velocity, lines) < tolerances.COARSE_DIVERGENCE
    check_orientation(velocity, lines, ("t", *"xyz"[: len(sizes)]))


@pytest.mark.parametrize("order", list(permutations("xyz"))[1:])
def test_each_wrong_order_in_space_is_found(order: tuple[str, ...]):
    velocity, lines = waves(16, 16, 16)
    # The file holds the axes in `order`; somebody reads them as (x, y, z).
    stored = velocity.transpose(0, *(1 + "xyz".index(axis) for axis in order), 4)
    fits = ", ".join(f'"{axis}"' for axis in order)
    with pytest.raises(PinnxError, match=rf'with \("t", "x", "y", "z"\).* \("t", {fits}\) fits'):
        check_orientation(stored, [lines[0]] * 3, ("t", "x", "y", "z"))


@pytest.mark.parametrize("axis", [0, 1])
def test_an_axis_backwards_in_the_plane_is_found(axis: int):
    # Backwards in x is backwards in y and the whole turned by 180 degrees: the same remedy.
    velocity, lines = waves(24, 20, stretching=1.0)
    stored = np.flip(velocity, axis=1 + axis)
    with pytest.raises(PinnxError, match=r'\("y", "x"\) with the values of y in reverse fits'):
        check_orientation(stored, lines, ("y", "x"))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_backwards_in_space_is_found(axis: int):
    velocity, lines = waves(12, 14, 16, stretching=1.0)
    stored = np.flip(velocity, axis=1 + axis)
    with pytest.raises(PinnxError, match=rf"with the values of {'xyz'[axis]} in reverse fits"):
        check_orientation(stored, lines, ("t", "x", "y", "z"))


def test_falling_coordinates_are_no_error():
    velocity, lines = waves(24, 24)
    check_orientation(velocity[:, :, ::-1], [lines[0], lines[1][::-1]], ("t", "x", "y"))


def test_a_shear_flow_transposed_diverges_with_its_whole_gradient():
    y = np.linspace(0, 1, 9)
    shear = np.zeros((9, 9, 2))
    shear[..., 0] = y
    assert relative_divergence(shear, [y, y]) == 0.0
    assert relative_divergence(shear.swapaxes(0, 1), [y, y]) == pytest.approx(1.0)


def test_only_the_given_order_is_blamed_where_shapes_forbid_another():
    velocity, lines = waves(16, 16, 12)
    stored = velocity.transpose(0, 2, 1, 3, 4)  # x and y exchanged: the shape cannot tell
    with pytest.raises(PinnxError, match=r'\("z", "x", "y"\) fits'):
        check_orientation(stored, [lines[0], lines[0], lines[2]], ("z", "y", "x"))


@pytest.mark.parametrize("sizes", [(24, 30), (12, 14, 16)])
def test_exchanged_components_are_found(sizes: tuple[int, ...]):
    velocity, lines = waves(*sizes)
    exchanged = [1, 0, *range(2, len(sizes))]
    with pytest.raises(PinnxError, match=r"not divergence-free .*, u and v exchanged fits \(0\.0"):
        check_orientation(velocity[..., exchanged], lines, ("t", *"xyz"[: len(sizes)]))
    square, lines = waves(24, 24)
    with pytest.raises(PinnxError, match=r'axes \("y", "x"\) fits \(.*\), and so does u and v exchanged'):
        check_orientation(square[..., [1, 0]], lines, ("x", "y"))


def test_what_cannot_be_judged_is_said(rng: np.random.Generator):
    lines = [np.linspace(0, 1, 20)] * 2
    (said,) = check_orientation(rng.standard_normal((1, 20, 20, 2)), lines, ("x", "y"))
    assert said.startswith("The velocity is far from divergence-free (|div u| / |grad u| = 0.")
    uniform = np.ones((1, 20, 20, 2))
    assert np.isnan(relative_divergence(uniform, lines))
    (said,) = check_orientation(uniform, lines, ("x", "y"))
    assert said.startswith("The velocity is uniform")


def test_a_slice_of_a_flow_in_space_is_said():
    velocity, lines = waves(30, 30, 30)
    assert check_orientation(velocity, lines, ("t", "x", "y", "z")) == []
    plane = velocity[:, :, :, 12, :2] * [1.0, 0.8]  # the rest of the motion is across the plane
    (said,) = check_orientation(plane, lines[:2], ("t", "x", "y"))
    assert said.startswith(
        "The velocity is not quite divergence-free (|div u| / |grad u| = 0.23): noise, a coarse grid"
    )


def test_two_points_along_an_axis_are_enough():
    lines = [np.array([0.0, 1.0]), np.array([0.0, 0.5, 2.0])]
    x, y = np.meshgrid(*lines, indexing="ij")
    assert relative_divergence(np.stack([x, -y], axis=-1), lines) < tolerances.EPS64
    assert relative_divergence(np.stack([x, y], axis=-1), lines) == pytest.approx(2**0.5)


@pytest.mark.parametrize("shape", [(4, 5, 2), (5, 4, 3), (5, 2), (5, 1, 2)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]):
    with pytest.raises(PinnxError, match=r"velocity: expected shape \[\.\.\., 5, "):
        relative_divergence(np.zeros(shape), [np.arange(5.0), np.arange(float(shape[1]))])
