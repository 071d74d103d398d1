"""Inspect the files that checkpoints rely on: reads only, each file once, through the one door."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import NotFound
from ..formats import qcow2, saveimage
from ..formats.fingerprint import size_of
from ..model import Checkpoint, DomainDisks, FileInfo, is_device
from ..ports import Hypervisor, Progress, silent
from .damage import printed, relied_on
from .differences import Chains, Inspected
from .users import writers


class Inspection:
    """What was seen is remembered until `forget`, so that a file that many checkpoints share is read once.

    A file that vanishes while it is read counts as missing.
    """

    def __init__(self, hypervisor: Hypervisor, progress: Progress = silent) -> None:
        self._hypervisor = hypervisor
        self._progress = progress
        self.read_bytes = 0
        """Of all files that were hashed."""
        self.forget()

    def forget(self) -> None:
        """Forget what was read: read everything again."""
        self._files: dict[str, FileInfo | None] = {}
        self._heads: dict[str, bytes] = {}
        self._hashes: dict[str, str] = {}
        self._prints: dict[str, str | None] = {}
        self._domains: list[DomainDisks] | None = None

    def forget_facts(self) -> None:
        """The same, but for what was read whole."""
        hashes = self._hashes
        self.forget()
        self._hashes = hashes

    def inspect(
        self, checkpoint: Checkpoint, chains: Chains, *, into: Iterable[str], exclude_domain: str = ""
    ) -> Inspected:
        """The file information of all files of a checkpoint, the first bytes of its memory image and of the layers
        `into`, and what was hashed so far.

        `exclude_domain` is the UUID of a domain whose own disks are no danger.
        """
        paths = relied_on(checkpoint, chains)
        new = [path for path in paths if path not in self._files]
        self._files |= self._hypervisor.storage.stat_all([path for path in new if not is_device(path)])
        self._files |= dict.fromkeys(path for path in new if is_device(path))  # their fingerprints are compared
        if checkpoint.memory is not None:
            self._read_memory_head(checkpoint.memory.path)
        for path in into:
            self._read_head(path, qcow2.HEAD_LENGTH)
        return Inspected(
            files={path: self._files[path] for path in paths},
            heads={path: self._heads[path] for path in paths if path in self._heads},
            hashes={path: self._hashes[path] for path in paths if path in self._hashes},
            prints=self._fingerprints(printed(checkpoint, chains)),
            writers=writers(each for each in self._all_domains() if each.uuid != exclude_domain),
        )

    def hash(self, path: str) -> None:
        """Read the whole of a file that was seen."""
        size = self._size(path)
        if size is None or path in self._hashes:
            return
        try:
            self._hashes[path] = self._hypervisor.storage.sha256(path, self._progress)
        except NotFound:
            self._files[path] = None
        else:
            self.read_bytes += size

    def _size(self, path: str) -> int | None:
        if is_device(path):
            print_ = self._prints.get(path)
            return None if print_ is None else size_of(print_)
        info = self._files[path]
        return None if info is None else info.physical

    def _fingerprints(self, paths: Iterable[str]) -> dict[str, str | None]:
        wanted = list(paths)
        if unread := [path for path in wanted if path not in self._prints]:
            self._prints |= self._hypervisor.storage.fingerprints(unread)
        return {path: self._prints[path] for path in wanted}

    # ------------------------------------------------------------------

    def _read_memory_head(self, path: str) -> None:
        self._read_head(path, saveimage.HEAD_LENGTH)
        try:
            if path in self._heads and saveimage.domain_xml(self._heads[path]) is None:  # an outlandish one
                header = saveimage.parse_header(self._heads[path])
                self._read_head(path, saveimage.HEADER_LENGTH + header.data_length)
        except saveimage.BadHeader:
            return  # which is for whoever judges what was seen

    def _read_head(self, path: str, length: int) -> None:
        """Read the first bytes, unless that many were read."""
        info = self._files[path]
        if info is None or len(self._heads.get(path, b"")) >= min(length, info.physical):
            return
        try:
            self._heads[path] = self._hypervisor.storage.read(path, 0, length)
        except NotFound:
            self._files[path] = None

    def _all_domains(self) -> list[DomainDisks]:
        if self._domains is None:
            self._domains = self._hypervisor.domains.disks()
        return self._domains
