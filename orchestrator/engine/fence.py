"""The hypervisor as an operation has it: nothing is changed there unless the lease is still ours.

The token is checked before each single call that may change something, not once a step: a client that
is stopped between two calls for longer than its lease lasts finds out before the next one, when another process
else may long have settled the operation and the guest works on. What remains is the moment between the
check and the call.
"""

from __future__ import annotations

from typing import Any, cast

from ..model import Host
from ..ports import Domains, Hypervisor, OpenOperation, Storage

READS = frozenset(
    {
        *("find", "get", "measured", "all", "disks", "definition", "saved_definition", "saved_xml", "wait_for_job"),
        *("managed_save_xml",),
        *("platform_problem", "cpu_problem", "active_networks"),
        *("stat", "stat_all", "names", "files", "directories", "read", "sha256", "free_bytes", "total_bytes"),
    }
)
"""The calls that change nothing. Whatever is not among them is fenced."""


class Fenced:
    """Implements `ports.Hypervisor`: each changing call raises `Busy`, and does nothing, once the lease is lost."""

    def __init__(self, hypervisor: Hypervisor, operation: OpenOperation) -> None:
        self._hypervisor = hypervisor
        self._domains = cast(Domains, _Fence(hypervisor.domains, operation))
        self._storage = cast(Storage, _Fence(hypervisor.storage, operation))

    @property
    def host(self) -> Host:
        return self._hypervisor.host

    @property
    def domains(self) -> Domains:
        return self._domains

    @property
    def storage(self) -> Storage:
        return self._storage

    def close(self) -> None:
        self._hypervisor.close()


class _Fence:
    """One of the ports, method by method."""

    def __init__(self, port: Domains | Storage, operation: OpenOperation) -> None:
        self._port = port
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name in READS:
            return method

        def fenced(*arguments: Any, **named: Any) -> Any:
            self._operation.check()
            return method(*arguments, **named)

        return fenced
