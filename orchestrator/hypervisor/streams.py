"""The bytes of a file, through the connection."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any

import libvirt

PIECE = 262120
"""What one message of libvirt's protocol holds: more would be put together from several, at a cost."""


def download(volume: Any, offset: int, length: int) -> Generator[bytes, None, None]:
    """The pieces of a volume from `offset` on; `length` 0 means up to its end. Raises libvirtError.

    Closing the iterator early, or an exception in it, aborts the transfer.
    """
    stream = volume.connect().newStream(0)
    try:
        volume.download(stream, offset, length, 0)
        while piece := stream.recv(PIECE):
            yield piece
        stream.finish()
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise


def upload(volume: Any, content: bytes) -> None:
    """Put `content` at the beginning of a volume that is as long, or longer. Raises libvirtError; some of it may be
    there then."""
    stream = volume.connect().newStream(0)
    try:
        volume.upload(stream, 0, len(content), 0)
        sent = 0
        while sent < len(content):
            sent += stream.send(content[sent : sent + PIECE])
        stream.finish()
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise
