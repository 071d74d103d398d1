"""Reading a domain as it is now.

A reading takes about ten calls, between which the domain may start, stop or vanish; one that saw two
moments is discarded. A domain that is busy is asked only what answers at once: during a restore libvirt
lets a question about jobs or block devices wait for 30 seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import libvirt

from ..errors import HypervisorError
from ..formats import domainxml
from ..model import Disk, Domain, DomainDisks, GuestState, OffReason
from .errors import code
from .states import UNNAMED_JOB, guest_state, job_name, job_of_reason, off_reason

ATTEMPTS = 5
_CANNOT_TELL = frozenset(
    {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_TIMEOUT}
)
"""It is shut off, or was stopped in between; the driver does not support it; a job blocks the query."""
_UNDER_WAY = frozenset({libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED})


@dataclass(frozen=True, slots=True)
class Activity:
    """What a domain is doing: state and job, from one moment."""

    state: GuestState
    job: str | None
    off_reason: OffReason | None


class _Moved(Exception):
    """The domain started or stopped while it was read."""


def observe(domain: Any) -> Domain:
    """The domain as it is now, not measured. Raises libvirtError (VIR_ERR_NO_DOMAIN when it vanished)."""
    for _ in range(ATTEMPTS):
        try:
            return _observe(domain)
        except _Moved:
            continue
    raise HypervisorError(f"domain {domain.name()} starts and stops faster than it can be read")


def activity(domain: Any) -> Activity:
    """State (virDomainGetState) and job (virDomainGetJobStats). Raises libvirtError, `_Moved`."""
    state, reason = domain.state()
    seen = guest_state(state, reason)
    if seen is GuestState.OFF:
        return Activity(seen, None, off_reason(reason))
    if seen is GuestState.BUSY:
        return Activity(seen, job_of_reason(state, reason), None)
    job = _job(domain)
    if job and seen is GuestState.PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION:
        return Activity(GuestState.BUSY, job, None)
    return Activity(seen, job, None)


def disks_of(domain: Any) -> DomainDisks:
    """The disks of a domain, live and from its next start on. Raises libvirtError."""
    xml: str = domain.XMLDesc(0)
    try:
        definition = domainxml.definition(xml)
        persistent_xml = _persistent_xml(domain, xml, definition, bool(domain.isPersistent()))
        persistent_disks = domainxml.disks(persistent_xml) if persistent_xml else ()
    except HypervisorError:  # one that cannot be read must not stop snapctl for all others
        return DomainDisks(
            uuid=domain.UUIDString(),
            name=domain.name(),
            active=bool(domain.isActive()),
            disks=domainxml.mentioned(xml),
            persistent_disks=(),
        )
    return DomainDisks(
        uuid=definition.uuid,
        name=definition.name,
        active=definition.run_id is not None,
        disks=definition.disks,
        persistent_disks=persistent_disks,
    )


def capacities(connection: Any, domain: Any) -> dict[str, int]:
    """Virtual sizes by target, of the disks whose size libvirt reports. Raises libvirtError.

    virConnectGetAllDomainStats asks QEMU once, for all disks, where virDomainGetBlockInfo asks for each.
    """
    found: dict[str, int] = {}
    for _, stats in connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_BLOCK, 0):
        for number in range(stats.get("block.count", 0)):
            capacity = stats.get(f"block.{number}.capacity")
            if capacity is not None:
                found[stats[f"block.{number}.name"]] = capacity
    return found


def resident_bytes(domain: Any) -> int | None:
    """What its QEMU has resident, None when it has none, or libvirt does not report it. Raises libvirtError."""
    try:
        stats: dict[str, int] = domain.memoryStats()
    except libvirt.libvirtError as error:
        if code(error) in _CANNOT_TELL:
            return None
        raise
    resident = stats.get("rss")  # KiB
    return None if resident is None else resident * 1024


def job_under_way(domain: Any) -> str | None:
    """The name of the job that holds a domain, None if there is none. Raises libvirtError."""
    try:
        return activity(domain).job
    except _Moved:
        return UNNAMED_JOB  # to be asked again


def _observe(domain: Any) -> Domain:
    doing = activity(domain)
    xml: str = domain.XMLDesc(0)
    definition = domainxml.definition(xml)
    if doing.state.active != (definition.run_id is not None):
        raise _Moved
    persistent = bool(domain.isPersistent())
    persistent_xml = _persistent_xml(domain, xml, definition, persistent)
    snapshots = domain.listAllSnapshots(0)
    askable = doing.state.active and doing.state is not GuestState.BUSY
    return Domain(
        uuid=definition.uuid,
        name=definition.name,
        state=doing.state,
        run_id=definition.run_id,
        persistent=persistent,
        memory_bytes=definition.memory_bytes,
        machine=definition.machine,
        cpu=definition.cpu,
        emulator=definition.emulator,
        disks=definition.disks,
        persistent_disks=domainxml.disks(persistent_xml) if persistent_xml else (),
        xml=xml,
        persistent_xml=persistent_xml,
        job=doing.job,
        block_jobs=_block_jobs(domain, definition.disks) if askable else (),
        managed_save=bool(domain.hasManagedSaveImage(0)),
        libvirt_snapshots=tuple(snapshot.getName() for snapshot in snapshots),
        external_snapshots=tuple(
            snapshot.getName() for snapshot in snapshots if domainxml.is_external_snapshot(snapshot.getXMLDesc(0))
        ),
        libvirt_checkpoints=tuple(mark.getName() for mark in domain.listAllCheckpoints(0)),
        off_reason=doing.off_reason,
    )


def _persistent_xml(domain: Any, xml: str, definition: domainxml.Definition, persistent: bool) -> str:
    """`xml` itself for a domain that is off, "" for a transient one."""
    if not persistent:
        return ""
    return xml if definition.run_id is None else str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def _job(domain: Any) -> str | None:
    try:
        stats: dict[str, int] = domain.jobStats()
    except libvirt.libvirtError as error:
        if code(error) == libvirt.VIR_ERR_OPERATION_INVALID:  # not running
            raise _Moved from error
        if code(error) == libvirt.VIR_ERR_OPERATION_TIMEOUT:  # a job that blocks the query
            return UNNAMED_JOB
        raise
    if stats["type"] not in _UNDER_WAY:
        return None
    return job_name(stats.get(libvirt.VIR_DOMAIN_JOB_OPERATION, libvirt.VIR_DOMAIN_JOB_OPERATION_UNKNOWN))


def _block_jobs(domain: Any, disks: Sequence[Disk]) -> tuple[str, ...]:
    try:
        return tuple(disk.target for disk in disks if disk.writable and domain.blockJobInfo(disk.target, 0))
    except libvirt.libvirtError as error:
        if code(error) == libvirt.VIR_ERR_OPERATION_INVALID:  # not running
            raise _Moved from error
        raise
