"""Image files: what the hypervisor says of a file, and the layers of a backing chain."""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import basename


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What the hypervisor says of a file (libvirt volume XML).

    `physical` is its length, `allocation` what it occupies on disk, `capacity` what a guest would
    see of it (equal to `physical` unless it is an image of another format).
    """

    path: str
    physical: int
    allocation: int
    capacity: int
    format: str
    mode: int
    mtime: str  # seconds.nanoseconds since the epoch, as libvirt prints it: compared, never computed with
    backing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One qcow2 (or raw base) file in a backing chain.

    `operation_id` names the operation of ours that created it; None for the user's own file,
    which snapctl never deletes. `physical` and `mtime` are its facts when it froze; None while
    it is active. `sha256` is None until a deep verify has read the whole of it. `rewritten_by` names
    the operation that is pulling data from the layers below into it at this time: what the guest sees
    in it stays the same, its facts do not.
    """

    path: str
    target: str
    format: str
    capacity: int
    backing: str | None = None
    operation_id: str | None = None
    physical: int | None = None
    allocation: int | None = None
    mtime: str | None = None
    sha256: str | None = None
    rewritten_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsible:
    """A layer, and those below it that only it needs: once their data is in it, it can stand on `base`."""

    layer: Layer
    drops: tuple[Layer, ...]  # nearest first
    base: Layer | None  # None: nothing is below the last of them


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOverlay:
    """An overlay to be made: all that `Storage.create_overlay` needs."""

    target: str
    path: str
    backing: str
    backing_format: str
    capacity: int

    @property
    def name(self) -> str:
        return basename(self.path)
