"""A hypervisor that writes down every call that could change something."""

from __future__ import annotations

from typing import Any

from orchestrator.model import Host
from orchestrator.ports import Domains, Hypervisor, Storage

CHANGING = frozenset(
    {
        *("define", "undefine", "remove_managed_save", "save", "restore", "resume", "destroy"),
        *("create_paused", "stream", "stop_streaming"),
        *(
            "make_directory",
            "create_overlay",
            "create_file",
            "write",
            "overwrite",
            "remove",
            "remove_directory",
            "copy",
        ),
    }
)
READING = frozenset(
    {
        *("find", "get", "measured", "all", "disks", "definition", "saved_definition", "saved_xml", "wait_for_job"),
        *("managed_save_xml", "lock_problem", "names"),
        *("platform_problem", "cpu_problem", "active_networks"),
        *("stat", "stat_all", "files", "directories", "read", "sha256", "fingerprints", "free_bytes", "total_bytes"),
    }
)


class Recorded:
    """Implements `ports.Hypervisor` by handing on to another one; `changes` grows by each changing call."""

    def __init__(self, hypervisor: Hypervisor, changes: list[str]) -> None:
        self._hypervisor = hypervisor
        self.domains: Any = _Noted(hypervisor.domains, changes)
        self.storage: Any = _Noted(hypervisor.storage, changes)

    @property
    def host(self) -> Host:
        return self._hypervisor.host

    def close(self) -> None:
        self._hypervisor.close()


class _Noted:
    def __init__(self, port: Domains | Storage, changes: list[str]) -> None:
        self._port = port
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        if name not in READING:
            self._changes.append(name)
        return getattr(self._port, name)
