"""Memory images, laid out as libvirt's (src/qemu/qemu_saveimage.h), with the guest's RAM as JSON for a stream."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from orchestrator.errors import HypervisorError

HEADER = struct.Struct("<16s5I14I")
WHOLE, PARTIAL = b"LibvirtQemudSave", b"LibvirtQemudPart"
VERSION, RAW, NO_COOKIE = 2, 0, 0
PADDING = 1024
DESCRIPTION = b"\0" + b" " * 8192
"""Ends the stream: QEMU describes there what it wrote, and reads no byte of it when it restores."""


@dataclass(frozen=True)
class MemoryImage:
    xml: str
    was_running: bool
    ram: dict[str, int]

    def bytes(self, *, whole: bool = True, at_least: int = 0) -> bytes:
        """The file; one that is not whole has the other magic and no stream yet, else it is as long as asked for."""
        xml = self.xml.encode() + b"\0"
        stream = json.dumps(self.ram).encode() + DESCRIPTION
        fields = (VERSION, len(xml) + PADDING, int(self.was_running), RAW, NO_COOKIE)
        header = HEADER.pack(WHOLE if whole else PARTIAL, *fields, *[0] * 14)
        return (header + xml + bytes(PADDING) + (stream if whole else b"")).ljust(at_least)


def definition(content: bytes) -> str:
    """The domain XML in it, whatever comes after that."""
    data_length, _ = _header(content)
    return content[HEADER.size : HEADER.size + data_length].split(b"\0")[0].decode()


def read(content: bytes) -> MemoryImage:
    """What virDomainRestore takes for an image: no checksum covers it, and its last bytes may be missing (F2)."""
    data_length, was_running = _header(content)
    try:
        ram = json.loads(content[HEADER.size + data_length :].partition(b"\0")[0])
    except ValueError as error:
        raise HypervisorError("error while loading the state of the guest") from error
    return MemoryImage(definition(content), was_running, ram)


def _header(content: bytes) -> tuple[int, bool]:
    """How much comes before the stream, and whether the guest was running."""
    if len(content) < HEADER.size:
        raise HypervisorError("failed to read qemu header")
    magic, version, data_length, was_running, *_ = HEADER.unpack_from(content)
    if magic == PARTIAL:
        raise HypervisorError("save image is incomplete")
    if magic != WHOLE:
        raise HypervisorError("image magic is incorrect")
    if version != VERSION:
        raise HypervisorError(f"image version is not supported ({version} > {VERSION})")
    return data_length, bool(was_running)
