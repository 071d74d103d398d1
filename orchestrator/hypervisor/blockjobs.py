"""Pull data up a backing chain, through a QEMU that has the chain open (virDomainBlockRebase).

What a guest sees of the disk is the same at every moment: a copied cluster says what the layer below
said. So a job that dies leaves a whole chain, and one that was aborted may be begun anew.
"""

from __future__ import annotations

from time import sleep
from typing import Any

import libvirt

from ..errors import Interrupted
from ..ports import Progress

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25  # seconds between two looks at a job


def stream(domain: Any, target: str, base: str | None, progress: Progress) -> None:
    """Make the disk's active layer stand on `base`, or on nothing; return when the job has ended, however.

    Joins a job on that disk that somebody left under way. KeyboardInterrupt aborts it and raises
    `Interrupted`. Raises libvirtError.
    """
    if not domain.blockJobInfo(target, 0):
        domain.blockRebase(target, base, 0, 0)
    pause = FIRST_PAUSE
    try:
        while info := domain.blockJobInfo(target, 0):
            progress("stream", info.get("cur", 0), info.get("end", 0))
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    except KeyboardInterrupt:
        abort(domain, target)
        raise Interrupted("the pulling of layers was interrupted", effect="every disk shows what it did") from None


def abort(domain: Any, target: str) -> None:
    """End the job on a disk, if there is one, and wait until it has ended. Raises libvirtError."""
    try:
        domain.blockJobAbort(target, 0)
    except libvirt.libvirtError:
        if domain.isActive() and domain.blockJobInfo(target, 0):
            raise
