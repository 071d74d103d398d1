"""The beginning of a qcow2 file as QEMU writes it (docs/interop/qcow2.rst, version 3)."""

from __future__ import annotations

import struct

HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
EXTENSION = struct.Struct(">II")
BACKING_FORMAT, END = 0xE2792ACA, 0
CLUSTER_BITS = 16
MAPPED_BY_L1_ENTRY = 1 << CLUSTER_BITS - 3 + CLUSTER_BITS
REFCOUNT_ORDER = 4


def head(capacity: int, backing: str | None, backing_format: str | None) -> bytes:
    """Header, extensions, and the name of the backing file."""
    extensions = _extension(BACKING_FORMAT, (backing_format or "").encode()) if backing_format else b""
    extensions += EXTENSION.pack(END, 0)
    name = (backing or "").encode()
    header = HEADER.pack(
        *(b"QFI\xfb", 3),
        *(HEADER.size + len(extensions) if name else 0, len(name)),
        *(CLUSTER_BITS, capacity),
        *(0, _l1_entries(capacity), 3 << CLUSTER_BITS),  # encryption; entries and place of the L1 table
        *(1 << CLUSTER_BITS, 1),  # place and clusters of the refcount table
        *(0, 0),  # internal snapshots
        *(0, 0, 0),  # features
        *(REFCOUNT_ORDER, HEADER.size),
    )
    return header + extensions + name


def _l1_entries(capacity: int) -> int:
    """An L2 table is one cluster of 8-byte entries, each of which maps a cluster."""
    mapped = (1 << CLUSTER_BITS) // 8 << CLUSTER_BITS
    return -(-capacity // mapped)


def _extension(kind: int, content: bytes) -> bytes:
    return EXTENSION.pack(kind, len(content)) + content.ljust((len(content) + 7) // 8 * 8, b"\0")
