"""Who holds an operation: this process as an `Owner`, and whether another one still lives.

A process is known by its id and start time (proc(5), stat field 22, in clock ticks since boot)
and the kernel's boot id, so that a reused process id is not taken for its former bearer. That can
be judged only where the process would be visible: on the same host, in the same PID namespace.
Hosts that share a catalog must have different names.
"""

from __future__ import annotations

import getpass
import os
import socket
from functools import lru_cache
from pathlib import Path

from ..model import Owner

_PROC = Path("/proc")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # its inode on every Linux kernel: PROC_PID_INIT_INO


def this_process() -> Owner:
    pid = os.getpid()
    return Owner(user=_user(), host=_host(), boot_id=_boot_id(), pid=pid, pid_start=_start(pid) or "")


def is_gone(owner: Owner) -> bool:
    """Whether the process certainly runs no more; False when that cannot be seen from here."""
    if owner.host != _host():
        return False
    return owner.boot_id != _boot_id() or owner.pid_start != _start(owner.pid)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())


@lru_cache(maxsize=1)
def _host() -> str:
    """Where our process ids mean something: the host's name, and the PID namespace if not the first."""
    namespace = (_PROC / "self/ns/pid").stat().st_ino
    name = socket.gethostname()
    return name if namespace == _FIRST_PID_NAMESPACE else f"{name} (pid:{namespace})"


@lru_cache(maxsize=1)
def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _start(pid: int) -> str | None:
    """The start time of a process, None when there is none or it is only waiting to be reaped."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else fields[18]
