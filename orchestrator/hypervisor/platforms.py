"""What the host can start: virConnectGetDomainCapabilities and virConnectCompareHypervisorCPU."""

from __future__ import annotations

from typing import Any

import libvirt

from ..model import Platform
from .errors import code, message

_CANNOT_RUN = frozenset({libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_SYSTEM_ERROR})
"""Machine type, architecture or virtualization that the emulator does not have; an emulator that is not there."""


def platform_problem(connection: Any, platform: Platform) -> str | None:
    """Why the host cannot start a domain of this kind. Raises libvirtError for another reason."""
    try:
        connection.getDomainCapabilities(*_arguments(platform), 0)
    except libvirt.libvirtError as error:
        if code(error) not in _CANNOT_RUN:
            raise
        return message(error).removeprefix("invalid argument: ")
    return None


def cpu_problem(connection: Any, platform: Platform, cpu: str) -> str | None:
    """Which features of a guest CPU the host lacks; None also where libvirt cannot compare."""
    flags = libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
    try:
        connection.compareHypervisorCPU(*_arguments(platform), cpu, flags)
    except libvirt.libvirtError as error:
        return message(error) if code(error) == libvirt.VIR_ERR_CPU_INCOMPATIBLE else None
    return None


def active_networks(connection: Any) -> frozenset[str]:
    """The names of the active virtual networks. Raises libvirtError."""
    flags = libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE
    return frozenset(network.name() for network in connection.listAllNetworks(flags))


def _arguments(platform: Platform) -> tuple[str | None, str | None, str | None, str]:
    return (
        platform.emulator or None,
        platform.architecture or None,
        platform.machine or None,
        platform.virtualization,
    )
