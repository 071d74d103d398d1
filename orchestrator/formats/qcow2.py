"""The header of a qcow2 image, read without trust.

Pure. Layout: QEMU `docs/interop/qcow2.rst`; all numbers are big-endian. Header, header extensions
and backing file name lie in the first cluster, and QEMU writes them at its beginning. No length in
the file is believed: what does not fit into the bytes at hand is refused, never looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEAD_LENGTH = 64 * 1024
"""Bytes of the beginning that are enough for any header that QEMU writes, whatever the cluster size."""

MAGIC = b"QFI\xfb"
CLUSTER_BITS = range(9, 22)
LONGEST_BACKING_NAME = 1023
LONGEST_FORMAT_NAME = 15
LARGEST_L1_TABLE = 32 * 1024 * 1024  # bytes; QEMU's own bound
HIGHEST_REFCOUNT_ORDER = 6
HIGHEST_ENCRYPTION = 2  # none, AES, LUKS

_VERSION_2 = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")
_SHORTEST_VERSION_3 = _VERSION_2.size + _VERSION_3.size
_EXTENSION = struct.Struct(">II")
_END, _BACKING_FORMAT = 0x00000000, 0xE2792ACA

_DIRTY, _CORRUPT, _EXTERNAL_DATA, _COMPRESSION_TYPE, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_FEATURES = _DIRTY | _CORRUPT | _EXTERNAL_DATA | _COMPRESSION_TYPE | _EXTENDED_L2
"""Incompatible features. An unknown compatible or autoclear one may be ignored by a reader."""


CREATED_CLUSTER = 64 * 1024
"""Bytes of a cluster of an image that is made without saying how large they are to be."""


def empty_length(capacity: int) -> int:
    """How long such an image is at most while no guest wrote to it: header, reference counts, and an L1 table.

    The first write adds an L2 table and a cluster of data.
    """
    covered = CREATED_CLUSTER * (CREATED_CLUSTER // 8)  # by an entry of the L1 table
    return 3 * CREATED_CLUSTER + 8 * -(-capacity // covered)


class BadHeader(ValueError):
    """The bytes are not the header of a qcow2 image that snapctl understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`backing` is the name as written in the file: relative to the image, or no path at all (`json:…`)."""

    version: int
    cluster_size: int
    virtual_size: int
    backing: str | None
    backing_format: str | None
    internal_snapshots: int
    dirty: bool  # reference counts are to be rebuilt before the next write
    corrupt: bool  # QEMU found damage in it, and refuses to write to it
    external_data: bool  # what the guest wrote is in yet another file


@dataclass(frozen=True, slots=True)
class _Fields:
    """The numbers of the header, unchecked."""

    version: int
    backing_offset: int
    backing_length: int
    cluster_size: int
    virtual_size: int
    encryption: int
    l1_entries: int
    snapshots: int
    features: int
    refcount_order: int
    length: int


def parse_header(data: bytes) -> Header:
    """Read the first `HEAD_LENGTH` bytes of an image, or all if it is shorter; raises `BadHeader`."""
    fields = _fields(data)
    _check(fields)
    first_cluster = data[: fields.cluster_size]
    return Header(
        version=fields.version,
        cluster_size=fields.cluster_size,
        virtual_size=fields.virtual_size,
        backing=_backing(fields, first_cluster),
        backing_format=_backing_format(fields, first_cluster),
        internal_snapshots=fields.snapshots,
        dirty=bool(fields.features & _DIRTY),
        corrupt=bool(fields.features & _CORRUPT),
        external_data=bool(fields.features & _EXTERNAL_DATA),
    )


def _fields(data: bytes) -> _Fields:
    if not data.startswith(MAGIC):
        raise BadHeader("does not begin as a qcow2 image")
    if len(data) < _VERSION_2.size:
        raise BadHeader(f"is cut off after {len(data)} bytes")
    (_, version, backing_offset, backing_length, cluster_bits, virtual_size, encryption, l1_entries, *rest) = (
        _VERSION_2.unpack_from(data)
    )
    features, refcount_order, length = 0, 4, _VERSION_2.size
    if version not in (2, 3):
        raise BadHeader(f"has qcow2 version {version}, not 2 or 3")
    if cluster_bits not in CLUSTER_BITS:
        raise BadHeader(f"has clusters of 2^{cluster_bits} bytes")
    if version == 3:
        if len(data) < _SHORTEST_VERSION_3:
            raise BadHeader(f"is cut off after {len(data)} bytes")
        features, _, _, refcount_order, length = _VERSION_3.unpack_from(data, _VERSION_2.size)
    return _Fields(
        version=version,
        backing_offset=backing_offset,
        backing_length=backing_length,
        cluster_size=1 << cluster_bits,
        virtual_size=virtual_size,
        encryption=encryption,
        l1_entries=l1_entries,
        snapshots=rest[3],
        features=features,
        refcount_order=refcount_order,
        length=length,
    )


def _check(fields: _Fields) -> None:
    if unknown := fields.features & ~_KNOWN_FEATURES:
        raise BadHeader(f"needs unknown features ({unknown:#x})")
    if fields.refcount_order > HIGHEST_REFCOUNT_ORDER:
        raise BadHeader(f"has reference counts of 2^{fields.refcount_order} bits")
    if fields.encryption > HIGHEST_ENCRYPTION:
        raise BadHeader(f"has the unknown encryption {fields.encryption}")
    if fields.version == 3 and fields.length not in range(_SHORTEST_VERSION_3, fields.cluster_size + 1, 8):
        raise BadHeader(f"claims a header of {fields.length} bytes")
    entry = 16 if fields.features & _EXTENDED_L2 else 8
    mapped = fields.cluster_size // entry * fields.cluster_size  # by one entry of the L1 table
    if fields.l1_entries * 8 > LARGEST_L1_TABLE or fields.virtual_size > fields.l1_entries * mapped:
        raise BadHeader(f"claims {fields.virtual_size} bytes, which its tables cannot hold")


def _backing(fields: _Fields, first_cluster: bytes) -> str | None:
    if fields.backing_offset == 0:
        return None
    end = fields.backing_offset + fields.backing_length
    if not 0 < fields.backing_length <= LONGEST_BACKING_NAME or fields.backing_offset < fields.length:
        raise BadHeader("has no proper place for the name of its backing file")
    if end > len(first_cluster):
        raise BadHeader("has the name of its backing file beyond its beginning")
    return _name(first_cluster[fields.backing_offset : end], "backing file")


def _backing_format(fields: _Fields, first_cluster: bytes) -> str | None:
    found = [content for kind, content in _extensions(fields, first_cluster) if kind == _BACKING_FORMAT]
    if not found:
        return None
    if len(found) > 1 or len(found[0]) > LONGEST_FORMAT_NAME:
        raise BadHeader("has no proper name for the format of its backing file")
    return _name(found[0], "backing format")


def _extensions(fields: _Fields, first_cluster: bytes) -> Iterator[tuple[int, bytes]]:
    """The header extensions: at least 8 bytes each, so there is an end to them."""
    end = fields.backing_offset or fields.cluster_size
    offset = fields.length
    while offset < end:
        if offset + _EXTENSION.size > len(first_cluster):
            raise BadHeader("has header extensions beyond its beginning")
        kind, length = _EXTENSION.unpack_from(first_cluster, offset)
        if kind == _END:
            return
        offset += _EXTENSION.size
        if offset + length > min(end, len(first_cluster)):
            raise BadHeader("has a header extension that does not end")
        yield kind, first_cluster[offset : offset + length]
        offset += (length + 7) // 8 * 8


def _name(content: bytes, what: str) -> str:
    try:
        name = content.decode()
    except UnicodeDecodeError:
        raise BadHeader(f"has the unreadable {what} name {content!r}") from None
    if "\0" in name or not name:
        raise BadHeader(f"has the unreadable {what} name {content!r}")
    return name
