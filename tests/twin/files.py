"""The hypervisor's file system: directories, plain files, and images that stand on one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import dirname

from orchestrator.errors import HypervisorError
from orchestrator.model import FileInfo

from . import qcow2

CLUSTER = 65536
EMPTY_QCOW2 = 196616  # bytes of a qcow2 overlay that nobody wrote to, as qemu-img makes it
PLENTY = 1 << 40
WORK_SECONDS = 60
"""What passes when a guest writes: guests work while clients are away."""


@dataclass
class File:
    """Bytes under a name."""

    content: bytes = b""
    mode: int = 0o600
    mtime: int = 0

    def bytes(self) -> bytes:
        return self.content

    def alter(self, old: str, new: str) -> None:
        before = self.content
        self.content = before.replace(old.encode(), new.encode())
        assert self.content != before and len(self.content) == len(before)

    def stat(self, path: str) -> FileInfo:
        length = len(self.bytes())
        return FileInfo(
            path=path,
            physical=length,
            allocation=length,
            capacity=length,
            format="raw",
            mode=self.mode,
            mtime=f"{self.mtime}.000000000",
        )


@dataclass(kw_only=True)
class Image(File):
    """A layer: what it holds itself, over the layer that it names as its backing file."""

    capacity: int
    format: str = "qcow2"
    backing: str | None = None
    backing_format: str | None = None
    data: dict[str, int] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """As long as the real thing would be, and beginning like it (qcow2 header, backing file name)."""
        if self.format == "raw":
            return json.dumps(self.data).encode().ljust(self.capacity, b"\0")
        content = qcow2.head(self.capacity, self.backing, self.backing_format) + json.dumps(self.data).encode()
        return content.ljust(EMPTY_QCOW2 + CLUSTER * len(self.data), b"\0")

    def alter(self, old: str, new: str) -> None:
        before = json.dumps(self.data)
        after = before.replace(old, new)
        assert after != before and len(after) == len(before)
        self.data = json.loads(after)

    def stat(self, path: str) -> FileInfo:
        length = len(self.bytes())
        return FileInfo(
            path=path,
            physical=length,
            allocation=length,
            capacity=self.capacity,
            format=self.format,
            mode=self.mode,
            mtime=f"{self.mtime}.000000000",
            backing=self.backing,
        )


class FileSystem:
    """All files by path; `free` bytes are left. Raises `HypervisorError` for what the daemon could not do."""

    def __init__(self) -> None:
        self.directories: set[str] = {"/"}
        self.files: dict[str, File] = {}
        self.free = PLENTY
        self._clock = 1_700_000_000

    def __getitem__(self, path: str) -> File:
        try:
            return self.files[path]
        except KeyError:
            raise HypervisorError(f"cannot open {path}: No such file or directory") from None

    def image(self, path: str) -> Image:
        file = self[path]
        if not isinstance(file, Image):
            raise HypervisorError(f"{path} is not an image")
        return file

    def free_at(self, path: str) -> int:
        """Raises when the path is a file, or leads through one."""
        while path != "/":
            if path in self.files:
                raise HypervisorError(f"cannot open directory '{path}': Not a directory")
            path = dirname(path)
        return self.free

    def make_directory(self, path: str) -> None:
        while path not in self.directories:
            self.directories.add(path)
            path = dirname(path)

    def remove_directory(self, path: str) -> None:
        if any(dirname(name) == path for name in (*self.files, *self.directories - {"/"})):
            raise HypervisorError(f"failed to remove {path}: Directory not empty")
        self.directories.discard(path)

    def put(self, path: str, file: File) -> None:
        """Create or replace a file. Raises, and leaves things as they were, when there is no room for it."""
        if dirname(path) not in self.directories:
            raise HypervisorError(f"cannot create {path}: No such file or directory")
        self.free = self._left_after(len(file.bytes()) - self._length(path))
        self.files[path] = file
        self.touch(path)

    def remove(self, path: str) -> None:
        self.free += self._length(path)
        self.files.pop(path, None)

    def write(self, path: str, key: str, value: int) -> None:
        """What a guest writes goes into the layer that it has open, and into no other."""
        image = self.image(path)
        before = len(image.bytes())
        old = dict(image.data)
        image.data[key] = value
        try:
            self.free = self._left_after(len(image.bytes()) - before)
        except HypervisorError:
            image.data = old
            raise
        self._clock += WORK_SECONDS
        self.touch(path)

    def read(self, path: str, key: str) -> int | None:
        """What a guest sees: the nearest layer that has it."""
        for layer in self.chain(path):
            if key in self.image(layer).data:
                return self.image(layer).data[key]
        return None

    def copy_up(self, path: str, base: str | None, *, at_most: int | None = None) -> None:
        """Copy into an image what the layers between it and `base` show, or the beginning of that."""
        between = [self.image(layer) for layer in self._between(path, base)]
        shown = {key: value for layer in reversed(between) for key, value in layer.data.items()}
        missing = sorted(shown.keys() - self.image(path).data.keys())
        for key in missing[:at_most]:
            self.write(path, key, shown[key])

    def rebase(self, path: str, base: str | None) -> None:
        """Let an image stand on `base`, when all that was between is in it."""
        self.copy_up(path, base)
        image = self.image(path)
        image.backing, image.backing_format = base, self.image(base).format if base else None
        self.touch(path)

    def _between(self, path: str, base: str | None) -> list[str]:
        _, *below = self.chain(path)
        return below[: below.index(base)] if base else below

    def chain(self, path: str) -> Iterator[str]:
        """The image at `path` and all below it. Raises when one is missing."""
        layer: str | None = path
        while layer is not None:
            image = self.image(layer)
            yield layer
            layer = image.backing

    def alter(self, path: str, old: str, new: str) -> None:
        """Put other characters in place of these, behind everybody's back: no checksum covers a file (F2, F9)."""
        self[path].alter(old, new)
        self.touch(path)

    def touch(self, path: str) -> None:
        self._clock += 1
        self.files[path].mtime = self._clock

    def _length(self, path: str) -> int:
        return len(self.files[path].bytes()) if path in self.files else 0

    def _left_after(self, growth: int) -> int:
        if growth > self.free:
            raise HypervisorError("No space left on device")
        return self.free - growth
