"""Which host this is, and what runs on it."""

from __future__ import annotations

from ..errors import HypervisorError
from ..formats.xmltree import parse
from ..model import Host
from .connection import Connection
from .errors import reading


def read_host(connection: Connection) -> Host:
    """The host by its UUID (virConnectGetCapabilities), name and versions."""
    handle = connection.handle
    with reading(f"query the host of {connection.uri}"):
        capabilities: str = handle.getCapabilities()
        name: str = handle.getHostname()
        libvirt_version: int = handle.getLibVersion()
        qemu_version: int = handle.getVersion()
    uuid = parse(capabilities, "capabilities").findtext("host/uuid")
    if not uuid:
        raise HypervisorError(f"{connection.uri} does not report the UUID of its host")
    return Host(
        uuid=uuid,
        name=name,
        uri=connection.uri,
        libvirt_version=_dotted(libvirt_version),
        qemu_version=_dotted(qemu_version),
    )


def _dotted(version: int) -> str:
    """libvirt's 9000000 as "9.0.0"."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"
