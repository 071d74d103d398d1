"""Which block jobs are joined and ended: streams, and no others."""

from __future__ import annotations

import libvirt
import pytest

from orchestrator.errors import Interrupted
from orchestrator.hypervisor import blockjobs

PULL = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL
OTHERS = {
    "copy": libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
    "commit": libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT,
    "active commit": libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT,
    "backup": libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP,
}


class Disk:
    """Of a running domain, with at most one job, which an abort ends."""

    def __init__(self, job: int | None) -> None:
        self.job = job

    def isActive(self) -> bool:
        return True

    def blockJobInfo(self, _: str, __: int) -> dict[str, int]:
        return {} if self.job is None else {"type": self.job, "bandwidth": 0, "cur": 1, "end": 2}

    def blockJobAbort(self, _: str, __: int) -> None:
        self.job = None

    def blockRebase(self, _: str, __: str | None, ___: int, ____: int) -> None:
        if self.job is not None:
            raise libvirt.libvirtError("already in active block job")
        self.job = PULL


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("job", [PULL, None], ids=["stream", "none"])
def test_abort_stream_ends_it(job: int | None) -> None:
    disk = Disk(job)
    blockjobs.abort(disk, "vda")
    assert disk.job is None


@pytest.mark.parametrize("job", OTHERS.values(), ids=OTHERS)
def test_abort_job_of_another_type_leaves_it(job: int) -> None:
    disk = Disk(job)
    blockjobs.abort(disk, "vda")
    assert disk.job == job


@pytest.mark.parametrize("job", OTHERS.values(), ids=OTHERS)
def test_stream_while_job_of_another_type_runs_is_refused(job: int) -> None:
    disk = Disk(job)
    with pytest.raises(libvirt.libvirtError):
        blockjobs.stream(disk, "vda", None, interrupt)
    assert disk.job == job


@pytest.mark.parametrize("job", [PULL, None], ids=["joined", "begun"])
def test_stream_interrupted_ends_it(job: int | None) -> None:
    disk = Disk(job)
    with pytest.raises(Interrupted):
        blockjobs.stream(disk, "vda", None, interrupt)
    assert disk.job is None
