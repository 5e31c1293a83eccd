"""The command ``pinnx``.

    pinnx reconstruct PRESET|CONFIG.yaml --out DIR [--data FILE] [key=value ...]
    pinnx breakage case1|case2|case3|case4|CONFIG.yaml [--out DIR] [key=value ...]
    pinnx breakage --sieves FILE.csv [--find s0,a]
    pinnx resume DIR [--step N]
    pinnx demo [--out DIR] [key=value ...]
    pinnx reference PRESET|CONFIG.yaml --out FILE.npz [key=value ...]
    pinnx verify RUN|CHECKPOINT|DATA [--conservation] [--boundary] [--pde-residual] [--verbose] [--json] [key=value ...]
    pinnx baseline RUN ...|PRESET|CONFIG.yaml --out FILE.json [--repeats N] [key=value ...]
    pinnx compare RUN ... BASELINE [--level P] [--acknowledge NAME] [--json]
    pinnx sensors DATA [--count K] [--plot FILE.png] [--out FILE.csv] [key=value ...]
    pinnx inspect FILE
    pinnx benchmark --output REPORT.json [--scales small,medium,large] [--quick] [--profile] [--baseline REPORT.json]
    pinnx doctor

Exit status: 0 done, 1 something is missing (doctor), a check did not pass (verify), a limit was missed or a figure is
worse (benchmark, compare), 2 bad input (one line on standard error), 3 none failed and one could not be judged, 130
interrupted (143 by SIGTERM).
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from pinnx import __version__
from pinnx.cli import (
    breakage_command,
    compare_command,
    reconstruct_command,
    sensors_command,
    tools_command,
    verify_command,
)
from pinnx.errors import Interrupted, PinnxError
from pinnx.threads import wait_passively

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error of this command does."""

    def error(self, message: str) -> NoReturn:
        self.exit(_refused(f"{message} (see {self.prog} --help)"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    wait_passively()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    # Words may stand anywhere, also behind options, where argparse would not take them for positional arguments.
    options, rest = parser.parse_known_args(given)
    takes_words = hasattr(options, "overrides") or hasattr(options, "words")
    unknown = [item for item in rest if item.startswith("-") or not takes_words]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.command_line = shlex.join(["pinnx", *given])
    try:
        _require_one_process(options)
        if hasattr(options, "overrides"):
            _sort_words(options, rest)
        elif takes_words:
            options.words += rest
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return int(options.run(options))
    except Interrupted as stop:
        print(f"pinnx: {stop}", file=sys.stderr)
        return 128 + stop.signal
    except PinnxError as error:
        return _refused(str(error))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return _refused(f"expected names of files and folders, got one of {len(str(error.filename)):,} letters")
    except KeyboardInterrupt:
        print("pinnx: interrupted", file=sys.stderr)
        return 130


def _refused(reason: str) -> int:
    """Says what is wrong in one line, whatever a name in it holds; the exit status."""
    print("pinnx: error:", " ".join(reason.splitlines()), file=sys.stderr)
    return 2


def _require_one_process(options: argparse.Namespace) -> None:
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not hasattr(options, "on_ranks"):
        raise PinnxError(
            f"torchrun: expected reconstruct, demo or resume, which train on several processes, got {size} processes "
            "of another command; start it without torchrun"
        )


def _sort_words(options: argparse.Namespace, rest: Sequence[str]) -> None:
    """Separates the one other word (a configuration, a folder) from the overrides: they have an = and are no file."""
    name = options.word
    first = None if name is None else getattr(options, name)
    words = [*([] if first is None else [first]), *options.overrides, *rest]
    # Not Path.exists, which raises where a value is longer than any name of a file.
    options.overrides = [word for word in words if "=" in word and not os.path.exists(word)]
    others = [word for word in words if word not in options.overrides]
    if name is not None:
        setattr(options, name, others.pop(0) if others else None)
    if others:
        raise PinnxError(f"override {others[0]!r}: expected key=value")


def _show_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    print(f"pinnx: warning: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pinnx", description="Flow fields from a handful of sensors, with physics-informed networks.")
    parser.add_argument("--version", action="version", version=f"pinnx {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for family in (
        reconstruct_command,
        breakage_command,
        verify_command,
        sensors_command,
        compare_command,
        tools_command,
    ):
        family.add_to(commands)
    return parser
