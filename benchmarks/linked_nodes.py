"""Two network namespaces with a link between them, as two nodes: of a benchmark, and of the tests of faults."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

ENVIRONMENT = {"MASTER_ADDR": "10.77.0.1", "GLOO_SOCKET_IFNAME": "pinnx0"}  # of ranks on them


def command(text: str) -> None:
    """Runs a command without a shell; raises `CalledProcessError` where it fails."""
    subprocess.run(text.split(), check=True, capture_output=True, text=True)


@contextmanager
def two_nodes() -> Iterator[list[str]]:
    """Names of the namespaces: addresses 10.77.0.1 and 10.77.0.2, device pinnx0. Needs root, and ip."""
    names = [f"pinnx-{os.getpid()}-{number}" for number in range(2)]
    try:
        for name in names:
            command(f"ip netns add {name}")
        command(f"ip link add name pinnx0 netns {names[0]} type veth peer name pinnx0 netns {names[1]}")
        for number, name in enumerate(names, start=1):
            command(f"ip -n {name} addr add 10.77.0.{number}/24 dev pinnx0")
            for link in ("lo", "pinnx0"):
                command(f"ip -n {name} link set {link} up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
