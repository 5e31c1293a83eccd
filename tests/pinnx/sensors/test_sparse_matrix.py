"""The measurement as a matrix: one answer in every form, an exact adjoint, gradients, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from pinnx.errors import PinnxError
from pinnx.sensors.sparse_matrix import SparseSensorMatrix

GRIDS = [(7,), (4, 5), (3, 4, 5), (1, 6)]


def places_on(rng: np.random.Generator, grid: tuple[int, ...], k: int = 3) -> np.ndarray:
    return rng.permutation(int(np.prod(grid)))[:k]


@pytest.mark.parametrize("components", [None, 1, 2])
@pytest.mark.parametrize("batch", [(), (2,), (3, 2), (0,)])
@pytest.mark.parametrize("grid", GRIDS)
def test_reads_the_field_at_its_places(
    rng: np.random.Generator, grid: tuple[int, ...], batch: tuple[int, ...], components: int | None
) -> None:
    places = places_on(rng, grid)
    matrix = SparseSensorMatrix(places, grid, components=components)
    last = () if components is None else (components,)
    field = rng.normal(size=(*batch, *grid, *last))
    at = np.unravel_index(places, grid)
    wanted = field[(*(slice(None) for _ in batch), *at)]
    assert wanted.shape == (*batch, 3, *last)
    np.testing.assert_array_equal(matrix @ field, wanted)
    np.testing.assert_array_equal(matrix.sample(field.reshape(*batch, int(np.prod(grid)), *last)), wanted)
    np.testing.assert_array_equal((matrix @ torch.from_numpy(field)).numpy(), wanted)
    values = rng.normal(size=wanted.shape)
    back = matrix.adjoint(values)
    assert back.shape == field.shape
    assert np.vdot(field, back) == pytest.approx(np.vdot(wanted, values))
    np.testing.assert_array_equal(matrix @ back, values)
    assert np.count_nonzero(back) == values.size
    np.testing.assert_array_equal(matrix.adjoint(torch.from_numpy(values)).numpy(), back)


@pytest.mark.parametrize("components", [None, 3])
def test_all_forms_are_one_matrix(rng: np.random.Generator, components: int | None) -> None:
    places = places_on(rng, (4, 5), 6)
    matrix = SparseSensorMatrix(places, (4, 5), components=components)
    c = components or 1
    dense = matrix.to_scipy().toarray()
    assert matrix.shape == dense.shape == (6 * c, 20 * c)
    np.testing.assert_array_equal(dense.sum(axis=1), 1.0)
    np.testing.assert_array_equal(dense @ dense.T, np.eye(6 * c))
    field = rng.normal(size=(4, 5) if components is None else (4, 5, c))
    np.testing.assert_array_equal(dense @ field.ravel(), (matrix @ field).ravel())
    sparse = matrix.to_torch(torch.float32)
    assert sparse.dtype == torch.float32
    assert sparse.is_coalesced()
    np.testing.assert_array_equal(sparse.to_dense().numpy(), dense)
    operator = matrix.linear_operator()
    block = rng.normal(size=(20 * c, 2))
    np.testing.assert_array_equal(operator @ field.ravel(), dense @ field.ravel())
    np.testing.assert_array_equal(operator @ block, dense @ block)
    np.testing.assert_array_equal(operator.H @ (operator @ block), dense.T @ (dense @ block))
    np.testing.assert_array_equal(operator.H @ (operator @ field.ravel()), dense.T @ (dense @ field.ravel()))


def test_serves_an_iterative_solver(rng: np.random.Generator) -> None:
    """Coefficients of three modes from five places by LSQR, without a matrix."""
    modes = rng.normal(size=(30, 3))
    matrix = SparseSensorMatrix([3, 29, 11, 7, 15], 30)
    wanted = np.array([1.0, -2.0, 0.5])
    operator = matrix.linear_operator() @ scipy.sparse.linalg.aslinearoperator(modes)
    found = scipy.sparse.linalg.lsqr(operator, matrix @ (modes @ wanted), atol=1e-12, btol=1e-12)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("components", [None, 2])
def test_is_differentiable(components: int | None) -> None:
    matrix = SparseSensorMatrix([5, 0, 3], (2, 3), components=components)
    last = () if components is None else (components,)
    field = torch.randn(2, 2, 3, *last, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, 3, *last, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix.sample, field)
    assert torch.autograd.gradcheck(matrix.adjoint, values)
    assert torch.autograd.gradgradcheck(lambda f: matrix.sample(f) ** 2, field)
    (gradient,) = torch.autograd.grad((matrix @ field).sum(), field)
    torch.testing.assert_close(gradient, matrix.adjoint(torch.ones_like(values)))


def test_indices_along_each_axis_are_the_same_places(rng: np.random.Generator) -> None:
    field = rng.normal(size=(4, 5))
    along = SparseSensorMatrix([[3, 4], [0, 1], [2, 2]], (4, 5))
    assert along.indices.tolist() == [19, 1, 12]
    np.testing.assert_array_equal(along @ field, [field[3, 4], field[0, 1], field[2, 2]])
    assert "3 sensors on (4, 5)" in repr(along)


def test_what_was_given_cannot_change_it_later() -> None:
    given = np.array([1, 2])
    matrix = SparseSensorMatrix(given, 4)
    given[:] = 0
    assert matrix.indices.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        matrix.indices[0] = 3
    field = np.zeros(4)
    seen = matrix @ field
    seen += 1.0
    assert not field.any()


def test_other_dtypes_and_strides(rng: np.random.Generator) -> None:
    matrix = SparseSensorMatrix([4, 1], (2, 3))
    field = rng.integers(0, 9, size=(3, 2)).T
    assert (matrix @ field).dtype == field.dtype
    np.testing.assert_array_equal(matrix @ field, field.reshape(-1)[[4, 1]])
    half = torch.randn(2, 3).half()
    assert (matrix @ half).dtype == torch.float16
    np.testing.assert_array_equal((matrix @ torch.from_numpy(field)).numpy(), matrix @ field)


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        (([0], ()), {}, "grid_shape: expected numbers of points >= 1, got ()"),
        (([0], (3, 0)), {}, "grid_shape: expected numbers of points >= 1, got (3, 0)"),
        (([0], 3), {"components": 0}, "components: expected an integer >= 1 or None, got 0"),
        ((3, 5), {}, "sensor_indices: expected shape [k] or [k, 1], got []"),
        (([[0, 1, 2]], (3, 4)), {}, "sensor_indices: expected shape [k] or [k, 2], got [1, 3]"),
        (([0.5], 3), {}, "sensor_indices: expected one integer or more, got float64 [1]"),
        (([True], 3), {}, "sensor_indices: expected one integer or more, got bool [1]"),
        ((np.zeros(0, int), 3), {}, "sensor_indices: expected one integer or more, got int64 [0]"),
        (([1, 12], (3, 4)), {}, "sensor_indices: expected places of a grid of 3, 4 points, got 12 for sensor 2"),
        (([-1], 4), {}, "sensor_indices: expected places of a grid of 4 points, got -1 for sensor 1"),
        (([[0, 0], [0, 4]], (3, 4)), {}, "sensor_indices: expected places of a grid of 3, 4 points, got [0, 4] for"),
        (([2, 1, 2], 4), {}, "sensor_indices: expected distinct places, got 2 again for sensor 3"),
    ],
)
def test_refuses(arguments: tuple, more: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        SparseSensorMatrix(*arguments, **more)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor])
def test_refuses_fields_of_another_shape(convert) -> None:
    matrix = SparseSensorMatrix([0, 5], (2, 3))
    with pytest.raises(PinnxError) as caught:
        matrix @ convert(np.zeros((3, 2)))
    assert str(caught.value) == "field: expected shape [..., 2, 3] or [..., 6], got [3, 2]"
    with pytest.raises(PinnxError) as caught:
        matrix.adjoint(convert(np.zeros(3)))
    assert str(caught.value) == "values: expected shape [..., 2], got [3]"
    vector = SparseSensorMatrix([0, 5], 6, components=2)
    with pytest.raises(PinnxError) as caught:
        vector @ convert(np.zeros((6, 3)))
    assert str(caught.value) == "field: expected shape [..., 6, 2], got [6, 3]"
