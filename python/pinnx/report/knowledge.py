"""What the reconstruction knew, in sentences, from the configuration and what was measured.

A reconstruction is as good as its information; a reader can only judge it beside the list of what
went in: the sensors and how they were placed, the equations, the boundaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnx.report.fields import Fields
from pinnx.report.run import Run
from pinnx.report.words import NU, number, percent, plural

__all__ = ["is_synthetic", "known", "name_of_flow", "source_of"]

_PLACING = {
    "qr": "The full reference was seen once, to choose their places by pivoted QR of its modes.",
    "random": "Their places were drawn at random.",
    "positions": "Their places were given.",
}


def source_of(run: Run) -> str:
    """Where the data came from, as metrics.json says."""
    return str(run.metrics.get("source") or "not recorded")


def is_synthetic(run: Run) -> bool:
    """Whether the reference was made, not measured or taken from elsewhere."""
    return source_of(run).startswith("synthetic:")


def name_of_flow(run: Run) -> str:
    """A short name: the file's, or "Synthetic flow"."""
    if is_synthetic(run):
        return "Synthetic flow"
    return source_of(run).replace("\\", "/").rsplit("/", 1)[-1]


def known(run: Run, fields: Fields) -> list[str]:
    """A sentence for each thing that the reconstruction was given, and one for what it was not."""
    given = _conditions(run.config)
    pressure = "no other pressure" if any(c.get("p") is not None for c in given) else "no pressure"
    purpose = "; what follows of the reference is only compared with" * fields.has_reference
    return [
        _measured(run, fields),
        _equations(run, fields),
        _boundaries(run.config, given),
        f"It was given {pressure} and no other velocity{purpose}.",
    ]


def _measured(run: Run, fields: Fields) -> str:
    measured = bool(_section(run.config, "data").get("measurements"))
    sentence = f"The velocity at {plural(len(run.sensors), 'place')}"
    if fields.times is not None and not measured:
        sentence += f" and {plural(fields.num_frames, 'instant')}"
    if measured:
        return f"{sentence}, as measured."
    sensors = _section(run.config, "sensors")
    if sensors.get("noise"):
        sentence += f", with {percent(sensors['noise'])} noise added"
    sentence += "."
    placing = _PLACING.get(str(sensors.get("method")))
    return f"{sentence} {placing}" if placing else sentence


def _equations(run: Run, fields: Fields) -> str:
    steady = "" if fields.times is not None else "steady "
    sentence = f"The {steady}incompressible Navier-Stokes equations in {fields.dim} dimensions"
    nu = run.metrics.get("nu")
    if _section(run.config, "problem").get("learn_nu"):
        sentence += ", with the viscosity to be found as well"
    elif isinstance(nu, int | float):
        sentence += f", with the viscosity {NU} = {number(nu)}"
    return sentence + "."


def _conditions(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The boundary conditions that took part: none where their weight is zero."""
    weights = _section(_section(config, "train"), "weights")
    return () if weights.get("boundary") == 0 else config.get("boundaries") or ()


def _boundaries(config: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]]) -> str:
    sentences = []
    if conditions:
        said = "; ".join(_condition(condition) for condition in conditions)
        sentences.append(f"At the boundaries: {said}.")
    else:
        sentences.append("Nothing at the boundaries.")
    periodic = _section(config, "domain").get("periodic") or ()
    if periodic:
        sentences.append(f"The flow is periodic in {' and '.join(map(str, periodic))}.")
    return " ".join(sentences)


def _condition(condition: Mapping[str, Any]) -> str:
    values = [
        f"{name} = {number(value, 4) if isinstance(value, int | float) else value}"
        for name in ("u", "v", "w", "p")
        if (value := condition.get(name)) is not None
    ]
    return f"{', '.join(values)} {_place(condition.get('where') or {})}"


def _place(where: Mapping[str, Any]) -> str:
    if where.get("side"):
        return f"on the {where['side']} side"
    if where.get("circle"):
        center = ", ".join(f"{c:g}" for c in where["circle"]["center"])
        return f"on the circle of radius {where['circle']['radius']:g} around ({center})"
    if where.get("index"):
        return f"at the points of {where['index']}"
    return f"where {where.get('expression')}"


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return config.get(name) or {}
