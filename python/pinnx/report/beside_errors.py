"""Sentences beside the errors of a run: the worst place, the waves that are there, forces, shear at walls,
estimates of the error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pinnx.report.formatting import enumeration, number, percent

__all__ = ["beside_errors", "placed"]


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
