"""The run in sentences: what was reconstructed, from what, and how well.

A reconstruction is as good as its information. A reader can only judge it beside the list of what was given: the
sensors and how they were chosen, the equations, the boundaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnx.report.formatting import duration, enumeration, number, percent, plural, rounded
from pinnx.report.run_data import Run, RunFields
from pinnx.report.tables import status_of

__all__ = ["found_numbers", "found_status", "given", "headline", "lead", "main_error", "synthetic_source", "title_of"]

_CHOICE = {
    "interpolation": "Their positions were chosen from the full reference: over the domain, denser where it varies.",
    "qr": "Their positions were chosen from the full reference, by pivoted QR of its modes.",
    "randomized": "Their positions were chosen from the full reference, by pivoted QR of a random sketch of its modes.",
    "coverage": "Their positions cover the area evenly.",
    "lattice": "Their positions form rows at equal distances.",
    "farthest": "Their positions are far from one another.",
    "random": "Their positions were drawn at random.",
    "positions": "Their positions were prescribed.",
}
_SYNTHETIC = "synthetic:"


def synthetic_source(run: Run) -> str | None:
    """How synthetic data were made; None where the data are not synthetic."""
    source = _source(run)
    return source.removeprefix(_SYNTHETIC).strip() if source.startswith(_SYNTHETIC) else None


def title_of(run: Run) -> str:
    """A short name of the data: the file's, or "Synthetic data"."""
    if synthetic_source(run) is not None:
        return "Synthetic data"
    return _source(run).replace("\\", "/").rsplit("/", 1)[-1]


def main_error(run: Run, fields: RunFields) -> tuple[str, float] | None:
    """The name and the relative L2 error of the vector, or of the main quantity; None where there is no reference."""
    errors = run.metrics.get("relative_l2") or {}
    for name in (fields.vector_name, fields.main) if fields.vector else (fields.main,):
        if isinstance(errors.get(name), int | float):
            return name, float(errors[name])
    return None


def beside(run: Run) -> str:
    """What stands beside the main error: the fluctuation's, and the worst component's; "" where neither is known."""
    errors, worst = run.metrics.get("relative_l2") or {}, run.metrics.get("worst_component") or {}
    parts = [f"of the fluctuation {percent(errors['fluctuation'])}"] if "fluctuation" in errors else []
    if worst:
        parts.append(f"of the worst component, {worst['name']}, {percent(worst['relative_l2'])}")
    return ", ".join(parts)


def headline(run: Run, fields: RunFields) -> str:
    """The result in one line."""
    subject = f"{title_of(run)} from {plural(len(run.sensors), 'sensor')}"
    error = main_error(run, fields)
    if error is None:
        return f"{subject}, without a reference"
    return f"{subject}: {percent(error[1])} error in {error[0]}"


def found_status(run: Run, item: Mapping[str, Any]) -> str:
    """The verdict of the check of a number that was found; failed where it was not made."""
    checks = [check for check in run.metrics.get("checks") or () if check.get("name") == item.get("check")]
    status = status_of(checks[0]) if checks else "failed"
    return "failed" if status == "not checked" else status


def found_numbers(run: Run) -> list[str]:
    """A sentence for each number that the training found: from which guess, and whether it has settled."""
    sentences, descriptions = [], run.metrics.get("descriptions") or {}
    settled = {
        "passed": "It has settled.",
        "warning": "It was still moving a little when the training ended.",
        "failed": "It has not settled: more steps would change it.",
    }
    for name, item in (run.metrics.get("found") or {}).items():
        value = f"{descriptions.get(name, name)} = {number(item['value'])}, from the guess {number(item['guess'])}"
        sentences.append(f"Found by the training: {value}. {settled[found_status(run, item)]}{_estimate(item)}")
    return sentences


def _estimate(item: Mapping[str, Any]) -> str:
    """Where the loss would take a number, and its interval, or why there is none."""
    if item.get("estimate"):
        value, low, high = (number(item["estimate"][name]) for name in ("value", "low", "high"))
        return f" Estimate: {value}, interval {low} to {high}."
    note = str(item.get("note") or "")
    return f" {note[:1].upper()}{note[1:]}." if note else ""


def lead(run: Run, fields: RunFields) -> str:
    """The result in two sentences."""
    words = (
        f"Reconstructed from {_measured_name(run, fields)} at {plural(len(run.sensors), 'sensor')}, on {fields.layout}"
    )
    words += " (steady)" if fields.times is None else f" at {plural(fields.num_frames, 'time')}"
    error, seconds = main_error(run, fields), run.metrics.get("train_s")
    if isinstance(seconds, int | float):
        words += f", in {duration(seconds)} of training"
    if error is None:
        return f"{words}. There is no reference, so the error is not known."
    more = beside(run)
    return f"{words}. The relative L2 error of {error[0]} is {percent(error[1])}{f', {more}' if more else ''}."


def given(run: Run, fields: RunFields) -> list[str]:
    """A sentence for each thing that the reconstruction was given, and one for what it was not."""
    conditions = _conditions(run.config)
    equations = str(run.metrics.get("equations") or "no equations are recorded")
    return [
        _measured(run, fields),
        *_noise(run),
        f"{equations[:1].upper()}{equations[1:]}.",
        _boundaries(run.config, conditions),
        _nothing_else(run, fields, conditions),
    ]


def _source(run: Run) -> str:
    return str(run.metrics.get("source") or "not recorded")


def _measured_name(run: Run, fields: RunFields) -> str:
    names = run.metrics.get("measured") or fields.names
    if fields.vector and set(names) == set(fields.vector):
        return f"the {fields.vector_name}"
    return enumeration(names)


def _measured(run: Run, fields: RunFields) -> str:
    sentence = f"Measured: {_measured_name(run, fields)} at {plural(len(run.sensors), 'sensor')}"
    if _section(run.config, "data").get("measurements"):
        return f"{sentence}, from a file of measurements."
    if fields.times is not None:
        sentence += f" and {plural(fields.num_frames, 'time')}"
    sensors = _section(run.config, "sensors")
    if sensors.get("noise"):
        sentence += f", with {percent(sensors['noise'])} noise added"
    return " ".join(filter(None, (f"{sentence}.", _CHOICE.get(str(sensors.get("method"))))))


def _noise(run: Run) -> list[str]:
    """How large the misfit is beside the noise, where that is known."""
    facts = run.metrics.get("noise")
    if not facts:
        return []
    stated = facts["found"] == "stated"
    how = "was stated" if stated else "was estimated by leaving each sensor out, flow that is not resolved included"
    if facts["misfit"] is None:
        return [f"Their noise {how}: none was found."]
    return [
        f"Their noise {how}: {percent(facts['share'])} of their root mean square. The misfit there is "
        f"{number(facts['misfit'])} times that{'.' if facts['used'] else '; the training did not use it.'}"
    ]


def _nothing_else(run: Run, fields: RunFields, conditions: Sequence[Mapping[str, Any]]) -> str:
    measured = run.metrics.get("measured") or fields.names
    unknown = [n for n in fields.names if n not in measured and all(c.get(n) is None for c in conditions)]
    sentence = "Nothing else was given"
    if unknown:
        sentence += f", in particular no value of {enumeration(unknown)}"
    return sentence + (". The rest of the reference is used only for comparison." if fields.has_reference else ".")


def _conditions(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The boundary conditions that took part: none where their weight is zero."""
    weights = _section(_section(config, "train"), "weights")
    return () if weights.get("boundary") == 0 else config.get("boundaries") or ()


def _boundaries(config: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]]) -> str:
    if conditions:
        sentence = f"Boundary conditions: {'; '.join(_condition(condition) for condition in conditions)}."
    else:
        sentence = "No boundary conditions."
    periodic = _section(config, "domain").get("periodic") or ()
    return sentence + (f" Periodic in {enumeration(list(map(str, periodic)))}." if periodic else "")


def _condition(condition: Mapping[str, Any]) -> str:
    said, speed = [], condition.get("speed")
    if condition.get("condition"):
        said.append(f"{condition['condition']}{'' if speed is None else f' with speed {number(speed, 4)}'}")
    for name, value in condition.items():
        if name in ("where", "condition", "speed", "slopes", "weight", "until") or value is None:
            continue
        said.append(f"{name} = {number(value, 4) if isinstance(value, int | float) else rounded(str(value))}")
    slopes = _section(condition, "slopes")
    said += [f"d{name}/dn = {rounded(str(value))}" for name, value in slopes.items() if value is not None]
    until = condition.get("until")
    rough = " (roughly)" if until is None and (condition.get("weight") or 1.0) < 1.0 else ""
    rough = rough or ("" if until is None else f" (roughly, up to {until:.0%} of the steps)")
    return f"{', '.join(said)} {_location(condition.get('where') or {})}{rough}"


def _location(where: Mapping[str, Any]) -> str:
    if where.get("side"):
        part = f" from {where['range'][0]:g} to {where['range'][1]:g}" if where.get("range") else ""
        return f"on the {where['side']} side{part}"
    if where.get("section"):
        ((axis, position),) = ((axis, at) for axis, at in where["section"].items() if at is not None)
        return f"through the section at {axis} = {position:g}"
    if where.get("hole"):
        return f"on the body {where['hole']}"
    if where.get("circle"):
        center = ", ".join(f"{c:g}" for c in where["circle"]["center"])
        return f"on the circle of radius {where['circle']['radius']:g} around ({center})"
    if where.get("index"):
        return f"at the points listed in {where['index']}"
    return f"where {rounded(str(where.get('expression')))}"


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return config.get(name) or {}
