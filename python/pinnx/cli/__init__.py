"""The command ``pinnx``: one module a family of commands, each with ``add_to``, which adds its parsers."""

from pinnx.cli.command import main

__all__ = ["main"]
