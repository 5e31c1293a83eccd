"""``pinnx verify``: the checks of a run, a checkpoint or a file, made anew."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pinnx.cli.shared import console_of, load_jobs, require_used
from pinnx.errors import PinnxError

__all__ = ["add_to"]

EXTENTS = ("domain.x", "domain.y", "domain.z")
USED = ("data", "flow.nu", "flow.forcing", "evals.limits", "boundaries", "domain.periodic", "domain.jump", *EXTENTS)
UNUSED = ("data.path", "data.measurements", "data.synthetic", "data.noise", "data.stream")


def add_to(commands: Any) -> None:
    """Adds the command."""
    verify = commands.add_parser(
        "verify",
        help="check the physics of a run or of a file",
        description="Checks the model of a run, or the flow of a file, anew; without an option all checks. The exit "
        "status is 0 where all passed, 1 where one did not, 3 where none failed and one could not be checked.",
        epilog="Settings are for files: those of the section data, flow.nu, flow.forcing, evals.limits, boundaries and "
        "periods, such as data.arrays.u=U flow.nu=0.01 domain.periodic=[x] domain.x=[0,6.2832]; docs/verification.md "
        "explains each check.",
    )
    add = verify.add_argument
    add("target", nargs="?", metavar="RUN|CHECKPOINT|DATA", help="folder of a run, .safetensors in it, or snapshots")
    add("overrides", nargs="*", metavar="key=value", help="which array of the file is what")
    add("--full", action="store_true", help="all checks (default)")
    add("--conservation", action="append_const", dest="groups", const="conservation", help="mass, momentum, energy")
    add("--boundary", action="append_const", dest="groups", const="boundary", help="boundary conditions, periods")
    add("--pde-residual", action="append_const", dest="groups", const="pde-residual", help="residuals of the equations")
    add("--corner-radius", type=_radius, metavar="R", help="leave out points nearer to a corner where sides disagree")
    add("--verbose", action="store_true", help="points, own error and worst place of each check, and all that it says")
    add("--json", action="store_true", help="print the verdicts as JSON and nothing else")
    add("--quiet", action="store_true", help="show nothing but errors")
    verify.set_defaults(run=_verify, word="target", groups=[])


def _verify(options: argparse.Namespace) -> int:
    if options.target is None:
        raise PinnxError("verify: expected a run, a checkpoint or a file, got none (see pinnx verify --help)")
    load_jobs()
    from pinnx.config import load_config
    from pinnx.jobs.judging.flow_verification import verify_flow
    from pinnx.jobs.judging.verdicts import closing_line, exit_status, notes, verdicts_table
    from pinnx.jobs.judging.verification import is_run, verify_run

    path, console = Path(options.target), console_of(options)
    console.quiet |= options.json
    groups = set() if options.full else set(options.groups)
    if not path.exists():
        raise PinnxError(f"{path}: expected a run, a checkpoint or a file, found nothing there")
    if is_run(path):
        if options.overrides:
            raise PinnxError(f"verify: expected no settings, as a run has its own, got {', '.join(options.overrides)}")
        checks = verify_run(path, groups, console.print, corner_radius=options.corner_radius)
    else:
        require_used(options.overrides, USED, UNUSED)
        # A wrong order of the axes is a verdict here.
        given = [("data.check_orientation", False), *options.overrides, ("data.path", options.target)]
        checks = verify_flow(load_config(None, given), groups, console.print, corner_radius=options.corner_radius)
    if options.json:
        print(json.dumps([item.as_dict() for item in checks], allow_nan=False, indent=1))
    console.print(verdicts_table(checks))
    for line in notes(checks, verbose=options.verbose):
        console.print(line, soft_wrap=True)
    console.print(closing_line(checks), soft_wrap=True)
    return exit_status(checks)


def _radius(text: str) -> float:
    """A length > 0."""
    try:
        radius = float(text)
    except ValueError:
        radius = 0.0
    if not 0.0 < radius < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a length > 0, got {text!r}")
    return radius
