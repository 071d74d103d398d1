"""The names on which both sides of a box agree: the caller's and, inside, that of PID 1.

The state directory is the only directory that both sides see.  It is flat, so that an
ordinary user who made it can remove what root left in it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Not $TMPDIR: that is often private to one user, and clients of every user must get at the socket.
STATE_PARENT = Path("/tmp")
# A socket's path may have 107 characters at most, hence the limit on the name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

LIBVIRTD_CONF = "/etc/libvirt/libvirtd.conf"
LIBVIRTD_PID = "/run/libvirtd.pid"
VIRTLOGD_CONF = "/etc/libvirt/virtlogd.conf"
IMAGES = "/var/lib/libvirt/images"

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHIMS = "/run/box/bin"
"""Inside the box: programs that shadow the system's for libvirtd (see ``--slow-save``)."""

# "env -i": the daemons must not depend on whose shell starts them.
CLEAN_ENVIRONMENT = ["env", "-i", f"PATH={SHIMS}:{SYSTEM_PATH}", "LANG=C.UTF-8", "HOME=/root"]
VIRTLOGD = [*CLEAN_ENVIRONMENT, "virtlogd", "--daemon", "--config", VIRTLOGD_CONF]
LIBVIRTD = [*CLEAN_ENVIRONMENT, "libvirtd", "--daemon", "--config", LIBVIRTD_CONF]


@dataclass(frozen=True)
class State:
    """The files of one box that both sides see."""

    directory: Path

    @classmethod
    def of(cls, name: str) -> "State":
        """The state of this user's box of that name, whether or not it exists."""
        return cls(STATE_PARENT / f"{cls.prefix()}{name}")

    @staticmethod
    def prefix() -> str:
        """How the directories of this user's boxes begin."""
        return f"snapctl-box-{os.getuid()}-"

    @property
    def socket(self) -> Path:
        """Where libvirtd listens."""
        return self.directory / "libvirt-sock"

    @property
    def pid_file(self) -> Path:
        """ "PID START-TIME" of the box's PID 1, as the machine outside numbers it."""
        return self.directory / "init.pid"

    @property
    def ready(self) -> Path:
        """Exists once the inside is furnished and libvirtd may be started."""
        return self.directory / "ready"

    @property
    def init_log(self) -> Path:
        """What PID 1 and the daemons print."""
        return self.directory / "init.log"

    @property
    def libvirtd_log(self) -> Path:
        """libvirtd's own warnings and errors."""
        return self.directory / "libvirtd.log"

    @property
    def hold_saves(self) -> Path:
        """While this file exists, a box with slow saves lets none finish."""
        return self.directory / "hold-saves"
