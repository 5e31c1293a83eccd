"""The tables of the report, checks, errors, facts of the run, sensors, and the sentences beside the errors.

Every number is a ``<data value="...">``: few digits are shown, the attribute has all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.report.formatting import Html, coordinate_digits, duration, enumeration, join, number, percent, table, tag

__all__ = [
    "STATUSES",
    "beside_errors",
    "checks_table",
    "datum",
    "errors_table",
    "facts_table",
    "placed",
    "sensors_table",
    "status_of",
]

STATUSES = ("passed", "not checked", "warning", "failed")  # from good to bad
_MOST_ROWS = 200  # of sensors
_MARKS = {"passed": "✓", "not checked": "?", "warning": "!", "failed": "✗"}

# Numbers of metrics.json that every run has, in the order of the table; the run's descriptions name the others.
_FACTS = {
    "source": "source",
    "num_sensors": "sensors",
    "steps": "training steps",
    "steps_per_s": "training steps per second",
    "train_s": "training time",
    "wall_s": "total time",
    "epochs_per_hour": "epochs per hour, an epoch being a step",
    "peak_memory_gib": "peak memory",
    "gpu_utilisation": "use of the GPU, per cent",
    "convergence_rate": "convergence: decades that the terms of the loss fell in 1,000 steps",
    "selection_s": "time in which the sensors were chosen",
    "seed": "random seed",
    "command": "command",
}
_ELSEWHERE = {
    *("relative_l2", "reference_error", "worst_component", "found", "held_out", "checks", "baseline", "baseline_note"),
    *("beside_norms", "solver", "solver_note", "versions", "descriptions", "diameters", "equations", "measured"),
    *("moments", "terms", "notes", "noise", "forces", "walls", "error_estimates", "free_sides"),
}


def datum(value: object, shown: str | None = None) -> Html:
    """A number: ``shown``, or three digits, with all digits in the attribute."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return tag("span", "not recorded", class_="absent")
    text = number(value) if shown is None else shown
    return tag("data", text, value=repr(value) if math.isfinite(value) else "")


def checks_table(metrics: Mapping[str, Any]) -> Html:
    """Every check with its verdict in words and colour; none at all is a failure too."""
    checks: Sequence[Mapping[str, Any]] = metrics.get("checks") or ()
    if not checks:
        return tag("p", _verdict("failed"), " No check was made. That counts as failed.")
    rows = [
        (
            _two_lines(_described(metrics, str(item["name"])), _named(item)),
            _verdict(status_of(item)),
            datum(item["value"]) if item.get("value") is not None else "none",
            datum(item.get("limit")),
            datum(item.get("red_line", item.get("limit"))),
            str(item.get("unit", "")),
            _note(item),
        )
        for item in checks
    ]
    header = ("check", "verdict", "value", "passes below", "fails above", "unit", "note")
    return table("Checks after the training", header, rows)


def errors_table(metrics: Mapping[str, Any]) -> Html:
    """The relative L2 errors, beside those of the baselines where there are any, and what these were given."""
    errors: Mapping[str, float] = metrics.get("relative_l2") or {}
    if not errors:
        return join(_paragraphs(_without_reference(metrics), *beside_errors(metrics), metrics.get("solver_note")))
    baselines, descriptions = metrics.get("baseline") or {}, metrics.get("descriptions") or {}
    rows = [
        (
            _two_lines(name, descriptions.get(name, "")),
            _error(value),
            *(_error(values.get(name)) for values in baselines.values()),
        )
        for name, value in errors.items()
    ]
    header = ("quantity", "reconstruction", *baselines)
    own, own_error = metrics.get("reference_error"), None
    if own is not None:
        own_error = f"The reference itself is {percent(own)} from the truth, by its own account."
    notes = (metrics.get("baseline_note"), metrics.get("solver_note"), own_error, *beside_errors(metrics))
    return join((table("Relative L2 error over all points and times", header, rows), *_paragraphs(*notes)))


def _paragraphs(*notes: str | None) -> list[Html]:
    return [tag("p", str(note)) for note in notes if note]


def _without_reference(metrics: Mapping[str, Any]) -> str:
    """What can be said without a reference, and what cannot."""
    words = (
        "There is no reference, so the error is not known. Small residuals alone prove nothing, nor do sensors that "
    )
    words += "agree: a wake kept all their limits with the pressure 26 % and v 58 % wrong."
    held_out = metrics.get("held_out")
    if not held_out:
        return words + " No sensors were left out to measure the error there."
    count, errs = len(held_out["positions"]), "errs on the large side"
    if metrics.get("free_sides"):  # the two trainings may agree on a flow that the sides do not hold
        errs = "mostly errs on the large side, but where sides have no velocity it may be many times too small"
    return (
        f"{words} The check of held-out sensors is the error at {count} that a second training of {held_out['steps']} "
        f"steps did not see; it used the other {held_out['num_used']}. With fewer steps and fewer sensors than this "
        f"run it {errs}, and it sees nothing where no sensor is."
    )


def facts_table(metrics: Mapping[str, Any]) -> Html:
    """What ran, how long, on what: everything in metrics.json that says something and has no table of its own."""
    empty: tuple[object, ...] = ([], {})
    others = [key for key in metrics if key not in _FACTS and key not in _ELSEWHERE and metrics[key] not in empty]
    keys = [key for key in _FACTS if key in metrics] + others
    rows = [(_FACTS.get(key) or _described(metrics, key), _fact(key, metrics[key])) for key in keys]
    versions = metrics.get("versions") or {}
    if versions:
        rows.append(("versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    return table("Numbers of the run", ("quantity", "value"), rows)


def sensors_table(sensors: NDArray[np.float64]) -> Html:
    """Rank and position of the sensors, of many the first."""
    digits = [coordinate_digits(column) for column in sensors.T]
    rows = [
        (str(rank), *(datum(float(c), number(c, d)) for c, d in zip(position, digits, strict=True)))
        for rank, position in enumerate(sensors[:_MOST_ROWS], start=1)
    ]
    part = f", the first {_MOST_ROWS} of {len(sensors)}; sensors.csv has all" if len(sensors) > _MOST_ROWS else ""
    return table(f"Sensors, best first{part}", ("rank", *"xyz"[: sensors.shape[1]]), rows)


def status_of(item: Mapping[str, Any]) -> str:
    """The verdict of a check; whatever is no plain pass, no plain warning and not left open has failed."""
    status = item.get("status")
    if status == "passed" and item.get("passed") is True:
        return "passed"
    return str(status) if status in ("warning", "not checked") else "failed"


def _verdict(status: str) -> Html:
    return tag("span", f"{_MARKS[status]} {status}", class_=f"verdict {status.replace(' ', '-')}")


def _note(item: Mapping[str, Any]) -> Html:
    """The note of a check and its worst place; where it did not pass by how much, why, and the cheapest way to pass."""
    everywhere, worst, value, limit = (item.get(name) for name in ("everywhere", "worst", "value", "limit"))
    note = str(item.get("note", ""))
    parts = [join([note] if everywhere is None else [note, "; with them ", datum(everywhere)])]
    passed = status_of(item) == "passed"
    if status_of(item) in ("warning", "failed") and value is not None and limit:
        parts.append(join([f"{number(value / limit)} times the limit"]))
    if worst is not None and item.get("worst_at"):
        parts.append(join(["largest ", datum(worst), f" at ({placed(item['worst_at'])})"]))
    sentences = [Html("; ".join(filter(None, parts)))]
    if not passed:
        sentences += [join([item.get("why", "").removesuffix(".")])]
        sentences += [join([f"Cheapest way: {item['remedy']}"])] if item.get("remedy") else []
    return Html(". ".join(filter(None, sentences)))


def _named(item: Mapping[str, Any]) -> str:
    """Its name, and of which part of the flow, where several checks have one name."""
    return f"{item['name']} ({item['part']})" if item.get("part") else str(item["name"])


def _described(metrics: Mapping[str, Any], name: str) -> str:
    return str((metrics.get("descriptions") or {}).get(name) or name.replace("_", " "))


def _two_lines(name: str, gloss: str) -> Html:
    return join((name, tag("span", gloss, class_="gloss")))


def _error(value: object) -> Html:
    return datum(value, percent(value) if isinstance(value, int | float) else None)


def _fact(key: str, value: object) -> str:
    if key == "command":
        return tag("code", str(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.endswith("_s") and not key.endswith("per_s"):
            return datum(value, duration(value))
        return datum(value, f"{number(value)} GiB" if key.endswith("_gib") else None)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number(v) if isinstance(v, int | float) else v}" for name, v in value.items())
    return "none" if value is None else str(value)


def beside_errors(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What metrics.json has of them, a paragraph each."""
    found = metrics.get("beside_norms") or {}
    if found:
        yield (
            f"The largest error of the velocity is {number(found['largest'])}, at ({placed(found['worst_at'])}); the "
            f"root mean square of the error is {number(found['rmse'])}."
        )
    if "resolved_wavenumber" in found:
        yield (
            f"Up to a wavenumber of {number(found['resolved_wavenumber'])} the energy spectrum is within a factor of 2 "
            f"of that of the reference; the grid reaches {number(found['highest_wavenumber'])}."
        )
    for body in metrics.get("forces") or ():
        box = f" ({number(body['drag_of_box'])} from a box around it)" if "drag_of_box" in body else ""
        yield (
            f"The body at ({placed(body['center'])}) has a drag coefficient of {number(body['drag'])}{box} and a lift "
            f"coefficient of {number(body['lift'])}.{_wall(body)}"
        )
    for wall in metrics.get("walls") or ():
        yield _sheared(wall)
    estimates = metrics.get("error_estimates") or {}
    if estimates:
        listed = ", ".join(f"{percent(value)} ({name})" for name, value in estimates.items() if value is not None)
        free = list(map(str, metrics.get("free_sides") or ()))
        unseen = (
            f" The velocity is not prescribed at the sides {enumeration(free)}: what is wrong there has no residual, "
            "and its estimate may be 30 times too small."
            if free
            else ""
        )
        yield f"Estimates of the error of the velocity that use no reference, none of them a bound: {listed}.{unseen}"


def _wall(body: Mapping[str, Any]) -> str:
    """The wall shear of a body, where the flow leaves it, and how far behind it runs backwards."""
    said = ""
    if body.get("wall_shear") is not None:
        said += f" Its largest wall shear is {number(body['wall_shear'])} U^2."
    if body.get("separation_angles"):
        angles = " and ".join(f"{angle:.3g}\N{DEGREE SIGN}" for angle in body["separation_angles"])
        said += f" The flow leaves it at {angles} from its rear."
    if body.get("recirculation_length") is not None:
        said += f" Behind it the flow runs backwards over {number(body['recirculation_length'])} of its size."
    return said


def _sheared(wall: Mapping[str, Any]) -> str:
    """The shear at a side of the domain, beside that of the reference."""
    said = (
        f"The shear at the wall {wall['side']} is {number(wall['mean'])} U^2 in the mean, and at most "
        f"{number(wall['largest'])} U^2, at ({placed(wall['worst_at'])})"
    )
    if wall.get("relative_l2") is None:
        return f"{said}."
    mean, largest = number(wall["reference_mean"]), number(wall["reference_largest"])
    return f"{said}. The reference has {mean} and {largest}: a relative error of {percent(wall['relative_l2'])}."


def placed(place: list[float]) -> str:
    """Coordinates as a sentence has them: "0.5, 2"."""
    return ", ".join(f"{x:.4g}" for x in place)
