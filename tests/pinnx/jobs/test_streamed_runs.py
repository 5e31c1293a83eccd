"""A training learns from a field that stays in its file, and is resumed to the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from same_runs import Tiny, made, parameter_bytes, trained

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import load_case
from pinnx.physics.streamed_values import StreamedValues
from pinnx.train import Trainer

LEARNS = ("train.steps=120", "sensors.count=1", "model={width: 24, frequencies: 16}", "boundaries=[]")


def error(trainer: Trainer, config: Config) -> float:
    case = load_case(config)
    coordinates = np.concatenate([case.output.coordinates(frame) for frame in range(case.output.num_frames)])
    found = trainer.problem.model.predict(coordinates)[:, :2]
    wanted = case.reference.velocity.reshape(-1, 2)
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_the_whole_field_is_learned_from_a_file_of_which_a_part_is_read(tiny: Tiny) -> None:
    streamed = tiny("unsteady_grid", *LEARNS, "data.stride.x=2", "data.stream={points: 64}")
    trainer = trained(streamed)
    assert "field" in trainer.problem.names
    whole = tiny("unsteady_grid", *LEARNS)
    assert error(trainer, whole) < 0.6 * error(trained(whole), whole)
    (term,) = [term for term in trainer.problem.terms if isinstance(term, StreamedValues)]
    (measured,) = term.measure(trainer.problem.model, num_points=500, seed=0)
    assert measured.part == "streamed field"
    assert measured.value == pytest.approx(error(trainer, whole), rel=0.2)
    assert measured.worst > measured.value
    assert len(measured.worst_at) == 3


def test_a_streamed_training_is_resumed_to_the_same_bits(tiny: Tiny) -> None:
    config = tiny("unsteady_grid", "data.stream={points: 32}")
    half, resumed = made(config), made(config)
    for _ in range(3):
        half.train_step()
    resumed.load_state_dict(half.state_dict())
    resumed.run()
    assert parameter_bytes(resumed) == parameter_bytes(trained(config))
    other = tiny("unsteady_grid", "data.stream={points: 32}", "train.weights.data=0")
    assert parameter_bytes(resumed) != parameter_bytes(trained(other))


def test_a_stream_needs_a_file_of_a_field(tiny: Tiny) -> None:
    with pytest.raises(PinnxError, match=r"data.stream: only for data.path, got measurements"):
        tiny("steady_csv", "data.stream={points: 10}")
    with pytest.raises(PinnxError, match=r"data.stride: only for data.path, got synthetic"):
        load_config("demo", ["data.stride.t=2"])
