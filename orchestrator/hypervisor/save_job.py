"""A save that can be watched and interrupted.

virDomainSave blocks until the image is whole, so it runs in a thread of its own, while this one asks
for the job's statistics and listens for Ctrl-C.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import libvirt

from ..errors import Interrupted
from ..ports import Progress
from .errors import code

POLL_SECONDS = 0.1


def save(domain: Any, path: str, progress: Progress) -> None:
    """Save a domain's memory; return when its image is whole and the domain is off.

    KeyboardInterrupt aborts the job and raises `Interrupted` once libvirt has let the guest keep running; when
    the image was whole before, the interrupt comes too late and is dropped. Raises libvirtError.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="save") as worker:
        saving = worker.submit(domain.saveFlags, path, None, 0)
        interrupted = _watch(saving, domain, progress)
    try:
        saving.result()
    except libvirt.libvirtError as error:
        if interrupted and code(error) == libvirt.VIR_ERR_OPERATION_ABORTED:
            raise Interrupted("the save was interrupted", effect="the guest keeps running") from error
        raise


def _watch(saving: Future[Any], domain: Any, progress: Progress) -> bool:
    """Wait for the end of the save, whatever it is; say whether the user interrupted it."""
    interrupted = False
    while True:
        try:
            while not saving.done():
                if interrupted:
                    # Again and again: the job may not have begun yet, or be in a phase that refuses.
                    with suppress(libvirt.libvirtError):
                        domain.abortJob()
                wait([saving], timeout=POLL_SECONDS)
                _report(domain, progress)
            return interrupted
        except KeyboardInterrupt:
            interrupted = True


def _report(domain: Any, progress: Progress) -> None:
    try:
        stats: dict[str, int] = domain.jobStats()
    except libvirt.libvirtError:
        return  # over: no longer running
    if libvirt.VIR_DOMAIN_JOB_DATA_TOTAL in stats:
        done = stats.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0)
        progress("save", done, stats[libvirt.VIR_DOMAIN_JOB_DATA_TOTAL])
