"""What the host says of the needs of a definition: asked in few calls, and only of what the definition has."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import dirname

from ...errors import HypervisorError
from ...formats.needs import NeededFile, Needs
from ...model import Domain
from ...ports import Hypervisor, Storage
from .preflight import HostFacts


def inspect_host(hypervisor: Hypervisor, needs: Needs, domain: Domain | None, files: Iterable[NeededFile]) -> HostFacts:
    """Two calls at most, and those for `files`, directory by directory.

    A CPU that the running domain has now, to the letter, is one that the host can give.
    """
    domains = hypervisor.domains
    cpu = "" if domain is not None and domain.active and domain.cpu == needs.cpu else needs.cpu
    platform_problem = domains.platform_problem(needs.platform)
    active = domains.active_networks() if needs.networks else frozenset()
    return HostFacts(
        platform_problem=platform_problem,
        cpu_problem=domains.cpu_problem(needs.platform, cpu) if cpu and not platform_problem else None,
        inactive_networks=tuple(name for name in needs.networks if name not in active),
        missing_files=_missing(hypervisor.storage, [file.path for file in files]),
    )


def _missing(storage: Storage, paths: Iterable[str]) -> frozenset[str]:
    """Those that are certainly not there: a directory that libvirt cannot list says nothing of its files."""
    by_directory: dict[str, list[str]] = {}
    for path in paths:
        by_directory.setdefault(dirname(path), []).append(path)
    missing: set[str] = set()
    for group in by_directory.values():
        try:
            missing |= {path for path, facts in storage.stat_all(group).items() if facts is None}
        except HypervisorError:
            continue
    return frozenset(missing)
