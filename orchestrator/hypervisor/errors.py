"""libvirtError stops here and becomes one line of ours.

libvirt's codes are coarse (most failures are "internal error" or "operation failed"), so its message is
passed on; only what is certain to have had no effect gets a class of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, ECONNRESET, ENOENT, ENOTDIR, EPERM, EPIPE

import libvirt

from ..errors import UNCHANGED, HypervisorError, NotFound

UNKNOWN = "whether it took effect is unknown"

_FORBIDDEN = frozenset(
    {
        libvirt.VIR_ERR_OPERATION_DENIED,
        libvirt.VIR_ERR_ACCESS_DENIED,
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
    }
)
_UNRESOLVED = re.compile(r"resolve (host|address)|name resolution|(Name|Domain).* not known", re.IGNORECASE)
"""What ssh and the resolver say of a host name that leads nowhere."""
_RIGHTS = "this user must be in the libvirt group, or have polkit action org.libvirt.unix.manage"


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn a libvirtError into `cannot <what>: <libvirt's message>`; for calls that change nothing."""
    with _translated(what, UNCHANGED):
        yield


@contextmanager
def changing(what: str) -> Iterator[None]:
    """The same for calls that have an effect, which is unknown after an error."""
    with _translated(what, UNKNOWN):
        yield


@contextmanager
def _translated(what: str, effect: str) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        said = f"its QEMU process ended ({message(error)})" if says_qemu_ended(error) else message(error)
        problem = f"cannot {what}: {said}"
        if code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            raise NotFound(problem) from error
        if code(error) in _FORBIDDEN:
            raise HypervisorError(problem, hint=_RIGHTS) from error
        raise HypervisorError(problem, effect=effect, hint=_hint(error)) from error


def unreachable(uri: str, error: libvirt.libvirtError) -> HypervisorError:
    """What to raise when a connection cannot be opened."""
    if code(error) in _FORBIDDEN or _errno(error) == EACCES:
        hint = _RIGHTS
    elif _UNRESOLVED.search(message(error)):
        hint = "check the host name in the URI"
    else:
        hint = "check the URI, and that the libvirt daemon (libvirtd or virtqemud) is running"
    return HypervisorError(f"cannot connect to {uri}: {message(error)}", hint=hint)


def silent(uri: str, seconds: float) -> HypervisorError:
    """The error for a connection that is neither opened nor refused in time."""
    hint = "check its libvirt daemon; if it is only slow, raise connection.timeout_s in the configuration"
    return HypervisorError(f"cannot connect to {uri}: no answer within {seconds:g} s", hint=hint)


def code(error: libvirt.libvirtError) -> int:
    number: int | None = error.get_error_code()
    return libvirt.VIR_ERR_INTERNAL_ERROR if number is None else number


def message(error: libvirt.libvirtError) -> str:
    text: str | None = error.get_error_message()
    return (text or str(error)).removeprefix("internal error: ").strip()


def says_qemu_ended(error: libvirt.libvirtError) -> bool:
    """Whether libvirt lost the monitor of a QEMU: it died, and libvirt has yet to notice that the domain is off."""
    if error.get_error_domain() != libvirt.VIR_FROM_QEMU:
        return False  # else it could be the connection to libvirt itself
    return _errno(error) in (ECONNRESET, EPIPE) or "End of file from qemu monitor" in message(error)


def says_locked(error: libvirt.libvirtError) -> bool:
    """Whether QEMU could not get the lock of an image, or libvirt's own lock manager refused it."""
    return (
        code(error) == libvirt.VIR_ERR_RESOURCE_BUSY
        or re.search(r"Failed to get .*lock|another process using the image", message(error)) is not None
    )


def says_no_such_file(error: libvirt.libvirtError) -> bool:
    """Whether the daemon's system call said that a path, or a directory in it, does not exist."""
    return _errno(error) in (ENOENT, ENOTDIR)


def says_not_a_directory(error: libvirt.libvirtError) -> bool:
    """Whether it said that a path leads through a file, or is one."""
    return _errno(error) == ENOTDIR


def says_pool_is_busy(error: libvirt.libvirtError) -> bool:
    """Whether a pool could not be refreshed because volumes are being made or copied in it (virStoragePoolRefresh)."""
    return "has asynchronous jobs running" in message(error)


def says_not_permitted(error: libvirt.libvirtError) -> bool:
    """Whether it said that the daemon, who may be an ordinary user, may not do that."""
    return _errno(error) == EPERM


def _errno(error: libvirt.libvirtError) -> int | None:
    # virReportSystemError puts errno there.
    number: int | None = error.get_int1() if code(error) == libvirt.VIR_ERR_SYSTEM_ERROR else None
    return number


def _hint(error: libvirt.libvirtError) -> str:
    if code(error) == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return "another client's job may hold the domain, see: virsh domjobinfo"
    if says_pool_is_busy(error):
        return "a volume is being made there: wait until it is, see: virsh pool-list --details"
    if "Storage source conflict" in message(error):
        return "that storage pool covers the directory but is not active, see: virsh pool-list --all"
    return ""
