"""snapctl as a library and as a command, each with a catalog of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator import Coordinator, settings
from tools.bench.commands import measured
from tools.bench.statistics import Measurement

PROGRAM = Path(sys.executable).with_name("snapctl")

IN_PROCESS = "snapctl, in-process"
COMMAND = "snapctl, as a command"


def library(uri: str, catalog: str) -> Coordinator:
    """A coordinator, connected: to be closed by the caller."""
    return Coordinator.open(settings.load(connect=uri, config=_configuration(catalog), catalog=catalog))


class Command:
    """The command, for one hypervisor and catalog."""

    def __init__(self, uri: str, catalog: str) -> None:
        self._options = ("--connect", uri, "--config", _configuration(catalog), "--catalog", catalog)

    def __call__(self, *arguments: str) -> Measurement:
        """Raises `CommandFailed`."""
        return measured(PROGRAM, *self._options, *arguments)


def _configuration(catalog: str) -> str:
    """A file that names a store of its own: one belongs to one catalog."""
    file = Path(catalog.removeprefix("sqlite:///")).with_suffix(".toml")
    file.write_text(f'[store]\npath = "/var/lib/libvirt/images/snapctl-{file.stem}"\n')
    return str(file)
