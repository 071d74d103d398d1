"""82 – 86: memory images."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.formats import saveimage
from orchestrator.formats.saveimage import HEADER_LENGTH
from tests.workstation import Workstation

from .case import INTEGRITY, Case, Elsewhere, Provocation, Row

ROLLBACK = ("rollback", "web01", "work", "-y")
Edit = Callable[[bytes], bytes]


def edited(edit: Edit) -> Provocation:
    """Somebody had the image, and set its time of last change back."""

    def provoke(station: Workstation) -> None:
        before = station.content(station.memory())
        after = edit(before)
        assert after != before
        station.forge(station.memory(), after)

    return provoke


def byte_at(offset: int, value: int) -> Edit:
    return lambda image: image[:offset] + bytes([value]) + image[offset + 1 :]


def bit_at(offset: int) -> Edit:
    return lambda image: byte_at(offset % len(image), image[offset] ^ 1)(image)


def cut_to(length: int) -> Edit:
    return lambda image: image[:length]


def claiming(data_length: int) -> Edit:
    return lambda image: image[:20] + data_length.to_bytes(4, "little") + image[24:]


def other_name(image: bytes) -> bytes:
    return image.replace(b"<name>web01<", b"<name>veb01<")


def other_emulator(image: bytes) -> bytes:
    return image.replace(b"/usr/bin/qemu-system-x86_64", b"/tmp/evil/qemu-system-x86_6")


def other_disk(image: bytes) -> bytes:
    return image.replace(b"/store/", b"/swap!/")


def in_the_padding(image: bytes) -> bytes:
    return bit_at(image.index(b"\0" * 64, 1000) + 8)(image)


def of_another_domain(station: Workstation) -> None:
    station.forge(station.memory(), station.content(station.memory("its")))


def of_another_domain_at_length(station: Workstation) -> None:
    """As long as the image whose place it takes, and with its header."""
    own, other = station.content(station.memory()), station.content(station.memory("its"))
    length = len(own) - HEADER_LENGTH
    station.forge(station.memory(), own[:HEADER_LENGTH] + other[HEADER_LENGTH:].ljust(length, b"\0")[:length])


def of_another_checkpoint(station: Workstation) -> None:
    own, other = station.content(station.memory()), station.content(station.memory("other"))
    station.forge(station.memory(), other.ljust(len(own), b"\0")[: len(own)])


def missing(station: Workstation) -> None:
    station.world.files.remove(station.memory())


QUICK: tuple[tuple[int, str, Edit, str], ...] = (
    (82, "magic of an unfinished image", lambda image: saveimage.PARTIAL + image[16:], "is incomplete"),
    (82, "magic of something else", lambda image: b"QEVM" + image[4:], "does not begin as a libvirt save image"),
    *((83, f"cut to {length} bytes", cut_to(length), "bytes, not ") for length in (0, 91, 1000, -1)),
    (83, "longer by a byte", lambda image: image + b"\0", "bytes, not "),
    *((84, f"bit flipped in byte {offset}", bit_at(offset), "memory.save") for offset in (0, 16, 20, 24, 28)),
    (84, "bit flipped in the XML", other_name, "was changed: its name is"),
    (85, "other emulator", other_emulator, "was changed: its emulator"),
    (85, "other disks", other_disk, "was changed: its disk vda"),
    (85, "other data_len", byte_at(20, 0xFF), "has a different header than the catalog says"),
    (85, "data_len of 4 GiB", claiming(2**32 - 1), "claims 4294967295 bytes of XML"),
    (85, "data_len beyond the end", claiming(2**23), "has a different header than the catalog says"),
    (85, "other version", byte_at(16, 1), "has header version 1, not 2"),
    (85, "other compression", byte_at(28, 1), "has a different header than the catalog says"),
    (85, "paused instead of running", byte_at(24, 0), "has a different header than the catalog says"),
)
"""Seen by any rollback before the guest is touched."""

REPLACED: tuple[tuple[str, Provocation, str], ...] = (
    ("image of another domain", of_another_domain, "bytes, not "),
    ("image of another domain, disguised", of_another_domain_at_length, "was changed: its UUID is"),
    ("image that is missing", missing, "is missing"),
)
"""Likewise."""

STREAM: tuple[tuple[int, str, Provocation], ...] = (
    (84, "bit flipped in the guest's memory", edited(bit_at(-2))),
    (84, "bit flipped in the padding", edited(in_the_padding)),
    (86, "image of another checkpoint", of_another_checkpoint),
)
"""Seen where the image is read whole."""

CASES: tuple[Row, ...] = (
    *(
        Case(number=number, what=what, argv=ROLLBACK, code=INTEGRITY, says=says, provoke=edited(edit))
        for number, what, edit, says in QUICK
    ),
    *(
        Case(number=86, what=what, argv=ROLLBACK, code=INTEGRITY, says=says, provoke=provoke)
        for what, provoke, says in REPLACED
    ),
    *(
        Case(
            number=number,
            what=f"{what}, {argv[0]}",
            argv=argv,
            code=INTEGRITY,
            says="damaged",
            provoke=provoke,
            marks=True,
        )
        for number, what, provoke in STREAM
        for argv in ((*ROLLBACK, "--verify"), ("verify", "web01", "work", "--deep"))
    ),
    Elsewhere(
        number=86,
        what="FIFO, device, directory or dangling symlink in the image's place",
        test="tests/badinput/test_on_libvirt.py::test_rollback_no_regular_file_in_place_of_image_is_refused",
    ),
)
