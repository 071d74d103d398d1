"""The configuration of a box's daemons, each setting with its reason."""

from uuid import uuid4

from tests.box.layout import State

# The account that Debian's libvirt was built for.  Without it libvirtd does not even start.
QEMU_USER = "libvirt-qemu"
QEMU_UID = 64055


def libvirtd_conf(state: State) -> str:
    """libvirtd.conf: reachable for every user of the machine, without asking who it is.

    The host's identity is new with every box, because everything on it is new too.
    """
    return f"""\
unix_sock_dir = "{state.directory}"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0777"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_level = 3
log_outputs = "3:file:{state.libvirtd_log}"
host_uuid = "{uuid4()}"
"""


def virtlogd_conf() -> str:
    """virtlogd.conf: nothing but defaults; the file keeps virtlogd from looking elsewhere."""
    return "log_level = 3\n"


def qemu_conf(*, slow_save: bool, static_ownership: bool) -> str:
    """qemu.conf: QEMU as an unprivileged user, and nothing that a container cannot give.

    - ``namespaces``: a private /dev per guest would have to move the mount that hides /dev/kvm.
    - ``remember_owner``: killed daemons leave their notes in xattrs behind, and then
      libvirt refuses the file ("Setting different DAC user ... already in use").
    - ``dynamic_ownership``: libvirt gives a guest's files to QEMU's user, unless static boxes forbid it.
    - ``save_image_format``: sends saves through gzip, which slow boxes replace.
    """
    image_format = "gzip" if slow_save else "raw"
    return f"""\
user = "{QEMU_USER}"
group = "{QEMU_USER}"
dynamic_ownership = {int(not static_ownership)}
remember_owner = 0
security_driver = "none"
namespaces = []
save_image_format = "{image_format}"
"""


def with_qemu_user(passwd: str) -> str:
    """The text of /etc/passwd with QEMU's account in it."""
    return _with_account(passwd, f"{QEMU_USER}:x:{QEMU_UID}:{QEMU_UID}::/var/lib/libvirt:/usr/sbin/nologin")


def with_qemu_group(group: str) -> str:
    """The text of /etc/group with the group of QEMU's account in it."""
    return _with_account(group, f"{QEMU_USER}:x:{QEMU_UID}:")


def _with_account(database: str, line: str) -> str:
    lines = [old for old in database.splitlines() if not old.startswith(f"{QEMU_USER}:")]
    return "".join(f"{each}\n" for each in [*lines, line])
