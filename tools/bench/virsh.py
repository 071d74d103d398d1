"""libvirt's own ways, through its own command."""

from __future__ import annotations

from tools.bench.commands import measured
from tools.bench.statistics import Measurement


class Virsh:
    """virsh, for one hypervisor."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __call__(self, *arguments: str) -> Measurement:
        """Raises `CommandFailed`."""
        return measured("virsh", "--quiet", "--connect", self._uri, *arguments)
