"""Directories of the hypervisor as storage pools: one directory, one transient pool.

libvirt knows a file only as a volume of an active pool, and a pool only as it was when it was last
refreshed it. So pools are opened here on demand, kept while the connection lives, and refreshed
again when what they say may be out of date. A pool of snapctl has a name and UUID made from its path, so
that all clients mean the same one; any of them may deactivate it at any time. A pool that a user
already has on a directory is used as it is, and never deactivated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

import libvirt

from ..errors import HypervisorError
from ..formats import storagexml
from .connection import Connection
from .errors import code, message, says_not_a_directory, says_pool_is_busy

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds to wait for a pool in which somebody is making a volume."""
PAUSE = 0.2
"""Seconds between two attempts."""

_OUTDATED = frozenset(
    {
        libvirt.VIR_ERR_NO_STORAGE_POOL,  # another client deactivated it
        libvirt.VIR_ERR_NO_STORAGE_VOL,  # a file that is not listed (yet): virDomainSave informs no pool
        libvirt.VIR_ERR_STORAGE_VOL_EXIST,  # a file that another client has removed
        libvirt.VIR_ERR_OPERATION_INVALID,  # a persistent pool that is not active
    }
)
"""What libvirt answers when our picture of its pools is not theirs; each before any effect."""


class Pools:
    """The pools in use. Its methods raise libvirtError; errno ENOENT says that there is no such directory."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._handle = connection.handle
        self._open: dict[str, Any] = {}

    def use(self, directory: str, action: Callable[[Any], T], *, fresh: bool = False) -> T:
        """`action(pool)`; with `fresh`, the pool lists the directory as it is now.

        Runs `action` a second time, on a refreshed pool, if it raised what `_OUTDATED` lists.
        """
        try:
            pool = self._known().get(directory)
            if pool is None:
                pool = self._opened(directory)
            elif fresh:
                _refresh(pool, directory)
            return action(pool)
        except libvirt.libvirtError as error:
            if code(error) not in _OUTDATED:
                raise
        return action(self._opened(directory))

    def build(self, directory: str) -> None:
        """Make a directory, mode 0711; its missing parents would get the daemon's umask."""
        build = libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD
        self._known()[directory] = self._connection.handle.storagePoolCreateXML(_xml(directory), build)

    def remove(self, directory: str) -> None:
        """Remove an empty directory without looking into it, and its pool.

        Only an inactive pool can be deleted, and a transient one vanishes when deactivated: so it is
        made persistent first. A crash leaves an inactive pool, which the next call removes.
        """
        self._known().pop(directory, None)
        pool = self._connection.handle.storagePoolDefineXML(_xml(directory), 0)
        try:
            if pool.isActive():
                pool.destroy()
            pool.delete(0)
        finally:
            pool.undefine()

    def close(self) -> None:
        """Deactivate the pools that are snapctl's; leaves them to the next client if the daemon is gone."""
        for directory, pool in self._open.items():
            if pool.UUIDString() == _uuid(directory):
                with suppress(libvirt.libvirtError):
                    pool.destroy()
        self._open.clear()

    def _known(self) -> dict[str, Any]:
        handle = self._connection.handle
        if handle is not self._handle:  # reconnected: the pools of the old connection are void
            self._handle = handle
            self._open.clear()
        return self._open

    def _opened(self, directory: str) -> Any:
        """The active pool on a directory, refreshed, or else a new one."""
        pool = self._active(directory) or self._created(directory)
        self._known()[directory] = pool
        return pool

    def _active(self, directory: str) -> Any | None:
        try:
            pool = self._connection.handle.storagePoolLookupByTargetPath(directory)
            _refresh(pool, directory)
        except libvirt.libvirtError as error:
            if code(error) != libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
            return None
        return pool

    def _created(self, directory: str) -> Any:
        try:
            return self._connection.handle.storagePoolCreateXML(_xml(directory), 0)
        except libvirt.libvirtError as error:
            pool = self._active(directory)  # another client was faster
            if pool is None:
                _require_whole(directory, error)
                raise
            return pool


def _refresh(pool: Any, directory: str) -> None:
    """Refresh it, as soon as libvirt does: it refuses while a volume is being made in that pool, by a clone or an
    upload, and a guest may be waiting to be restored."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            pool.refresh(0)
        except libvirt.libvirtError as error:
            if says_pool_is_busy(error) and monotonic() < deadline:
                sleep(PAUSE)
                continue
            _require_whole(directory, error)
            raise
        return


def _require_whole(directory: str, error: libvirt.libvirtError) -> None:
    """Raise `HypervisorError` for an entry that libvirt cannot inspect, such as a link through a file: it then lists
    nothing of the directory, which does not mean that nothing is there."""
    if says_not_a_directory(error) and f"{directory}/" in message(error):
        raise HypervisorError(f"libvirt cannot list {directory}: {message(error)}", hint="remove that entry") from error


def _xml(directory: str) -> str:
    uuid = _uuid(directory)
    return storagexml.pool(directory, name=f"snapctl-{uuid}", uuid=uuid)


def _uuid(directory: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"snapctl:{directory}"))
