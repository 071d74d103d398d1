"""The content of block devices, and samples of files, through domains that are never started.

The storage API knows a device only as a volume of the pool of its directory, and to refresh such a pool libvirt opens
every node there. virDomainBlockPeek opens one disk of one domain, which need not run. So a domain is defined for a
moment that has nothing but these disks, read-only. Each client has one of its own, and first removes those that killed
clients left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice, product
from typing import Any, TypeVar
from uuid import uuid4

import libvirt

from ..errors import HypervisorError, NotFound
from ..formats import domainxml
from ..formats.fingerprint import fingerprint, samples
from ..model import FileInfo
from ..ports import Progress
from .connection import Connection
from .errors import code, says_no_such_file

T = TypeVar("T")

LONGEST = 4 << 20
"""Bytes that one message of libvirt's protocol holds."""

RUN = 8 * LONGEST
"""Bytes read through one such domain: hours would be too long for it to be there."""

PREFIX = "snapctl-peek-"

ATTEMPTS = 5
"""A client that has just begun may take the domain of another for one that was left."""

KINDS = tuple(product((True, False), ("qemu", "kvm")))
"""Read as root or not, virtualization: an ordinary user's daemon may know no labels, and not every QEMU emulates."""

_UNREADABLE = frozenset({libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_INTERNAL_ERROR})
"""What libvirt answers when it cannot open a disk, or finds no more in it: the error of that disk alone."""

_UNSUPPORTED = frozenset({libvirt.VIR_ERR_CONFIG_UNSUPPORTED, libvirt.VIR_ERR_INVALID_ARG})


class Peeking:
    """Reads only. Its methods raise libvirtError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._uuid = str(uuid4())
        self._is_first = True

    def fingerprints(self, paths: Sequence[str]) -> dict[str, str | None]:
        def read(domain: Any, targets: dict[str, str]) -> dict[str, str | None]:
            return {path: _unless_unreadable(domain, target, _fingerprint) for path, target in targets.items()}

        found: dict[str, str | None] = {}
        for some in _batches(paths):
            found |= self._on(some, read)
        return found

    def stat(self, path: str) -> FileInfo | None:
        """Its size; None when there is no such device, or no medium in it."""

        def read(domain: Any, targets: dict[str, str]) -> int | None:
            return _unless_unreadable(domain, targets[path], _size)

        size = self._on([path], read)
        if size is None:
            return None
        return FileInfo(
            path=path, physical=size, allocation=size, capacity=size, format="raw", mode=0, mtime="0.000000000"
        )

    def read(self, path: str, offset: int, length: int) -> bytes:
        def read(domain: Any, targets: dict[str, str]) -> bytes:
            end = min(offset + length, _size(domain, targets[path]))
            return _read(path, offset, end, domain, targets)

        return self._on([path], read)

    def sha256(self, path: str, progress: Progress) -> str:
        found = self.stat(path)
        if found is None:
            raise NotFound(f"the hypervisor has no file {path}")
        digest = hashlib.sha256()
        for start in range(0, found.physical, RUN):
            end = min(start + RUN, found.physical)
            digest.update(self._on([path], partial(_read, path, start, end)))
            progress("hash", end, found.physical)
        return digest.hexdigest()

    # ------------------------------------------------------------------

    def _on(self, paths: Sequence[str], read: Callable[[Any, dict[str, str]], T]) -> T:
        if self._is_first:
            self._is_first = False
            self._remove_leftovers()
        for attempt in range(ATTEMPTS):
            try:
                with self._defined(paths) as (domain, targets):
                    return read(domain, targets)
            except libvirt.libvirtError as error:
                if code(error) != libvirt.VIR_ERR_NO_DOMAIN or attempt + 1 == ATTEMPTS:
                    if says_no_such_file(error):
                        raise NotFound(f"the hypervisor has no file {paths[0]}") from error
                    raise
        raise AssertionError

    def _remove_leftovers(self) -> None:
        for domain in self._connection.handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE):
            with suppress(libvirt.libvirtError, HypervisorError):
                if domain.name().startswith(PREFIX) and domainxml.is_helper(domain.XMLDesc(0)):
                    domain.undefine()

    @contextmanager
    def _defined(self, paths: Sequence[str]) -> Iterator[tuple[Any, dict[str, str]]]:
        domain, targets = self._define(paths)
        try:
            yield domain, targets
        finally:
            with suppress(libvirt.libvirtError):
                domain.undefine()

    def _define(self, paths: Sequence[str]) -> tuple[Any, dict[str, str]]:
        handle = self._connection.handle
        for number, (as_root, virtualization) in enumerate(KINDS, 1):
            xml, targets = domainxml.peeking(
                paths,
                uuid=self._uuid,
                name=f"{PREFIX}{self._uuid}",
                virtualization=virtualization,
                as_root=as_root,
            )
            try:
                return handle.defineXML(xml), targets
            except libvirt.libvirtError as error:
                if code(error) not in _UNSUPPORTED or number == len(KINDS):
                    raise
        raise AssertionError


def _batches(paths: Iterable[str]) -> Iterator[list[str]]:
    """Each path once."""
    left = iter(dict.fromkeys(paths))
    while batch := list(islice(left, domainxml.MOST_PEEKED)):
        yield batch


def _fingerprint(domain: Any, target: str) -> str:
    size = _size(domain, target)
    return fingerprint(size, (domain.blockPeek(target, offset, length, 0) for offset, length in samples(size)))


def _size(domain: Any, target: str) -> int:
    # The last one is the length; the first is what a guest would see.
    size: int = domain.blockInfo(target)[2]
    return size


def _read(path: str, start: int, end: int, domain: Any, targets: dict[str, str]) -> bytes:
    target = targets[path]
    offsets = range(start, end, LONGEST)
    return b"".join(domain.blockPeek(target, offset, min(LONGEST, end - offset), 0) for offset in offsets)


def _unless_unreadable(domain: Any, target: str, read: Callable[[Any, str], T]) -> T | None:
    try:
        return read(domain, target)
    except libvirt.libvirtError as error:
        if code(error) not in _UNREADABLE:
            raise
        return None
