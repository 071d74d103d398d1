"""libvirt's domain states and jobs in snapctl's words. Numbers as in libvirt-domain.h."""

from __future__ import annotations

import libvirt

from ..model import GuestState, OffReason

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: GuestState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: GuestState.OFF,
    libvirt.VIR_DOMAIN_CRASHED: GuestState.CRASHED,
}

_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: GuestState.IO_ERROR,
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: GuestState.CRASHED,
    libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN: GuestState.OTHER,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: GuestState.OTHER,
}

_PAUSED_BY_JOB = {
    libvirt.VIR_DOMAIN_PAUSED_SAVE: "save",
    libvirt.VIR_DOMAIN_PAUSED_DUMP: "dump",
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT: "snapshot",
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: "start",  # restoring from an image counts as that, too
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: "migration",
}
"""Reasons that last as long as a job.

VIR_DOMAIN_PAUSED_MIGRATION is not among them: a guest that was restored paused has it for good (seen
on libvirt 9.0), so there the job itself must be asked.
"""

_OFF = {
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: OffReason.SAVED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: OffReason.FAILED,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: OffReason.DESTROYED,
    libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN: OffReason.UNKNOWN,
}

_OPERATIONS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_START: "start",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE: "save",
    libvirt.VIR_DOMAIN_JOB_OPERATION_RESTORE: "restore",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN: "migration",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: "migration",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: "snapshot",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: "snapshot revert",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE: "snapshot deletion",
    libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP: "dump",
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: "backup",
}

UNNAMED_JOB = "unnamed job"


def guest_state(state: int, reason: int) -> GuestState:
    """The state as far as virDomainGetState reports it; `BUSY` only where the reason alone says so."""
    if state != libvirt.VIR_DOMAIN_PAUSED:
        return _STATES.get(state, GuestState.OTHER)
    if reason in _PAUSED_BY_JOB:
        return GuestState.BUSY
    return _PAUSED.get(reason, GuestState.PAUSED)


def job_of_reason(state: int, reason: int) -> str | None:
    """The job that a paused guest is paused for."""
    return _PAUSED_BY_JOB.get(reason) if state == libvirt.VIR_DOMAIN_PAUSED else None


def off_reason(reason: int) -> OffReason:
    """Why it is off; what is not known to be harmless counts as a run."""
    return _OFF.get(reason, OffReason.RAN)


def job_name(operation: int) -> str:
    return _OPERATIONS.get(operation, UNNAMED_JOB)
