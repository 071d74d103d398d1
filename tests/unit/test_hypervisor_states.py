"""libvirt's numbers in snapctl's words."""

from __future__ import annotations

import libvirt
import pytest

from orchestrator.hypervisor import states
from orchestrator.model import GuestState, OffReason

PAUSED = libvirt.VIR_DOMAIN_PAUSED


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_RESTORED, GuestState.RUNNING),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED, GuestState.OFF),
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED, GuestState.CRASHED),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 0, GuestState.OTHER),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0, GuestState.OTHER),
        (libvirt.VIR_DOMAIN_NOSTATE, 0, GuestState.OTHER),
        (99, 0, GuestState.OTHER),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, GuestState.PAUSED),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_UNKNOWN, GuestState.PAUSED),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, GuestState.PAUSED),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION, GuestState.PAUSED),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, GuestState.IO_ERROR),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED, GuestState.CRASHED),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN, GuestState.OTHER),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, GuestState.OTHER),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_SAVE, GuestState.BUSY),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_DUMP, GuestState.BUSY),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT, GuestState.BUSY),
        (PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, GuestState.BUSY),
    ],
)
def test_states(state: int, reason: int, expected: GuestState) -> None:
    assert states.guest_state(state, reason) is expected
    assert (states.job_of_reason(state, reason) is not None) == (expected is GuestState.BUSY)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (libvirt.VIR_DOMAIN_SHUTOFF_SAVED, OffReason.SAVED),
        (libvirt.VIR_DOMAIN_SHUTOFF_FAILED, OffReason.FAILED),
        (libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN, OffReason.UNKNOWN),
        (libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, OffReason.RAN),
        (libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED, OffReason.DESTROYED),
        (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, OffReason.RAN),
        (libvirt.VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT, OffReason.RAN),
        (99, OffReason.RAN),
    ],
)
def test_off_reason_unknown_reason_counts_as_a_run(reason: int, expected: OffReason) -> None:
    assert states.off_reason(reason) is expected


def test_a_job_always_has_a_name() -> None:
    assert states.job_name(libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE) == "save"
    assert states.job_name(99)
