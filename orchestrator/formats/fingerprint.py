"""The fingerprint of a file or block device: its size and a SHA-256 of samples of its content. Pure.

For what has no time of last change (block devices), or is too large to be read whole before each restore. It shows
that another disk lies under that name, or that a file system on it was mounted since; a change between the samples
goes unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SCHEME = "1"
"""Of the samples below: fingerprints of another scheme are not compared."""

FIRST, LAST = 2 << 20, 1 << 20
"""Bytes at the beginning (partitions usually begin at 1 MiB, their superblocks there) and at the end."""

SAMPLE, SAMPLES = 64 << 10, 16
"""Bytes of a sample between the two, and their number."""


def samples(size: int) -> list[tuple[int, int]]:
    """The offset and length of each part that is read, in order and without overlap; of a small file, all of it."""
    if size <= FIRST + LAST + SAMPLE * SAMPLES:
        return [(offset, min(FIRST, size - offset)) for offset in range(0, size, FIRST)]
    step = (size - FIRST - LAST) // SAMPLES
    between = [(FIRST + number * step, SAMPLE) for number in range(SAMPLES)]
    return [(0, FIRST), *between, (size - LAST, LAST)]


def fingerprint(size: int, content: Iterable[bytes]) -> str:
    """Of a file of that size; `content` is that of its `samples`."""
    digest = hashlib.sha256()
    for each in content:
        digest.update(each)
    return f"{SCHEME}:{size}:{digest.hexdigest()}"


def size_of(print_: str) -> int | None:
    """The size in a fingerprint, None in one that cannot be read."""
    _, _, rest = print_.partition(":")
    number = rest.partition(":")[0]
    return int(number) if number.isdecimal() else None


def is_comparable(print_: str | None) -> bool:
    """Whether it says anything to this snapctl."""
    return print_ is not None and print_.startswith(f"{SCHEME}:")
