"""Files on the hypervisor: what snapctl asks of libvirt's storage API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..model import FileInfo, NewOverlay
from .progress import Progress


class Storage(Protocol):
    def make_directory(self, path: str) -> None:
        """Make a directory, mode 0711, and its parents. Harmless when it is there."""

    def create_overlay(self, overlay: NewOverlay) -> None:
        """Make an empty qcow2 file, mode 0600, on top of `overlay.backing`; refuses to overwrite."""

    def write(self, path: str, content: bytes) -> None:
        """Make a small file, mode 0600, that holds `content`; what was there is removed first.

        A kill may leave it missing, or as long as `content` but without it.
        """

    def overwrite(self, path: str, content: bytes) -> None:
        """Put `content` in place of the bytes that a file begins with. Raises `NotFound`."""

    def stat(self, path: str) -> FileInfo | None:
        """What the file is now, or None when there is none."""

    def stat_all(self, paths: Sequence[str]) -> dict[str, FileInfo | None]:
        """What `stat` says of each of these files: cheaper where several are in one directory."""

    def files(self, directory: str) -> list[FileInfo] | None:
        """The files of a directory, or None when there is no such directory."""

    def directories(self, directory: str) -> list[FileInfo] | None:
        """The directories in a directory (their format is "dir"), or None when there is no such directory."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a file; fewer at its end."""

    def sha256(self, path: str, progress: Progress) -> str:
        """SHA-256 of a whole file, streamed through the connection, in hex. Interruptible."""

    def remove(self, path: str) -> None:
        """Delete a file. Harmless when it is not there."""

    def remove_directory(self, path: str) -> None:
        """Delete an *empty* directory. Harmless when it is not there; raises when it is not empty."""

    def free_bytes(self, path: str) -> int:
        """Free space where `path` is or would be (its nearest existing ancestor). Creates nothing."""

    def total_bytes(self, path: str) -> int:
        """The size of the file system that `path` is on or would be. Creates nothing."""
