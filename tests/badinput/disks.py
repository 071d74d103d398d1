"""70 – 81: disk images, those that a first checkpoint would freeze and those that one has frozen."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.twin import qcow2
from tests.twin.world import CAPACITY, IMAGES
from tests.workstation import Workstation

from .case import INTEGRITY, REFUSED, Case, Elsewhere, Provocation, Row

TOP = f"{IMAGES}/web03-vda.qcow2"
Edit = Callable[[bytes, str], bytes]
"""Is given an image and what it stands on."""


def number_at(offset: int, number: int, layout: str = ">Q") -> Edit:
    """One number of the header changed."""

    def edit(image: bytes, backing: str) -> bytes:
        packed = struct.pack(layout, number)
        return image[:offset] + packed + image[offset + len(packed) :]

    return edit


def standing_on(backing: str, backing_format: str | None) -> Edit:
    """Another backing file."""
    return lambda image, _: _on(backing, backing_format, len(image))


def without_format(image: bytes, backing: str) -> bytes:
    return _on(backing, None, len(image))


def _on(backing: str, backing_format: str | None, length: int) -> bytes:
    return qcow2.head(CAPACITY, backing, backing_format).ljust(length, b"\0")


HEADERS: tuple[tuple[int, str, Edit, str], ...] = (
    (71, "raw bytes", lambda image, _: bytes(len(image)), "does not begin as a qcow2 image"),
    (71, "another format", lambda image, _: b"KDMV".ljust(len(image), b"\0"), "does not begin as a qcow2 image"),
    (73, "unknown feature", number_at(72, 1 << 40), "needs unknown features"),
    (74, "backing file without its format", without_format, "has a backing file of format none in its header"),
    (75, "backing file /etc/passwd", standing_on("/etc/passwd", "raw"), "has the backing file /etc/passwd in"),
    (76, "backing file json:", standing_on('json:{"driver":"nbd","host":"x"}', "raw"), "has the backing file json:"),
    (76, "backing file nbd:", standing_on("nbd://x/y", "raw"), "has the backing file nbd:"),
    (77, "external data file", number_at(72, 1 << 2), "keeps its data in another file"),
    (78, "backing file itself", standing_on("vda.qcow2", "qcow2"), "has the backing file"),
    (79, "corrupt bit", number_at(72, 1 << 1), "is marked corrupt by QEMU"),
    (80, "8 EiB", number_at(24, 1 << 63), "which its tables cannot hold"),
    (80, "more L1 entries than there is memory", number_at(36, 2**32 - 1, ">I"), "which its tables cannot hold"),
)
"""Each as long as the image whose place it takes."""

CUT: tuple[tuple[int, str, Edit, str], ...] = (
    (70, "empty file", lambda image, _: b"", "does not begin as a qcow2 image"),
    (72, "header cut at 60 bytes", lambda image, _: image[:60], "is cut off after 60 bytes"),
)


def of_a_guest(edit: Edit) -> Provocation:
    """The disk that web03 brings to its first checkpoint."""
    return lambda station: _spoil(station, TOP, edit)


def of_a_checkpoint(edit: Edit) -> Provocation:
    """A frozen layer; its time of last change is set back."""
    return lambda station: _spoil(station, station.layer(), edit)


def _spoil(station: Workstation, path: str, edit: Edit) -> None:
    image = station.world.files.image(path)
    station.forge(path, edit(image.bytes(), image.backing or ""))


def without_its_base(station: Workstation) -> None:
    station.guest().shut_down()
    station.world.files.remove(f"{IMAGES}/web01-vda.qcow2")


CASES: tuple[Row, ...] = (
    *(
        Case(
            number=number,
            what=f"{what}, a guest's own disk",
            argv=("checkpoint", "web03", "new"),
            code=REFUSED,
            says=says,
            provoke=of_a_guest(edit),
        )
        for number, what, edit, says in (*HEADERS, *CUT)
    ),
    *(
        Case(
            number=number,
            what=f"{what}, a frozen layer",
            argv=("rollback", "web01", "work", "-y"),
            code=INTEGRITY,
            says=says,
            provoke=of_a_checkpoint(edit),
        )
        for number, what, edit, says in (
            *HEADERS,
            *((number, what, edit, "was changed: its length is") for number, what, edit, _ in CUT),
        )
    ),
    Case(
        number=81,
        what="backing file that is missing, a frozen layer",
        argv=("rollback", "web01", "work", "-y"),
        code=INTEGRITY,
        says="the layer /images/web01-vda.qcow2 is missing",
        provoke=without_its_base,
    ),
    Elsewhere(
        number=81,
        what="backing file that is missing, a guest's own disk",
        test="tests/badinput/test_on_libvirt.py::test_checkpoint_missing_base_is_refused",
    ),
)
