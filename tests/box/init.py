"""PID 1 of a box: furnishes the inside, then reaps whatever dies in it.

Runs as root in new mount, PID, IPC, UTS and network namespaces, by
``python -m tests.box.init STATE_DIRECTORY NAME [--slow-save] [--static-ownership]``.  Starts virtlogd only:
libvirtd is started, killed and started again from outside, as the tests please.  When this
process dies the kernel kills everything in the box and drops its mounts.
"""

import argparse
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.box import config, layout

QEMU_DIRECTORIES = ("/var/lib/libvirt/qemu", "/var/cache/libvirt/qemu", "/run/libvirt/qemu")
PRIVATE_DIRECTORIES = (
    layout.IMAGES,
    "/var/lib/libvirt/boot",
    "/var/log/libvirt/qemu",
    "/var/tmp",
    "/run/lock",
    layout.SHIMS,
    *QEMU_DIRECTORIES,
)

SLOW_GZIP = """\
#!/bin/sh
# Stands in for gzip when libvirtd saves ("-c"; a restore says "-dc").
[ "$1" = -c ] && while [ -e "{hold}" ]; do sleep 0.05; done
exec /usr/bin/gzip -1 "$@"
"""


def main() -> None:
    """Set the box up, say so, and reap for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=lambda text: layout.State(Path(text)))
    parser.add_argument("name")
    parser.add_argument("--slow-save", action="store_true")
    parser.add_argument("--static-ownership", action="store_true")
    options = parser.parse_args()
    state: layout.State = options.state
    _log_to(state.init_log)
    _publish_pid(state.pid_file)
    os.umask(0o022)
    socket.sethostname(options.name)
    _mount(state)
    _furnish(state, slow_save=options.slow_save, static_ownership=options.static_ownership)
    _run(*layout.VIRTLOGD)
    state.ready.touch()
    _reap_for_ever()


def _log_to(path: Path) -> None:
    """Let this process and all that come from it print into `path`."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(log, standard)


def _publish_pid(path: Path) -> None:
    """Tell the outside who we are; /proc is still the machine's, so it knows our number there."""
    stat = Path("/proc/self/stat").read_text()
    start_time = stat.rpartition(")")[2].split()[19]
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(f"{os.readlink('/proc/self')} {start_time}\n")
    unfinished.rename(path)  # whole at once: a file without a number means that we died


def _mount(state: layout.State) -> None:
    """Replace every directory that libvirtd writes to, or might find the machine's libvirt in."""
    _run("mount", "-t", "proc", "proc", "/proc")
    _mount_tmpfs("/run", "0755")
    # The state directory must come through the new /tmp.
    carried = Path("/run/box/state")
    carried.mkdir(parents=True)
    _run("mount", "--bind", str(state.directory), str(carried))
    _mount_tmpfs("/tmp", "1777")
    state.directory.mkdir(parents=True)
    _run("mount", "--move", str(carried), str(state.directory))
    # All of /var, since without libvirt-daemon-system no /var/lib/libvirt is there to mount on.
    _mount_tmpfs("/var", "0755")
    _mount_tmpfs("/etc/libvirt", "0755")
    _hide_kvm()
    _hide_cgroups()
    _replace("/etc/passwd", config.with_qemu_user)
    _replace("/etc/group", config.with_qemu_group)


def _mount_tmpfs(path: str, mode: str) -> None:
    _run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", path)


def _replace(path: str, edit: Callable[[str], str]) -> None:
    """Show the box an edited copy of a file of the machine."""
    copy = Path("/run/box", Path(path).name)
    copy.write_text(edit(Path(path).read_text()))
    _run("mount", "--bind", str(copy), path)


def _hide_kvm() -> None:
    """A /dev/kvm that libvirtd sees but QEMU may not open is probed anew at every single call."""
    kvm = Path("/dev/kvm")
    if kvm.exists():
        unusable = Path("/run/box/no-kvm")
        unusable.touch(mode=0o000)
        _run("mount", "--bind", str(unusable), str(kvm))


def _hide_cgroups() -> None:
    """Else libvirt makes groups for its guests in the machine's cgroup tree and leaves them there."""
    if os.path.ismount("/sys/fs/cgroup"):
        _run("umount", "--recursive", "--lazy", "/sys/fs/cgroup")


def _furnish(state: layout.State, *, slow_save: bool, static_ownership: bool) -> None:
    """Make the directories and configuration that libvirt-daemon-system would have brought."""
    for directory in PRIVATE_DIRECTORIES:
        Path(directory).mkdir(parents=True, exist_ok=True)
    for directory in QEMU_DIRECTORIES:
        os.chown(directory, config.QEMU_UID, config.QEMU_UID)
    Path("/var/run").symlink_to("/run")
    Path("/var/lock").symlink_to("/run/lock")  # where libvirt locks the consoles it opens
    Path("/var/tmp").chmod(0o1777)
    state.libvirtd_log.touch(mode=0o644)  # libvirtd itself would hide it from the box's owner
    Path(layout.LIBVIRTD_CONF).write_text(config.libvirtd_conf(state))
    Path(layout.VIRTLOGD_CONF).write_text(config.virtlogd_conf())
    Path("/etc/libvirt/qemu.conf").write_text(config.qemu_conf(slow_save=slow_save, static_ownership=static_ownership))
    if slow_save:
        gzip = Path(layout.SHIMS, "gzip")
        gzip.write_text(SLOW_GZIP.format(hold=state.hold_saves))
        gzip.chmod(0o755)


def _reap_for_ever() -> None:
    """Collect children the moment they die: libvirt takes a zombie QEMU for one that still runs."""
    while True:
        try:
            os.wait()
        except ChildProcessError:  # no children at present; orphans may yet be handed to us
            time.sleep(0.02)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=60)


if __name__ == "__main__":
    main()
