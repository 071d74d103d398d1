"""Who holds an operation: this process as an `Owner`, and whether another one still lives.

A process is known by its id and start time (proc(5), stat field 22, in clock ticks since boot) and the kernel's
boot id, so that a reused process id is not taken for its former bearer. A process is seen only by a kernel of the
same boot, in the same PID namespace. After a reboot none of before lives: that it is the same machine is told by its
machine-id(5) and its name together, as host names are often equal, and a cloned disk has the machine-id of the
original. What cannot be seen is unknown, which is not gone: then the end of the lease decides.
"""

from __future__ import annotations

import getpass
import os
import socket
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from ..model import Owner

_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # its inode on every Linux kernel: PROC_PID_INIT_INO


class Life(Enum):
    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


def this_process() -> Owner:
    pid = os.getpid()
    start = _start(pid)
    return Owner(
        user=_user(),
        host=_host(),
        machine_id=_machine_id(),
        boot_id=_boot_id(),
        pid=pid,
        pid_start=start if isinstance(start, str) else "",
    )


def life(owner: Owner) -> Life:
    """Whether the process still runs, as far as can be seen from here."""
    if owner.host != _host():
        return Life.UNKNOWN
    if owner.boot_id != _boot_id():
        return Life.GONE if owner.machine_id and owner.machine_id == _machine_id() else Life.UNKNOWN
    start = _start(owner.pid)
    if isinstance(start, Life):
        return start
    return Life.ALIVE if start == owner.pid_start else Life.GONE


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


@lru_cache(maxsize=1)
def _machine_id() -> str:
    """Not machine-id(5) itself, which is not for strangers' eyes; "" without one, as in many containers."""
    try:
        found = _MACHINE_ID.read_text().strip()
    except OSError:
        return ""
    return sha256(f"snapctl {found}".encode()).hexdigest()[:32] if found else ""


def _start(pid: int) -> str | Life:
    """The start time of a process; `GONE` when there is none or it is only waiting to be reaped, `UNKNOWN` when /proc
    hides it (mount option hidepid, or systemd's ProtectProc)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return Life.UNKNOWN if _is_hidden(pid) else Life.GONE
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return Life.GONE if state in "ZX" else fields[18]


def _is_hidden(pid: int) -> bool:
    """kill(2) tells of every process, also of those that /proc does not show."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
