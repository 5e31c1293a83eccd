"""No setting of network and training is parsed and then ignored: a test of its own turns each one on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import test_loss_settings
import test_model_settings
import test_optimisation_settings
import test_point_settings
import yaml

from pinnx.config.describe import describe

TABLES = (
    test_loss_settings.test_each_setting_changes_the_course,
    test_optimisation_settings.test_each_setting_changes_the_course,
    test_point_settings.test_each_setting_changes_the_course,
    test_model_settings.test_each_setting_acts_and_resumes_to_the_bit,
)
# What is no row of these tables: the test in which it acts.
ELSEWHERE: dict[str, str] = {
    "train.warm_start": "jobs/test_warm_start.py::test_a_run_begins_near_the_flow",
    "train.estimate_at": "jobs/test_found_numbers.py::test_a_number_is_put_to_its_estimate_and_held",
    "train.retries": "jobs/test_optimisation_settings.py::test_without_retries_a_loss_that_is_not_finite_ends_the_run",
    "train.guard.worse": "jobs/test_run_guard.py::test_how_much_worse_counts_as_lost",
    "train.guard.returns": "jobs/test_run_guard.py::test_each_incident_is_a_file_and_the_last_one_an_end",
    "train.weights.slopes": "jobs/test_bodies.py::test_conditions_by_name_reach_the_loss_and_the_checks",
    "train.weights.flux": "jobs/test_bodies.py::test_conditions_by_name_reach_the_loss_and_the_checks",
    "train.track": "jobs/test_trackers.py::test_tensorboard_has_each_row_once",
    "train.log_every": "jobs/test_optimisation_settings.py::test_rows_of_steps_that_were_taken_back_are_gone",
    "train.checkpoint_every": "jobs/test_resume.py::test_an_earlier_step_is_chosen_by_its_number",
    "train.keep_checkpoints": "jobs/test_loss_settings.py::test_a_curriculum_has_the_equations_of_its_stages",
    "model.corner_flow": "jobs/test_corner_flow_runs.py::test_it_acts_and_threads_do_not",
    # Of the machine: the numbers are the same.
    "train.device": "jobs/test_case.py::test_the_device_is_chosen_and_never_silently_the_slower_one",
    "train.threads": "jobs/test_model_settings.py::test_bits_do_not_depend_on_threads",
    "train.streams": "train/test_machine.py::test_cuda_streams_give_the_steps_of_one_stream",
    "train.cuda_graph": "train/test_graph.py::test_a_run_that_asks_for_a_graph_on_the_cpu_is_refused_before_it_begins",
}


def named(path: str, value: Any) -> Iterator[str]:
    """A setting and those inside its value, numbers of lists written N."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from named(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(f"{path}.N", inner)


def changed() -> Iterator[str]:
    for table in TABLES:
        (rows,) = [mark.args[1] for mark in table.pytestmark if "change" in mark.args[0]]
        for row in rows:
            for change in [row[-1]] if isinstance(row[-1], str) else row[-1]:
                path, _, value = change.partition("=")
                yield from named(re.sub(r"\.\d+", ".N", path), yaml.safe_load(value))


def test_each_one_has_a_test() -> None:
    settings = {key.path for key in describe() if key.path.startswith(("train.", "model."))}
    tested = set(changed())
    assert settings - tested == set(ELSEWHERE), "each setting: a row of a table in TABLES, or a test in ELSEWHERE"
    for test in ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (Path(__file__).parents[1] / file).read_text(), test
