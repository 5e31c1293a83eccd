"""Typed configuration: sections and defaults, presets, YAML files, overrides, messages.

`load_config("cavity", ["data.path=ldc_re1000.mat", "train.steps=500"])` returns a frozen `Config`;
`dump_config` writes one back. Nothing is ignored: an unknown key is an error that names the nearest
known one.
"""

from __future__ import annotations

from pinnx.config.describe import Key, configuration_markdown, describe
from pinnx.config.loading import dump_config, load_config, preset_names
from pinnx.config.root import Config

__all__ = [
    "Config",
    "Key",
    "configuration_markdown",
    "describe",
    "dump_config",
    "load_config",
    "preset_names",
]
