"""Copy data up a backing chain (a block job *stream*), through a QEMU that has the chain open (virDomainBlockRebase).

What a guest sees of the disk is the same at every moment: a copied cluster says what the layer below
said. So a job that dies leaves a whole chain, and one that was aborted may be started again.
"""

from __future__ import annotations

from time import sleep
from typing import Any

import libvirt

from ..errors import Interrupted
from ..ports import Progress

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25  # seconds between two queries of a job


def stream(domain: Any, target: str, base: str | None, progress: Progress) -> None:
    """Give the disk's active layer the backing file `base`, or none; return when the job has ended, however.

    Joins a stream that is already running on that disk. KeyboardInterrupt aborts it and raises
    `Interrupted`. Raises libvirtError, also when a job of another type is there.
    """
    if not _running(domain, target):
        domain.blockRebase(target, base, 0, 0)
    pause = FIRST_PAUSE
    try:
        while info := _running(domain, target):
            progress("stream", info.get("cur", 0), info.get("end", 0))
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    except KeyboardInterrupt:
        abort(domain, target)
        raise Interrupted(
            "copying backing data was interrupted", effect="the contents of all disks are unchanged"
        ) from None


def abort(domain: Any, target: str) -> None:
    """End the stream on a disk, if there is one, and wait until it has ended. A job of another type, as a backup or
    `virsh blockcopy` has, is not ended. Raises libvirtError."""
    try:
        if _running(domain, target):
            domain.blockJobAbort(target, 0)
    except libvirt.libvirtError:
        if domain.isActive() and _running(domain, target):
            raise


def _running(domain: Any, target: str) -> dict[str, int]:
    """libvirt's account of the stream on a disk; empty when there is none."""
    info: dict[str, int] = domain.blockJobInfo(target, 0)
    return info if info and info["type"] == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL else {}
