"""What is known and where the answer is wanted: every form of input, and what does not fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from same_runs import Tiny

import pinn_ext
from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.evals import TaylorGreen
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import choose_device


@pytest.mark.parametrize(
    ("name", "axes", "num_measured", "num_output", "grid"),
    [
        ("unsteady_grid", ("t", "x", "y"), 4 * 4, (30, 4), (6, 5)),
        ("steady_grid", ("x", "y"), 5, (42, 1), (7, 6)),
        ("scattered_3d", ("t", "x", "y", "z"), 6 * 3, (40, 3), None),
        ("unsteady_csv", ("t", "x", "y"), 5 * 3, (48, 3), (8, 6)),
        ("steady_csv", ("x", "y"), 4, (40, 1), (8, 5)),
    ],
)
def test_every_form_of_input(
    tiny: Tiny, name: str, axes: tuple[str, ...], num_measured: int, num_output: tuple[int, int], grid: tuple | None
) -> None:
    case = load_case(tiny(name))
    assert tuple(case.bounds) == axes
    assert case.steady == ("t" not in axes)
    assert case.coordinates.shape == (num_measured, len(axes))
    assert case.velocity.shape == (num_measured, case.dim)
    assert (len(case.output.points), case.output.num_frames) == num_output
    assert case.output.grid_shape == grid
    assert (case.reference is None) == name.endswith("csv")
    last = case.output.coordinates(case.output.num_frames - 1)
    assert last.shape == (num_output[0], len(axes))
    for column, (low, high) in zip(last.T, case.bounds.values(), strict=True):
        assert low <= column.min()
        assert column.max() <= high


def test_sensors_measure_the_flow_at_their_places_and_times(tiny: Tiny) -> None:
    case = load_case(tiny("unsteady_grid"))
    wanted = TaylorGreen(nu=0.1, wavenumber=2.0).velocity(*case.coordinates.T)
    np.testing.assert_array_equal(case.velocity, wanted)
    np.testing.assert_array_equal(case.coordinates[: len(case.sensors), 1:], case.sensors.positions)


def test_sensors_stand_where_places_count(tiny: Tiny) -> None:
    """A formula of the places makes a cover denser there; given positions have no use for it."""
    cover = ["sensors={method: coverage, count: 6}"]
    even = load_case(tiny("unsteady_grid", *cover)).sensors.positions
    dense = load_case(tiny("unsteady_grid", *cover, "sensors.weight=where(x > 1.3, 20, 1)")).sensors.positions
    assert (dense[:, 0] > 1.3).sum() > (even[:, 0] > 1.3).sum()
    with pytest.raises(PinnxError, match=r"^sensors\.weight: not for method positions"):
        tiny("unsteady_grid", "sensors={method: positions, positions: [[0.2, 0.3]], weight: x}")


def test_window_and_times_choose_rows_of_measurements(tiny: Tiny) -> None:
    whole = load_case(tiny("unsteady_csv"))
    part = load_case(tiny("unsteady_csv", "data.times=[0.2, 1.0]"))
    assert part.bounds["t"] == (0.5, 1.0)
    assert part.notes == ("10 of 15 rows are used, inside data.times = [0.2, 1].",)
    assert whole.notes == ()
    np.testing.assert_array_equal(part.coordinates, whole.coordinates[whole.coordinates[:, 0] > 0.2])


def test_what_is_measured_reaches_the_term(tiny: Tiny, tmp_path: Path) -> None:
    """A component at some places, a speed, a pressure: each counts where it was measured, and is named."""
    config = tiny("steady_csv", "train.dtype=float64")
    (tmp_path / "steady.csv").write_text("x;y;U [m/s];P;tempo\n0,1;0,1;0,5;;1\n0,3;-0,2;;2,5;\n0,4;0,1;;;0,7\n")
    assert load_case(config).measured == ("u", "p")
    config = tiny("steady_csv", "train.dtype=float64", "data.measurements.speed=tempo")
    (tmp_path / "steady.csv").write_text("x;y;U [m/s];P;tempo\n0,1;0,1;0,5;;\n0,3;-0,2;;2,5;\n0,4;0,1;;;0,7\n")
    case = load_case(config)
    assert case.measured == ("u", "p", "speed")
    assert len(case.sensors) == 3
    term = flow_problem(config, case).problem.terms[1]
    np.testing.assert_array_equal(term.mask, [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(term.values[term.mask], [0.5, 2.5, 0.7])


def test_three_dimensions_where_the_domain_has_them(tiny: Tiny, tmp_path: Path) -> None:
    rows = "x,y,z,u,v,w\n0,0,0.5,1,2,3\n0.5,0,0.5,1,2,3\n"
    config = tiny("steady_csv")
    (tmp_path / "steady.csv").write_text(rows)
    flat = load_case(config)
    assert (flat.dim, tuple(flat.bounds)) == (2, ("x", "y"))
    (tmp_path / "steady.csv").write_text(rows + "0.3,0.4,0.51,1,2,3\n")
    with pytest.raises(PinnxError, match=r"domain.z: .* data.measurements.z=null takes the flow in the plane"):
        load_case(config)
    config = tiny("steady_csv", "domain.z=[0, 1]")
    (tmp_path / "steady.csv").write_text(rows)
    assert (load_case(config).dim, load_case(config).notes) == (3, ())


def test_the_grid_of_measurements_reaches_the_ends_of_the_domain(tiny: Tiny) -> None:
    case = load_case(tiny("unsteady_csv"))
    assert case.output.times.tolist() == [0.0, 0.5, 1.0]
    assert case.output.points.min(axis=0).tolist() == [0.0, 0.0]
    assert case.output.points.max(axis=0).tolist() == [2.0, 1.5]
    assert len(case.sensors) == 5
    assert load_case(tiny("unsteady_csv", ("evals.grid", None))).output.grid_shape == (128, 96)


def test_output_times_are_few_or_as_wanted(tiny: Tiny, tmp_path: Path) -> None:
    """Sensors with clocks of their own have as many times as rows."""

    def case_of(rows: int, *overrides: str) -> Case:
        config = tiny("unsteady_csv", *overrides)
        times = np.linspace(0.0, 1.0, rows)
        table = np.column_stack([times, 0.2 + 0.5 * (np.arange(rows) % 4), 0 * times + 0.5, times, times])
        np.savetxt(tmp_path / "sensors.csv", table, delimiter=",", header="t,x,y,u,v", comments="", fmt="%.17g")
        return load_case(config)

    assert (case_of(200).output.num_frames, case_of(200).notes) == (200, ())
    many = case_of(201)
    assert (many.output.num_frames, len(many.sensors)) == (200, 4)
    assert (many.output.times[0], many.output.times[-1]) == (0.0, 1.0)
    assert many.notes == (
        "The fields are written at 200 evenly spaced times, not at the 201 of the rows; evals.times sets them.",
    )
    some = case_of(201, "evals.times=5", "domain.t=[0, 2]")
    assert (some.output.times.tolist(), some.notes) == ([0.0, 0.5, 1.0, 1.5, 2.0], ())
    assert case_of(201, "evals.times=[0.25, 0.75]").output.times.tolist() == [0.25, 0.75]
    assert case_of(5, "evals.times=[0.25]").output.times.tolist() == [0.25]
    for name in ("unsteady_grid", "steady_csv"):
        assert "evals.times is not used" in load_case(tiny(name, "evals.times=5")).notes[0]


def test_a_window_leaves_the_rest_out(tiny: Tiny) -> None:
    case = load_case(tiny("unsteady_grid", "data.window.x=[0.3, 1.7]", "data.times=[0.3, 1.0]", "boundaries=[]"))
    assert case.output.grid_shape == (4, 5)
    x, t = np.linspace(0.0, 2.0, 6), np.linspace(0.0, 1.0, 4)
    assert case.bounds == {"t": (t[1], t[3]), "x": (x[1], x[4]), "y": (0.0, 1.5)}
    inside = "inside data.window.x = [0.3, 1.7] and data.times = [0.3, 1]"
    assert case.notes == (f"20 of 30 places and 3 of 4 times are used, {inside}.",)
    coarse = load_case(tiny("unsteady_grid", "data.stride={t: 2, x: 3}", "data.window.x=[0.3, 1.9]", "boundaries=[]"))
    np.testing.assert_array_equal(coarse.output.times, t[::2])
    assert coarse.bounds["x"] == (x[1], x[4])
    said = "10 of 30 places and 2 of 4 times are used, inside data.window.x = [0.3, 1.9], with data.stride.t = 2, with"
    assert any(note.startswith(f"Most of the data is left out: only {said}") for note in coarse.notes)


def test_a_window_that_leaves_most_of_the_sensors_out_says_so(tiny: Tiny) -> None:
    (note,) = load_case(tiny("unsteady_csv", "data.window.x=[1.5, 1.7]")).notes
    assert note.startswith("Most of the data is left out: only 3 of 15 rows and 1 of 5 sensors are used, inside data.")


def test_the_domain_may_be_wider_than_the_data(tiny: Tiny) -> None:
    assert load_case(tiny("unsteady_grid", "domain.x=[-1, 3]", "domain.t=[-1, 2]")).bounds == {
        "t": (-1.0, 2.0),
        "x": (-1.0, 3.0),
        "y": (0.0, 1.5),
    }


def test_viscosity_of_the_configuration_comes_first(tiny: Tiny) -> None:
    assert (load_case(tiny("unsteady_grid")).nu, load_case(tiny("unsteady_grid")).notes) == (0.1, ())
    other = load_case(tiny("unsteady_grid", "flow.nu=0.3"))
    assert other.nu == 0.3
    assert other.notes == ("The viscosity is flow.nu = 0.3; that of the data, 0.1, is not used.",)


def test_noise_is_a_share_of_what_is_measured(tiny: Tiny) -> None:
    clean, noisy, again = (
        load_case(tiny("unsteady_grid", f"sensors.noise={noise}")).velocity for noise in (0, 0.1, 0.1)
    )
    np.testing.assert_array_equal(noisy, again)
    share = np.sqrt(np.mean((noisy - clean) ** 2) / np.mean(clean**2))
    assert 0.03 < share < 0.3


def test_the_demo_is_a_whole_period() -> None:
    demo = ["data.synthetic.resolution=16", "data.synthetic.num_frames=3", "sensors.count=4"]
    case = load_case(load_config("demo", demo))
    assert case.bounds["x"] == case.bounds["y"] == (0.0, 2 * np.pi)
    assert case.periods == {"x": 2 * np.pi, "y": 2 * np.pi}
    assert case.source.startswith("synthetic: ")
    assert case.notes[0] == "domain.x is not given: the period in x is that of the data, 6.28319."
    network = flow_problem(load_config("demo", [*demo, "train.dtype=float64"]), case).problem.model
    waves = network.frequencies[1:] * 2 * np.pi / torch.tensor(network.coordinate_scales[1:, None])
    torch.testing.assert_close(waves, waves.round(), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("unsteady_grid", "domain.x=[0.5, 3]", "domain.x: expected an extent around the data's [0, 2], got [0.5, 3.0]"),
        ("unsteady_grid", "domain.z=[0, 1]", "domain.z: the data has no z; expected none, got one"),
        ("unsteady_grid", "domain.periodic=[z]", "domain.z: the data has no z; expected none, got one"),
        ("steady_grid", "domain.t=[0, 1]", "domain.t: the data has no t; expected none, got one"),
        ("unsteady_grid", "domain.periodic=[x]", "domain.x: expected [lo, hi] of one whole period, as x is periodic"),
        ("unsteady_grid", "flow.steady=true", "flow.steady: expected false as the data has times, got true"),
        ("steady_grid", "flow.steady=false", "flow.steady: expected true as the data has no times, got false"),
        ("unsteady_grid", "data.arrays.nu=null", "flow.nu: expected the kinematic viscosity, > 0; the data has none"),
        ("unsteady_csv", "flow.nu=null", "flow.nu: expected the kinematic viscosity, > 0; the data has none"),
        (
            "unsteady_grid",
            "data.times=[0.0, 0.1]",
            "two or more values of t, got t = 0 alone; a steady flow has no times: data.arrays.t=null",
        ),
        (
            "unsteady_csv",
            "data.times=[0.0, 0.1]",
            "got t = 0 alone; a steady flow has no times: data.measurements.t=null",
        ),
        ("unsteady_grid", "data.window.x=[0, 0.1]", "domain.x: expected data at two or more values of x, got x = 0"),
        ("unsteady_csv", "domain.y=null", "domain.y: expected [lo, hi], the extent in y of the flow to reconstruct"),
        ("unsteady_csv", "domain.y=[0, 0.5]", "expected sensors inside domain.y = [0, 0.5], got y = "),
        ("unsteady_csv", "sensors.noise=0.1", "sensors.noise: expected 0, measurements have their own noise, got 0.1"),
        ("unsteady_csv", "data.times=[5, 6]", "expected rows inside data.window and data.times, got none"),
        ("steady_csv", "data.times=[0, 1]", "has no t; expected limits for x, y"),
        ("unsteady_csv", "evals.grid=20000", "evals.grid: expected an output of at most 4 GiB of memory, got "),
        ("unsteady_csv", "evals.times=[0.5, 0.2]", "evals.times: expected rising times from 0 to 1, the extent of the"),
        ("unsteady_csv", "evals.times=[0.5, 1.2]", "extent of the domain, got 0.5, 1.2"),
        ("unsteady_csv", "evals.times=[]", "evals.times: expected rising times from 0 to 1"),
        ("unsteady_csv", "boundaries=[{where: {expression: x < 1}, u: 0}]", "needs the points of a flow field"),
        ("unsteady_grid", "boundaries=[{where: {index: wall}, u: 0}]", "boundaries.0: "),
        ("unsteady_grid", "boundaries=[{where: {side: front}, u: 0}]", "boundaries.0: "),
        ("unsteady_grid", "boundaries=[{where: {side: left}, w: 0}]", "boundaries.0: "),
    ],
)
def test_what_does_not_fit_together_is_one_line(tiny: Tiny, name: str, override: str, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        load_case(tiny(name, override))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.input_scale=[1, 1]", "model.input_scale: expected 3 numbers, one for each of t, x, y, got 2"),
        ("model.sigma=[1, 1]", "model.sigma: expected one number or 3, one per coordinate, got 2"),
        ("flow.forcing=[1, 0, 0]", "flow.forcing: expected 2 numbers or expressions, got 3"),
    ],
)
def test_numbers_per_coordinate_are_counted(tiny: Tiny, override: str, message: str) -> None:
    config = tiny("unsteady_grid", override)
    with pytest.raises(PinnxError) as caught:
        flow_problem(config, load_case(config))
    assert str(caught.value) == message


def test_a_flow_at_rest_is_refused_before_the_training(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid", "data.zeros_are_values=true")
    with np.load(tmp_path / "vortices.npz") as file:
        still = dict(file) | {"u": 0 * file["u"], "v": 0 * file["v"]}
    np.savez(tmp_path / "vortices.npz", **still)
    with pytest.raises(PinnxError, match="expected a flow, got a velocity of zero at every point and time"):
        load_case(config)


def test_every_column_has_its_weight(tiny: Tiny) -> None:
    config = tiny("unsteady_grid", "train.weights={momentum: 2, continuity: 3, data: 4, boundary: 5}")
    flow = flow_problem(config, load_case(config))
    assert flow.problem.names == ("momentum_x", "momentum_y", "continuity", "data", "boundary")
    assert [flow.weights[name] for name in flow.problem.names] == [2.0, 2.0, 3.0, 4.0, 5.0]


def test_the_device_is_chosen_and_never_silently_the_slower_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(PinnxError, match=r"train\.device: expected a CUDA device that torch can use, found none"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    built = pinn_ext.build_info()
    for version, fine in (("13.0", True), (None, False)):
        monkeypatch.setattr(pinn_ext, "build_info", lambda version=version: replace_version(built, version))
        assert choose_device("cpu") == torch.device("cpu")
        if fine:
            assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")
            continue
        with pytest.raises(PinnxError, match="expected kernels with CUDA for cuda, got a build for the CPU"):
            choose_device("cuda")
        with pytest.warns(UserWarning, match="built without CUDA; the CPU is used"):
            assert choose_device("auto") == torch.device("cpu")


def replace_version(built: pinn_ext.BuildInfo, version: str | None) -> pinn_ext.BuildInfo:
    return pinn_ext.BuildInfo(**{**vars(built), "cuda_version": version})
