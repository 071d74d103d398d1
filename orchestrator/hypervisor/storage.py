"""`ports.Storage` over virStoragePool, virStorageVol and virStream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from posixpath import basename, dirname, isabs, normpath
from typing import Any, TypeVar
from uuid import uuid4

import libvirt

from ..errors import HypervisorError, NotFound, UsageError
from ..formats import storagexml
from ..model import FileInfo, NewOverlay, is_device
from ..ports import Progress
from .connection import Connection
from .errors import changing, code, reading, says_no_such_file, says_not_a_directory, says_not_permitted
from .peeking import Peeking
from .pools import Pools
from .streams import download, upload

T = TypeVar("T")

NO_STORAGE = "/proc/"
"""libvirt reads the beginning of all files in a directory: in /proc one of them never ends (seen on 9.0)."""


class LibvirtStorage:
    def __init__(self, connection: Connection) -> None:
        self._pools = Pools(connection)
        self._peeking = Peeking(connection)

    def close(self) -> None:
        """Deactivate the pools that were opened. Never raises."""
        self._pools.close()

    # ------------------------------------------------------------------ directories

    def make_directory(self, path: str) -> None:
        path = _checked(path)
        with changing(f"create the directory {path}"):
            for missing in self._missing(path):
                self._pools.build(missing)

    def remove_directory(self, path: str) -> None:
        path = _checked(path)
        with changing(f"remove the directory {path}"):
            _unless_absent(lambda: self._pools.remove(path))

    def names(self, directory: str) -> list[str] | None:
        directory = _checked(directory)
        with reading(f"list the directory {directory}"):
            volumes = _unless_absent(
                lambda: self._pools.use(directory, lambda pool: pool.listAllVolumes(0), fresh=True)
            )
        return None if volumes is None else sorted(name for each in volumes if (name := _name(each)) is not None)

    def files(self, directory: str) -> list[FileInfo] | None:
        return self._listed(directory, storagexml.file_facts)

    def directories(self, directory: str) -> list[FileInfo] | None:
        return self._listed(directory, storagexml.directory_facts)

    def free_bytes(self, path: str) -> int:
        return self._space(path)[1]

    def total_bytes(self, path: str) -> int:
        return self._space(path)[0]

    # ------------------------------------------------------------------ files

    def create_overlay(self, overlay: NewOverlay) -> None:
        path = _checked(overlay.path)
        with changing(f"create the overlay {path}"):
            ownership = self._ownership(overlay.backing)
            try:
                self._create_overlay(overlay, ownership)
            except libvirt.libvirtError as error:
                if ownership is None or not says_not_permitted(error):
                    raise
                self._create_overlay(overlay, None)

    def write(self, path: str, content: bytes) -> None:
        path = _checked(path)
        name = basename(path)

        def replace(pool: Any) -> None:
            for volume in pool.listAllVolumes(0):
                if _name(volume) == name:
                    _delete(volume)
            upload(pool.createXML(storagexml.file(name, len(content)), 0), content)

        with changing(f"write {path}"):
            self._pools.use(dirname(path), replace, fresh=True)

    def create_file(self, path: str, content: bytes) -> bool:
        path = _checked(path)
        name = basename(path)
        draft = f"{name}.{uuid4()}"

        def copied(pool: Any) -> bool:
            source = pool.createXML(storagexml.file(draft, len(content)), 0)
            try:
                upload(source, content)
                pool.createXMLFrom(storagexml.file(name, len(content)), source, 0)
            except libvirt.libvirtError:  # libvirt has no code for a name that is taken
                pool.refresh(0)
                if name not in map(_name, pool.listAllVolumes(0)):
                    raise
                return False
            finally:
                with suppress(libvirt.libvirtError):
                    source.delete(0)
            return True

        with changing(f"create {path}"):
            return self._pools.use(dirname(path), copied, fresh=True)

    def overwrite(self, path: str, content: bytes) -> None:
        path = _checked(path)

        def put(volume: Any) -> bool:
            upload(volume, content)
            return True

        with changing(f"write to {path}"):
            written = self._on_volume(path, put)
        _present(written, path)

    def copy(self, source: str, destination: str) -> None:
        source, destination = _checked(source), _checked(destination)

        def clone(volume: Any) -> bool:
            length: int = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2]
            xml = storagexml.file(basename(destination), length)
            self._pools.use(dirname(destination), partial(_clone, xml, volume))
            return True

        with changing(f"copy {source} to {destination}"):
            copied = self._on_volume(source, clone, fresh=True)
        _present(copied, source)

    def stat(self, path: str) -> FileInfo | None:
        path = _checked(path)
        with reading(f"read the file information of {path}"):
            if is_device(path):
                return self._peeking.stat(path)
            return self._on_volume(path, _facts, fresh=True)

    def stat_all(self, paths: Sequence[str]) -> dict[str, FileInfo | None]:
        directories: dict[str, dict[str, str]] = {}  # to the paths in each, and the names there
        found: dict[str, FileInfo | None] = {}
        for path in paths:
            plain = _checked(path)
            if is_device(plain):
                found[path] = self.stat(plain)
            else:
                directories.setdefault(dirname(plain), {})[path] = basename(plain)
        for directory, names in directories.items():
            with reading(f"read the file information of {directory}"):
                told = _unless_absent(partial(self._pools.use, directory, partial(_facts_each, names), fresh=True))
            found |= told or dict.fromkeys(names)
        return found

    def read(self, path: str, offset: int, length: int) -> bytes:
        path = _checked(path)
        if not length:
            return b""  # which libvirt would take for "up to the end"
        with reading(f"read {path}"):
            if is_device(path):
                return self._peeking.read(path, offset, length)
            content = self._on_volume(path, lambda volume: b"".join(download(volume, offset, length)))
        return _present(content, path)

    def sha256(self, path: str, progress: Progress) -> str:
        path = _checked(path)
        with reading(f"hash {path}"):
            if is_device(path):
                return self._peeking.sha256(path, progress)
            digest = self._on_volume(path, lambda volume: _sha256(volume, progress))
        return _present(digest, path)

    def fingerprints(self, paths: Sequence[str]) -> dict[str, str | None]:
        if not paths:
            return {}
        plain = {path: _checked(path) for path in paths}
        with reading(f"read samples of {', '.join(plain.values())}"):
            found = self._peeking.fingerprints(list(plain.values()))
        return {path: found[name] for path, name in plain.items()}

    def remove(self, path: str) -> None:
        path = _checked(path)
        with changing(f"delete {path}"):
            self._on_volume(path, _delete)

    # ------------------------------------------------------------------

    def _create_overlay(self, overlay: NewOverlay, ownership: storagexml.Ownership | None) -> None:
        xml = storagexml.overlay(overlay, ownership)
        self._pools.use(dirname(overlay.path), lambda pool: pool.createXML(xml, 0))

    def _ownership(self, path: str) -> storagexml.Ownership | None:
        """Whose an image is: its overlay is to be the same user's, as libvirt does not change that at the start of a
        guest everywhere (dynamic_ownership, relabel='no'). None for a device node, which is not looked at."""
        if is_device(path):
            return None
        return self._on_volume(_checked(path), lambda volume: storagexml.ownership(volume.XMLDesc(0)))

    def _listed(self, directory: str, seen: Callable[[str], FileInfo | None]) -> list[FileInfo] | None:
        """What `seen` makes of the XML of each volume, by path; None when there is no such directory."""
        directory = _checked(directory)
        with reading(f"list the directory {directory}"):
            volumes = _unless_absent(
                lambda: self._pools.use(directory, lambda pool: pool.listAllVolumes(0), fresh=True)
            )
            if volumes is None:
                return None
            found = [_unless_absent(partial(_facts, volume, seen)) for volume in volumes]
        return sorted((info for info in found if info), key=lambda info: info.path)

    def _on_volume(self, path: str, action: Callable[[Any], T], *, fresh: bool = False) -> T | None:
        """`action(volume)`, or None when there is no such file."""
        name = basename(path)
        return _unless_absent(
            lambda: self._pools.use(dirname(path), lambda pool: action(pool.storageVolLookupByName(name)), fresh=fresh)
        )

    def _missing(self, path: str) -> list[str]:
        """The directories to be made, parents first.

        `path` itself is looked for by opening it, as it will be used; its parents in *their* parents'
        listings, because they may hold a directory of ours for each operation there ever was.
        """
        if _unless_absent(lambda: self._pools.use(path, lambda _: True)):
            return []
        missing = [path]
        while not self._is_directory(dirname(missing[0])):
            missing.insert(0, dirname(missing[0]))
        return missing

    def _is_directory(self, path: str) -> bool:
        return path == "/" or self._on_volume(path, _volume_type) == libvirt.VIR_STORAGE_VOL_DIR

    def _space(self, path: str) -> tuple[int, int]:
        """Size and free bytes of the file system where `path` is or would be."""
        path = _checked(path)
        with reading(f"query the free space at {path}"):
            while (space := self._space_in(path)) is None:
                path = dirname(path)
        return space

    def _space_in(self, directory: str) -> tuple[int, int] | None:
        def told(pool: Any) -> tuple[int, int]:
            _, capacity, _, available = pool.info()
            return capacity, available

        try:
            return self._pools.use(directory, told, fresh=True)
        except libvirt.libvirtError as error:
            if says_not_a_directory(error) or not says_no_such_file(error):
                raise
            return None


def _facts(volume: Any, seen: Callable[[str], FileInfo | None] = storagexml.file_facts) -> FileInfo | None:
    """libvirt looks at the file anew for each volume XML (virStorageBackendVolRefreshLocal). None for a file with a
    name that is not UTF-8, which is not snapctl's."""
    try:
        xml: str = volume.XMLDesc(0)
    except UnicodeDecodeError:
        return None
    return seen(xml)


def _name(volume: Any) -> str | None:
    """None for one that is not UTF-8."""
    try:
        name: str = volume.name()
    except UnicodeDecodeError:
        return None
    return name


def _facts_each(names: Mapping[str, str], pool: Any) -> dict[str, FileInfo | None]:
    """By path; what a pool that has just been refreshed does not list is not there."""
    volumes = {_name(volume): volume for volume in pool.listAllVolumes(0)}
    return {
        path: _unless_absent(partial(_facts, volumes[name])) if name in volumes else None
        for path, name in names.items()
    }


def _volume_type(volume: Any) -> int:
    kind: int = volume.info()[0]
    return kind


def _delete(volume: Any) -> None:
    # virStorageVolDelete would remove an empty directory, too.
    if _volume_type(volume) == libvirt.VIR_STORAGE_VOL_DIR:
        raise HypervisorError(f"{volume.path()} is a directory, not a file")
    volume.delete(0)


def _clone(xml: str, volume: Any, pool: Any) -> None:
    """Where the file system can share blocks that takes no time and no space."""
    try:
        pool.createXMLFrom(xml, volume, libvirt.VIR_STORAGE_VOL_CREATE_REFLINK)
    except libvirt.libvirtError as error:
        if code(error) != libvirt.VIR_ERR_SYSTEM_ERROR:
            raise
        pool.createXMLFrom(xml, volume, 0)


def _sha256(volume: Any, progress: Progress) -> str:
    length: int = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2]
    digest = hashlib.sha256()
    done = 0
    with closing(download(volume, 0, 0)) as pieces:
        for piece in pieces:
            digest.update(piece)
            done += len(piece)
            progress("hash", done, length)
    return digest.hexdigest()


def _unless_absent(call: Callable[[], T]) -> T | None:
    """The result, or None when there is no such file or directory."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if code(error) != libvirt.VIR_ERR_NO_STORAGE_VOL and not says_no_such_file(error):
            raise
        return None


def _present(value: T | None, path: str) -> T:
    if value is None:
        raise NotFound(f"the hypervisor has no file {path}")
    return value


def _checked(path: str) -> str:
    """The path without `.`, `..` and doubled slashes, as libvirt compares it."""
    if not isabs(path):
        raise UsageError(f"{path!r} is not an absolute path")
    plain = "/" + normpath(path).lstrip("/")
    if f"{plain}/".startswith(NO_STORAGE):
        raise UsageError(f"{plain} is a kernel file system: no image can be there")
    return plain
