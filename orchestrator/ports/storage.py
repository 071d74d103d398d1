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

    def create_file(self, path: str, content: bytes) -> bool:
        """Make a small file, mode 0600, that holds `content`, unless there is one of that name: whether it was made.

        Name and content come with one request: a kill of this client leaves all of it or nothing, and perhaps a file
        `<path>.<anything>`; only a kill of the daemon may leave it without its content.
        """

    def overwrite(self, path: str, content: bytes) -> None:
        """Put `content` in place of the bytes that a file begins with. Raises `NotFound`."""

    def copy(self, source: str, destination: str) -> None:
        """Make a file, mode 0600, that holds what another one does; refuses to overwrite.

        A kill may leave it as long as it is to be, but without its content.
        """

    def stat(self, path: str) -> FileInfo | None:
        """What the file is now, or None when there is none. Of a block device only the size is known."""

    def stat_all(self, paths: Sequence[str]) -> dict[str, FileInfo | None]:
        """What `stat` says of each of these files: cheaper where several are in one directory."""

    def names(self, directory: str) -> list[str] | None:
        """The names in a directory, of files and of directories, or None when there is no such directory: much
        cheaper than the file information of each."""

    def files(self, directory: str) -> list[FileInfo] | None:
        """The files of a directory, or None when there is no such directory."""

    def directories(self, directory: str) -> list[FileInfo] | None:
        """The directories in a directory (their format is "dir"), or None when there is no such directory."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a file or block device; fewer at its end."""

    def sha256(self, path: str, progress: Progress) -> str:
        """SHA-256 of a whole file or block device, streamed through the connection, in hex. Interruptible."""

    def fingerprints(self, paths: Sequence[str]) -> dict[str, str | None]:
        """By path: the fingerprint (`formats.fingerprint`) of each of these files or block devices; None for one that
        is missing, or cannot be read. No other file or device is opened."""

    def remove(self, path: str) -> None:
        """Delete a file. Harmless when it is not there."""

    def remove_directory(self, path: str) -> None:
        """Delete an *empty* directory. Harmless when it is not there; raises when it is not empty."""

    def free_bytes(self, path: str) -> int:
        """Free space where `path` is or would be (its nearest existing ancestor). Creates nothing."""

    def total_bytes(self, path: str) -> int:
        """The size of the file system that `path` is on or would be. Creates nothing."""
