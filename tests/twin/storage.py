"""`ports.Storage` over a `World`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from posixpath import basename, dirname

from orchestrator.errors import HypervisorError, NotFound
from orchestrator.formats.fingerprint import fingerprint, samples
from orchestrator.model import FileInfo, NewOverlay
from orchestrator.ports import Progress

from .files import File, FileSystem, Image
from .world import World


class TwinStorage:
    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def _files(self) -> FileSystem:
        return self._world.files

    def make_directory(self, path: str) -> None:
        self._files.make_directory(path)

    def create_overlay(self, overlay: NewOverlay) -> None:
        if overlay.path in self._files.files:
            raise HypervisorError(f"storage volume '{overlay.name}' exists already")
        _ = self._files[overlay.backing]  # raises when it is not there
        image = Image(capacity=overlay.capacity, backing=overlay.backing, backing_format=overlay.backing_format)
        self._files.put(overlay.path, image)

    def write(self, path: str, content: bytes) -> None:
        self.remove(path)
        self._files.put(path, File(content))

    def create_file(self, path: str, content: bytes) -> bool:
        if path in self._files.files:
            return False
        self._files.put(path, File(content))
        return True

    def overwrite(self, path: str, content: bytes) -> None:
        self._bytes(path)  # raises when it is not there
        file = self._files[path]
        file.content = content + file.content[len(content) :]
        self._files.touch(path)

    def copy(self, source: str, destination: str) -> None:
        if destination in self._files.files:
            raise HypervisorError(f"storage volume '{destination}' exists already")
        self._files.put(destination, File(self._bytes(source)))

    def stat(self, path: str) -> FileInfo | None:
        file = self._files.files.get(path)
        return file.stat(path) if file else None

    def stat_all(self, paths: Sequence[str]) -> dict[str, FileInfo | None]:
        return {path: self.stat(path) for path in paths}

    def names(self, directory: str) -> list[str] | None:
        if directory not in self._files.directories:
            return None
        entries = {*self._files.files, *self._files.directories - {"/"}}
        return sorted(basename(path) for path in entries if dirname(path) == directory)

    def files(self, directory: str) -> list[FileInfo] | None:
        if directory not in self._files.directories:
            return None
        paths = sorted(path for path in self._files.files if dirname(path) == directory)
        return [self._files[path].stat(path) for path in paths]

    def directories(self, directory: str) -> list[FileInfo] | None:
        if directory not in self._files.directories:
            return None
        return [_directory(path) for path in sorted(self._files.directories - {"/"}) if dirname(path) == directory]

    def read(self, path: str, offset: int, length: int) -> bytes:
        return self._bytes(path)[offset : offset + length]

    def sha256(self, path: str, progress: Progress) -> str:
        content = self._bytes(path)
        if self._world.pace:
            self._world.take_time(progress, "hash", len(content))
        progress("hash", len(content), len(content))
        return hashlib.sha256(content).hexdigest()

    def fingerprints(self, paths: Sequence[str]) -> dict[str, str | None]:
        return {path: self._fingerprint(path) if path in self._files.files else None for path in paths}

    def _fingerprint(self, path: str) -> str:
        content = self._bytes(path)
        return fingerprint(len(content), (content[at : at + length] for at, length in samples(len(content))))

    def remove(self, path: str) -> None:
        if path in self._files.directories:
            raise HypervisorError(f"{path} is a directory, not a file")
        self._files.remove(path)

    def remove_directory(self, path: str) -> None:
        self._files.remove_directory(path)

    def free_bytes(self, path: str) -> int:
        return self._files.free_at(path)

    def total_bytes(self, path: str) -> int:
        return self._files.free_at(path) + sum(len(file.bytes()) for file in self._files.files.values())

    def _bytes(self, path: str) -> bytes:
        if path not in self._files.files:
            raise NotFound(f"the hypervisor has no file {path}")
        return self._files[path].bytes()


def _directory(path: str) -> FileInfo:
    return FileInfo(
        path=path, physical=0, allocation=0, capacity=0, format="dir", mode=0o711, mtime="1700000000.000000000"
    )
