"""The beginning of a memory image: the header and the XML that virDomainSave writes before the QEMU stream.

Pure. Layout: libvirt `src/qemu/qemu_saveimage.h`, struct _virQEMUSaveHeader; fields are in the byte
order of the host that wrote them, the reader swaps when `version` looks too large. libvirt writes
the magic `LibvirtQemudPart` first and turns it into `LibvirtQemudSave` when the image is whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

HEADER_LENGTH = 92
WHOLE = b"LibvirtQemudSave"
PARTIAL = b"LibvirtQemudPart"
VERSION = 2
COMPRESSIONS = ("raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse")
LONGEST_DATA = 16 * 1024 * 1024
"""Upper bound of the XML area: libvirt's own is the XML, the cookie and 64 KiB of padding."""
HEAD_LENGTH = 64 * 1024
"""Bytes of the beginning that hold the XML, too, of all but very large domain XMLs."""

_FIELDS = "16s5I"
_COOKIE_AT = 32


class Completeness(Enum):
    """UNKNOWN is what snapctl cannot read: a newer libvirt may have finished it, and it may be all that is left."""

    WHOLE = "whole"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class BadHeader(ValueError):
    """The bytes are not the header of a memory image that snapctl can vouch for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    whole: bool
    version: int
    data_length: int  # bytes between the header and the QEMU stream: XML, cookie, padding
    was_running: bool
    compression: str
    cookie_offset: int  # within the data; 0 if there is no cookie


def parse_header(data: bytes) -> Header:
    """Read the first 92 bytes of a memory image; raises `BadHeader`."""
    if len(data) < HEADER_LENGTH:
        raise BadHeader(f"is cut off after {len(data)} bytes")
    if data[:16] not in (WHOLE, PARTIAL):
        raise BadHeader("does not begin as a libvirt save image")
    order = "<" if _version(data, "<") <= VERSION else ">"
    magic, version, data_length, was_running, compression, cookie_offset = struct.unpack_from(order + _FIELDS, data)
    if version != VERSION:
        raise BadHeader(f"has header version {version}, not {VERSION}")
    if compression >= len(COMPRESSIONS):
        raise BadHeader(f"has the unknown format {compression}")
    if not 0 < data_length <= LONGEST_DATA:
        raise BadHeader(f"claims {data_length} bytes of XML")
    if cookie_offset >= data_length:
        raise BadHeader("has its cookie outside its data")
    if was_running not in (0, 1):
        raise BadHeader(f"has the unknown run state {was_running}")
    return Header(
        whole=magic == WHOLE,
        version=version,
        data_length=data_length,
        was_running=bool(was_running),
        compression=COMPRESSIONS[compression],
        cookie_offset=cookie_offset,
    )


def domain_xml(data: bytes) -> str | None:
    """The domain XML, secrets and all, in the beginning of a memory image; None when `data` ends within it.

    Raises `BadHeader` when there is none.
    """
    header = parse_header(data)
    end = HEADER_LENGTH + header.data_length
    length = data[HEADER_LENGTH:end].find(b"\0")
    if length < 0:
        if len(data) < end:
            return None
        raise BadHeader("has XML without an end")
    try:
        return data[HEADER_LENGTH : HEADER_LENGTH + length].decode()
    except UnicodeDecodeError:
        raise BadHeader("has XML that is no text") from None


def renamed(data: bytes, change: Callable[[str], str]) -> bytes:
    """The beginning of a memory image, with all of its data, with other XML in it, and marked as not whole.

    As long as it was: the padding makes room. Raises `BadHeader` when that is not enough.
    """
    header, xml = parse_header(data), domain_xml(data)
    if xml is None or len(data) != HEADER_LENGTH + header.data_length:
        raise BadHeader("is cut off within its data")
    cookie = b""
    if header.cookie_offset:
        cookie = data[HEADER_LENGTH + header.cookie_offset :].split(b"\0", 1)[0] + b"\0"
    text = change(xml).encode() + b"\0"
    if len(text) + len(cookie) > header.data_length:
        raise BadHeader("has no room for other XML")
    changed = bytearray(data[:HEADER_LENGTH])
    order = "<" if _version(data, "<") <= VERSION else ">"
    struct.pack_into(order + "I", changed, _COOKIE_AT, len(text) if cookie else 0)
    changed[: len(PARTIAL)] = PARTIAL
    return bytes(changed) + (text + cookie).ljust(header.data_length, b"\0")


def completeness(data: bytes) -> Completeness:
    """How far libvirt came with the memory image that begins so."""
    if len(data) < HEADER_LENGTH or data.startswith(PARTIAL):
        return Completeness.PARTIAL
    try:
        parse_header(data)
    except BadHeader:
        return Completeness.UNKNOWN
    return Completeness.WHOLE


def is_whole(data: bytes) -> bool:
    """Whether `data` begins a memory image that libvirt finished writing."""
    return completeness(data) is Completeness.WHOLE


def _version(data: bytes, order: str) -> int:
    version: int = struct.unpack_from(order + "I", data, 16)[0]
    return version
