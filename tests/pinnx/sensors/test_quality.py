"""Figures of a choice of sensors: against plain linear algebra, and telling a good choice from a bad one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import tolerances

from pinnx.errors import PinnxError
from pinnx.sensors import quality
from pinnx.sensors.quality import SelectionQuality, selection_quality


def smooth_fields(rng: np.random.Generator, num: int, n: int = 200) -> np.ndarray:
    """Random waves on [0, 1]: neighbouring places see nearly the same."""
    x = np.linspace(0.0, 1.0, n)
    waves = np.stack([np.cos(np.pi * i * x) for i in range(6)])
    return rng.normal(size=(num, 6)) @ waves


def modes_of(fields: np.ndarray, r: int) -> np.ndarray:
    return np.linalg.svd(fields, full_matrices=False)[2][:r].T


def pivots(basis: np.ndarray, k: int) -> np.ndarray:
    return scipy.linalg.qr(basis.T, mode="r", pivoting=True)[1][:k]


def test_agrees_with_plain_linear_algebra(rng: np.random.Generator) -> None:
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 7)
    mean = fields.mean(axis=0)
    basis = modes_of(fields - mean, 5)
    sensors = pivots(basis, 8)
    found = selection_quality(basis, sensors, mean=mean, held_out=unseen)
    values = np.linalg.svd(basis[sensors], compute_uv=False)
    close = {"rel": tolerances.quality_rounding(1 / values[-1])}
    assert found.num_sensors == 8
    assert found.num_modes == found.num_determined == 5
    assert found.log_volume == pytest.approx(np.log(values).sum(), **close)
    assert found.condition == pytest.approx(values[0] / values[-1], **close)
    assert found.error_amplification == pytest.approx(1 / values[-1], **close)
    wanted = unseen - mean
    rebuilt = wanted[:, sensors] @ np.linalg.pinv(basis[sensors]).T @ basis.T
    assert found.held_out_error == pytest.approx(np.linalg.norm(rebuilt - wanted) / np.linalg.norm(wanted), **close)
    best = wanted @ basis @ basis.T
    error = np.linalg.norm(best - wanted) / np.linalg.norm(wanted)
    assert found.basis_held_out_error == pytest.approx(error, **close)


def test_the_random_figures_are_those_of_random_places(rng: np.random.Generator) -> None:
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 7)
    basis = modes_of(fields, 5)
    found = selection_quality(basis, pivots(basis, 6), held_out=unseen, num_random=5, seed=3)
    drawn = [np.random.default_rng([3, i]).choice(200, 6, replace=False) for i in range(5)]
    each = [selection_quality(basis, places, held_out=unseen, num_random=1) for places in drawn]
    for name in ("log_volume", "condition", "error_amplification", "held_out_error"):
        wanted = np.median([getattr(one, name) for one in each])
        assert getattr(found, f"random_{name}") == pytest.approx(wanted), name
    assert selection_quality(basis, drawn[0], num_random=5, seed=3).random_condition == found.random_condition
    assert selection_quality(basis, drawn[0], num_random=5, seed=4).random_condition != found.random_condition


def test_pivots_are_better_than_random_places_and_a_corner_is_worse(rng: np.random.Generator) -> None:
    """The figures say which is which: a choice that is bad on purpose must fail what a good one passes."""
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 10) + 0.02 * rng.normal(size=(10, 200))
    basis = modes_of(fields, 6)
    good = selection_quality(basis, pivots(basis, 6), held_out=unseen)
    bad = selection_quality(basis, np.arange(6), held_out=unseen)
    for one, better in ((good, True), (bad, False)):
        assert (one.log_volume > one.random_log_volume) == better
        assert (one.condition < one.random_condition) == better
        assert (one.error_amplification < one.random_error_amplification) == better
        assert (one.held_out_error < one.random_held_out_error) == better
        assert one.held_out_error > one.basis_held_out_error
    assert good.held_out_error < 0.1 < bad.held_out_error
    assert good.as_dict().keys() == bad.as_dict().keys()


def test_every_figure_depends_on_the_choice(rng: np.random.Generator) -> None:
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 5) + 0.02 * rng.normal(size=(5, 200))
    basis = modes_of(fields, 5)
    one = selection_quality(basis, pivots(basis, 6), held_out=unseen)
    other = selection_quality(basis, np.arange(0, 200, 33)[:6], held_out=unseen)
    for name in ("log_volume", "condition", "error_amplification", "held_out_error"):
        assert getattr(one, name) != getattr(other, name), name
        assert getattr(one, f"random_{name}") == getattr(other, f"random_{name}"), name


def test_the_amplification_is_reached_by_the_worst_error(rng: np.random.Generator) -> None:
    basis = modes_of(smooth_fields(rng, 30), 5)
    sensors = pivots(basis, 7)
    amplification = selection_quality(basis, sensors).error_amplification
    inverse = np.linalg.pinv(basis[sensors])
    errors = rng.normal(size=(7, 1000))
    grown = np.linalg.norm(basis @ inverse @ errors, axis=0) / np.linalg.norm(errors, axis=0)
    assert grown.max() <= amplification * (1 + tolerances.quality_rounding(amplification))
    worst = np.linalg.svd(inverse)[2][0]
    assert np.linalg.norm(basis @ inverse @ worst) == pytest.approx(amplification)


def test_the_scaling_of_the_basis_does_not_matter_where_it_is_determined(rng: np.random.Generator) -> None:
    """Columns mixed and scaled over eight orders: the same span, so the same figures."""
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 5)
    basis = modes_of(fields, 5)
    mixed = basis @ np.diag(10.0 ** -np.arange(0, 10, 2)) @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    sensors = pivots(basis, 6)
    plain, scaled = (selection_quality(b, sensors, held_out=unseen).as_dict() for b in (basis, mixed))
    for name, value in plain.items():
        assert scaled[name] == pytest.approx(value, rel=tolerances.QUALITY_OF_GRADED_BASIS), name


def test_components_count_at_their_place(rng: np.random.Generator) -> None:
    basis = np.linalg.qr(rng.normal(size=(60, 6)))[0].reshape(30, 2, 6)
    unseen = rng.normal(size=(4, 30, 2))
    found = selection_quality(basis, np.array([3, 17, 21, 5]), held_out=unseen)
    values = np.linalg.svd(basis[[3, 17, 21, 5]].reshape(8, 6), compute_uv=False)
    assert found.condition == pytest.approx(values[0] / values[-1])
    assert found.num_sensors == 4
    assert found.num_determined == 6
    one_component = selection_quality(basis[:, :1], np.array([3, 17, 21, 5, 9, 11]), held_out=unseen[..., :1])
    flat = selection_quality(basis[:, 0], np.array([3, 17, 21, 5, 9, 11]), held_out=unseen[..., 0])
    assert one_component == flat


def test_fewer_numbers_than_modes(rng: np.random.Generator) -> None:
    """What is not measured is said, and the guess of the smallest coefficients follows the scaling."""
    fields = rng.normal(size=(20, 6)) * 4.0 ** -np.arange(6) @ smooth_fields(rng, 6)
    _, values, right = np.linalg.svd(fields, full_matrices=False)
    scaled, plain = right[:6].T * values[:6], right[:6].T
    sensors = pivots(scaled, 3)
    found = selection_quality(scaled, sensors, held_out=fields)
    assert found.num_modes == 6
    assert found.num_determined == 3
    assert math.isfinite(found.condition)
    assert found.held_out_error < selection_quality(plain, sensors, held_out=fields).held_out_error


def test_places_that_see_the_same_show_as_infinite(rng: np.random.Generator) -> None:
    basis = rng.normal(size=(50, 3))
    basis[7] = basis[4]
    found = selection_quality(basis, np.array([4, 7, 20]), num_random=3)
    assert found.num_determined == 2
    assert found.condition == found.error_amplification == math.inf
    assert found.log_volume == -math.inf
    assert math.isfinite(found.random_condition)


def test_medians_of_infinities() -> None:
    """A field that one place alone sees: random places miss it, which is an infinite amplification, and no NaN."""
    basis = np.zeros((400, 2))
    basis[:, 0], basis[3, 1] = 1.0, 1.0
    found = selection_quality(basis, np.array([3, 9]), num_random=4)
    assert found.random_error_amplification == found.random_condition == math.inf
    assert found.random_log_volume == -math.inf
    assert math.isfinite(found.error_amplification)


def test_dependent_columns_are_counted_once(rng: np.random.Generator) -> None:
    basis = modes_of(smooth_fields(rng, 30), 4)
    repeated = np.concatenate([basis, basis @ rng.normal(size=(4, 3))], axis=1)
    sensors = pivots(basis, 5)
    one, other = selection_quality(basis, sensors), selection_quality(repeated, sensors)
    assert other.num_modes == 4
    assert other.condition == pytest.approx(one.condition)


def test_blocks_of_rows_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    basis, unseen = rng.normal(size=(301, 2, 5)), rng.normal(size=(3, 301, 2))
    arguments = {"mean": rng.normal(size=(301, 2)), "held_out": unseen}
    whole = selection_quality(basis, np.arange(0, 300, 40), **arguments).as_dict()
    monkeypatch.setattr("pinnx.sensors.quality.BLOCK_NUMBERS", 100)
    for name, value in selection_quality(basis, np.arange(0, 300, 40), **arguments).as_dict().items():
        assert value == pytest.approx(whole[name], rel=tolerances.quality_rounding(100.0)), name


def test_float32_agrees_with_float64(rng: np.random.Generator) -> None:
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 5)
    basis = modes_of(fields, 5)
    sensors = pivots(basis, 6)
    wide = selection_quality(basis, sensors, held_out=unseen)
    narrow = selection_quality(basis.astype(np.float32), sensors, held_out=unseen.astype(np.float32))
    assert narrow.num_modes == 5
    assert narrow.condition == pytest.approx(wide.condition, rel=tolerances.QUALITY_FLOAT32)


def test_is_frozen() -> None:
    found = selection_quality(np.eye(4)[:, :2], np.array([0, 1]))
    with pytest.raises(AttributeError):
        found.condition = 1.0  # type: ignore[misc]
    assert isinstance(replace(found, condition=2.0), SelectionQuality)


EYE = np.eye(5)[:, :2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(4), [0]), "basis: expected shape [n, r] or [n, c, r], got [4]"),
        ((np.zeros((4, 2)), [0]), "basis: expected columns that are not zero, got zeros"),
        ((np.full((4, 2), np.nan), [0]), "basis: expected finite values, got NaN or infinite ones"),
        ((np.eye(4, dtype=complex), [0]), "basis: expected real numbers, got complex128"),
        ((EYE, [0.0]), "sensors: expected integers of shape [k], got float64 [1]"),
        ((EYE, np.zeros(0, dtype=int)), "sensors: expected integers of shape [k], got int64 [0]"),
        ((EYE, [0, 5]), "sensors: expected places from 0 to 4, got 0 to 5"),
        ((EYE, [-1, 2]), "sensors: expected places from 0 to 4, got -1 to 2"),
        ((EYE, [2, 2]), "sensors: expected distinct places, got [2, 2]"),
    ],
)
def test_refuses(arguments: tuple, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        selection_quality(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_random": 0}, "num_random: expected an integer >= 1, got 0"),
        ({"held_out": np.zeros((3, 4))}, "held_out: expected shape [T, 5], got [3, 4]"),
        ({"held_out": np.zeros((0, 5))}, "held_out: expected shape [T, 5], got [0, 5]"),
        ({"held_out": np.zeros((3, 5))}, "held_out: expected fields that differ from the mean, got the mean itself"),
        ({"held_out": np.ones((3, 5)), "mean": np.ones(4)}, "mean: expected shape [5], got [4]"),
        (
            {"held_out": np.full((3, 5), np.inf)},
            "held_out: expected finite fields and a finite mean, got NaN or infinite values",
        ),
    ],
)
def test_refuses_held_out_fields(more: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        selection_quality(EYE, [0, 1], **more)
    assert str(caught.value) == message


class Sliced:
    """Fields of a file: rows are read when they are sliced, and how many at a time is kept."""

    def __init__(self, fields: np.ndarray) -> None:
        self._fields, self.shape, self.dtype, self.sizes = fields, fields.shape, fields.dtype, list[int]()

    def __getitem__(self, rows: slice) -> np.ndarray:
        block = self._fields[rows]
        self.sizes.append(len(block))
        return block.copy()


@pytest.mark.parametrize("components", [1, 2])
def test_held_out_fields_in_blocks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, components: int) -> None:
    fields, unseen = smooth_fields(rng, 30), smooth_fields(rng, 21) + 0.1 * rng.normal(size=(21, 200))
    if components == 2:
        fields, unseen = fields.reshape(30, 100, 2), unseen.reshape(21, 100, 2)
    basis = np.linalg.svd(fields.reshape(30, -1), full_matrices=False)[2][:5].reshape(5, *fields.shape[1:])
    basis, sensors, mean = np.moveaxis(basis, 0, -1), [3, 50, 97], fields.mean(axis=0)
    monkeypatch.setattr(quality, "STREAM_NUMBERS", 1)
    monkeypatch.setattr(quality, "FEWEST_SNAPSHOTS", 4)
    told: list[tuple[str, int, int | None]] = []
    lazy = Sliced(unseen)
    streamed = selection_quality(basis, sensors, mean=mean, held_out=lazy, progress=lambda *said: told.append(said))
    assert lazy.sizes == [4, 4, 4, 4, 4, 1]
    assert told == [("held-out", done, 21) for done in (4, 8, 12, 16, 20, 21)]
    whole = selection_quality(basis, sensors, mean=mean, held_out=unseen)
    for name, wanted in whole.as_dict().items():
        assert getattr(streamed, name) == pytest.approx(wanted, rel=1e-12), name
    # Every block counts.
    for frame in (0, 20):
        changed = unseen.copy()
        changed[frame] += 1.0
        other = selection_quality(basis, sensors, mean=mean, held_out=Sliced(changed))
        assert other.held_out_error != pytest.approx(whole.held_out_error, rel=1e-3)
    changed[20, 3] = np.nan
    for wrong, message in (
        (Sliced(changed), "held_out: expected finite fields"),
        (Sliced(unseen[:, :50]), r"held_out: expected shape \[T, "),
        (Sliced(unseen[:0]), r"held_out: expected shape \[T, "),
        (Sliced(unseen.astype(complex)), "held_out: expected real numbers"),
        (Sliced(np.stack([mean, mean])), "held_out: expected fields that differ from the mean"),
    ):
        with pytest.raises(PinnxError, match=message):
            selection_quality(basis, sensors, mean=mean, held_out=wrong)
