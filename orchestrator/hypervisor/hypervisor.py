"""A hypervisor as snapctl's ports describe it, over one libvirt connection."""

from __future__ import annotations

from functools import cached_property

from ..model import Host
from .connection import CONNECT_TIMEOUT, Connection
from .domains import LibvirtDomains
from .host import read_host
from .storage import LibvirtStorage

JOB_TIMEOUT = 600.0


def connect(
    uri: str,
    *,
    read_only: bool = False,
    connect_timeout: float = CONNECT_TIMEOUT,
    job_timeout: float = JOB_TIMEOUT,
) -> LibvirtHypervisor:
    """Connect to the hypervisor at a libvirt URI.

    `connect_timeout` (seconds) bounds each attempt to connect, `job_timeout` `Domains.wait_for_job`.
    Raises `UsageError` for a URI that snapctl does not take (see `uri.check`), `HypervisorError` when
    it does not answer or refuses us. A connection that breaks later is opened again by the next call.
    """
    connection = Connection(uri, read_only=read_only, timeout=connect_timeout)
    return LibvirtHypervisor(connection, job_timeout=job_timeout)


class LibvirtHypervisor:
    """Implements `ports.Hypervisor`. One thread at a time; each process or thread connects for itself."""

    def __init__(self, connection: Connection, *, job_timeout: float) -> None:
        self._connection = connection
        self._domains = LibvirtDomains(connection, job_timeout=job_timeout)
        self._storage = LibvirtStorage(connection)

    @cached_property
    def host(self) -> Host:
        return read_host(self._connection)

    @property
    def domains(self) -> LibvirtDomains:
        return self._domains

    @property
    def storage(self) -> LibvirtStorage:
        return self._storage

    def close(self) -> None:
        """Deactivate the storage pools that were opened, and disconnect. Never raises."""
        self._storage.close()
        self._connection.close()
