"""The examples run as a user runs them, and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@cache
def output(example: str) -> str:
    """What an example prints in 60 of its 1,000 steps; it is run once."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / example), "--steps", "60"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def printed(example: str, pattern: str, *, count: int = 11) -> list[float]:
    """The numbers in the output of an example, from the first to the last."""
    numbers = [float(number) for number in re.findall(pattern, output(example))]
    assert len(numbers) == count, output(example)
    return numbers


def test_custom_training_loop_learns() -> None:
    """The error of the velocity falls to less than half."""
    errors = printed("custom_training_loop.py", r"error of the velocity (\S+)")
    assert errors[-1] < 0.5 * errors[0], errors


def test_heat_equation_learns_the_field() -> None:
    """The error of u falls to less than half."""
    errors = printed("heat_equation.py", r"error of u (\S+)")
    assert errors[-1] < 0.5 * errors[0], errors


def test_heat_equation_learns_the_conductivity() -> None:
    """alpha, five times too large at first, is on its way to the 0.1 of the exact solution."""
    alphas = printed("heat_equation.py", r"alpha (\S+),")
    assert alphas[0] == 0.5
    assert alphas[-1] < 0.7 * alphas[0], alphas


def test_burgers_is_solved_and_a_second_call_continues(tmp_path: Path) -> None:
    """12 steps of Gauss-Newton find the viscosity that 48 of SOAP have left at more than four times the right one."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "burgers_trainer.py"), "--steps", "60", "--out", "run"]
    said = []
    for _ in range(2):
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stderr
        said.append(run.stdout)
    nu = [float(number) for number in re.findall(r"nu (\S+)\n", said[0])]
    assert nu[1] > 4 * 0.05
    of_u, of_nu = map(float, re.findall(r"relative error of u (\S+), of nu (\S+)", said[0])[0])
    assert of_u < 0.01
    assert abs(of_nu) < 0.01
    assert said[1].startswith("continues from run/step-00000060.safetensors")
    assert said[1].splitlines()[1:] == said[0].splitlines()[-4:]


def test_breakage_kinetics_are_found_by_least_squares_and_approached_by_the_network() -> None:
    s0, s0_guess, s0_fit, a, a_guess, a_fit = printed(
        "breakage_kinetics.py", r"(?:network|guess|least squares) (\S+),", count=6
    )
    assert abs(s0 - 1.0) < abs(s0_guess - 1.0)
    assert a != a_guess
    assert abs(s0_fit - 1.0) < 0.01
    assert abs(a_fit - 1.0) < 0.01
