"""Image files: what the hypervisor says of a file, and the layers of a backing chain."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from posixpath import basename, normpath
from typing import Protocol, TypeVar, overload


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
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


class LayerKind(StrEnum):
    """What a layer lies in."""

    FILE = "file"
    BLOCK = "block"  # a block device: its node says nothing of its content, only a fingerprint does


DEVICES = "/dev/"
NO_DEVICES = ("/dev/shm/", "/dev/hugepages/", "/dev/mqueue/")  # noqa: S108 - file systems that are mounted there


def is_device(path: str) -> bool:
    """Whether a path names a device node. The pool of a directory of such nodes is never opened: libvirt would open
    each of them."""
    return path.startswith(DEVICES) and not path.startswith(NO_DEVICES)


def same_device(path: str) -> str:
    """One name for the two that udev gives a logical volume: /dev/mapper/a--b-c is /dev/a-b/c. Other names of a device
    (/dev/dm-3, /dev/disk/by-id/...) are not known to libvirt, either: its content shows which one it is."""
    plain = normpath(path)
    group, dash, volume = plain.removeprefix(MAPPER).replace("--", "\0").partition("-")
    if not plain.startswith(MAPPER) or not dash or "-" in volume:
        return plain
    return f"{DEVICES}{group}/{volume}".replace("\0", "-")


MAPPER = "/dev/mapper/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One qcow2 (or raw base) image in a backing chain.

    `operation_id` names the operation of ours that created it; None for the user's own file,
    which snapctl never deletes. `physical`, `allocation` and `mtime` are those of its file when it froze;
    ask `is_block` and `is_active` rather than whether they are None. `fingerprint` is that of a block device.
    `sha256` is None until a deep verify has read the whole of it. `rewritten_by` names the operation that is copying
    data from the layers below into it at this time: its content as the guest sees it does not change, its file
    information does.
    """

    path: str
    target: str
    format: str
    capacity: int
    kind: LayerKind = LayerKind.FILE
    backing: str | None = None
    operation_id: str | None = None
    physical: int | None = None
    allocation: int | None = None
    mtime: str | None = None
    fingerprint: str | None = None
    sha256: str | None = None
    rewritten_by: str | None = None

    @property
    def is_block(self) -> bool:
        """Whether it is a block device, which has no file information to compare."""
        return self.kind is LayerKind.BLOCK or is_device(self.path)

    @property
    def is_active(self) -> bool:
        """Whether it is an overlay that the guest writes to: a file that did not freeze yet."""
        return not self.is_block and self.physical is None

    @property
    def is_frozen_file(self) -> bool:
        """Whether it is a file that nothing may write to any more, and whose file information is recorded."""
        return not self.is_block and self.physical is not None


# --------------------------------------------------------------------------- chains

K = TypeVar("K", bound=Hashable)


def walk(top: K | None, below: Callable[[K], K | None], seen: set[K] | None = None) -> Iterator[K]:
    """`top` and what is below it, nearest first, as given by `below`.

    Ends where nothing is below, or where it has been before: what is read may go in a circle. Walks that
    share one set of what was `seen` go over each place once.
    """
    known: set[K] = set() if seen is None else seen
    at = top
    while at is not None and at not in known:
        known.add(at)
        yield at
        at = below(at)


class Image(Protocol):
    """What a chain is made of: a `Layer`, or a `Source` as a domain XML names it."""

    @property
    def path(self) -> str: ...


ImageT = TypeVar("ImageT", bound=Image, covariant=True)


@dataclass(frozen=True, slots=True)
class Chain(Sequence[ImageT]):
    """An image and all that is below it, nearest first."""

    layers: tuple[ImageT, ...] = ()

    @property
    def top(self) -> ImageT | None:
        return self.layers[0] if self.layers else None

    @property
    def depth(self) -> int:
        return len(self.layers)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(layer.path for layer in self.layers)

    def contains(self, path: str) -> bool:
        return path in self.paths

    def pairs(self) -> Iterator[tuple[ImageT, ImageT | None]]:
        """Each with the one below it."""
        for layer, below in pairwise((*self.layers, None)):
            assert layer is not None  # noqa: S101 - only the last one is None, and nothing comes after it
            yield layer, below

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, index: int) -> ImageT: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ImageT, ...]: ...
    def __getitem__(self, index: int | slice) -> ImageT | tuple[ImageT, ...]:
        return self.layers[index]


def chain_of(path: str | None, layers: Mapping[str, Layer]) -> Chain[Layer]:
    """The layer at `path` and those below it, as far as `layers`, by path, has them."""

    def known(path: str | None) -> str | None:
        return path if path is not None and path in layers else None

    return Chain(tuple(layers[each] for each in walk(known(path), lambda each: known(layers[each].backing))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsible:
    """A layer, and those below it that only it needs: once it has their data, `base` can be its backing file."""

    layer: Layer
    absorbed: tuple[Layer, ...]  # nearest first
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
