"""verify on real images: what a quick look sees, what only reading tells, whom it concerns, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt
import pytest

from orchestrator import Coordinator
from orchestrator.errors import IntegrityError
from orchestrator.model import Checkpoint, VerifyReport
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness
from tests.checkpoints import memory_of

from .client import Client
from .host_state import files, unchanged
from .moments import notes, say_everywhere, write_notes
from .test_damage import damaged

pytestmark = pytest.mark.system

INTEGRITY, REFUSED = 5, 6
AS_BEFORE = "touch --reference=/tmp/sound $1"
"""The time of last change is put back, as somebody does who does not want to be seen."""
DISGUISED = f"{{}}; {AS_BEFORE}"
EMULATOR, EVIL = "/usr/bin/qemu-system-x86_64", "/usr/bin/evil-system-x86_64"
SECRET = "vv0rd-55"  # noqa: S105 - a graphics password, which libvirt shows on demand only; 8 characters at most


class Pair:
    """A domain that is off, with the checkpoints `one` and, on it, `two`; every file of them was hashed."""

    def __init__(self, library: Coordinator, guest: Witness) -> None:
        self.library = library
        self.name = guest.name
        self.both = {f"{self.name}/one", f"{self.name}/two"}
        self._uri = guest.uri

    def stop(self) -> None:
        """No QEMU may hold its locks on files that a test is about to write to."""
        with connect(self._uri) as connection:
            connection.lookupByName(self.name).destroy()

    def of(self, name: str) -> Checkpoint:
        return self.library.show(self.name, name).checkpoint

    def path(self, what: str) -> str:
        """The memory image of `one`, the layer that `two` froze, or the user's own disk below that."""
        paths = {"memory": memory_of(self.of("one")).path, "layer": self.of("two").layers["vda"].path}
        return paths.get(what) or self.of("one").layers["vda"].path

    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.library.list(self.name)}

    def verify(self, name: str | None = None, *, deep: bool = False) -> VerifyReport:
        return self.library.verify(self.name, name, deep=deep)

    def found(self, *, deep: bool = False) -> dict[str, tuple[str, set[str]]]:
        """By damaged file: what is said of it, and what is lost."""
        verdicts = self.verify(deep=deep).checkpoints
        return {each.path: (each.problem, set(each.lost)) for verdict in verdicts for each in verdict.findings}


@pytest.fixture(scope="module")
def pair(library: Coordinator, module_guest: GuestFactory) -> Pair:
    guest = module_guest(boot=False)
    guest.start(paused=True)
    library.checkpoint(guest.name, "one")
    library.rollback(guest.name, "one")
    library.checkpoint(guest.name, "two")
    pair = Pair(library, guest)
    pair.stop()
    assert not library.verify(guest.name, deep=True).damaged
    return pair


# --------------------------------------------------------------------------- what is sound


def test_verify_changes_nothing(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    web.start(paused=True)
    client.do("checkpoint", web.name, "clean")

    with unchanged(box, client):
        report = client.do("verify", web.name, "clean")
    assert [(each["name"], each["sound"]) for each in report["checkpoints"]] == [("clean", True)]
    before = files(box, "/var/lib/libvirt/images")
    deep = client.do("verify", web.name, "--deep")
    assert files(box, "/var/lib/libvirt/images") == before
    shown = client.do("show", web.name, "clean")
    assert deep["read_bytes"] == shown["memory"]["size"] + shown["disks"][0]["layer"]["physical"]
    assert (
        shown["disks"][0]["layer"]["sha256"] in box.run_inside("sha256sum", shown["disks"][0]["layer"]["path"]).stdout
    )


def test_an_untouched_image_is_trusted(library: Coordinator, guest: GuestFactory) -> None:
    """With a kernel of its own, a CD-ROM, a read-only disk; after a rollback; and of a domain that is transient."""
    for persistent in (True, False):
        web = guest(media=Media(disks=2, readonly=True, cdrom=True), persistent=persistent, boot=False)
        if persistent:
            web.start(paused=True)
        library.checkpoint(web.name, "one")
        library.rollback(web.name, "one", verify=True)
        library.checkpoint(web.name, "two")
        library.rollback(web.name, "one")

        assert not library.verify(web.name, deep=True).damaged


# --------------------------------------------------------------------------- what a quick look sees

QUICK: list[tuple[str, str, str]] = [
    ("memory", "truncate --size=-1 $1", "bytes, not "),
    ("memory", "rm $1", "is missing"),
    ("memory", f"sed -i s,{EMULATOR},{EVIL}, $1", f"its emulator is {EVIL}, not {EMULATOR}"),
    ("memory", "sed -i s,panic=-1,panic=-2, $1", "its kernel command line is "),
    ("layer", "rm $1", "is missing"),
    ("layer", "qemu-io -c 'write -P 7 0 64k' $1", "its length is "),
    ("layer", DISGUISED.format("qemu-img rebase -u -F qcow2 -b /etc/passwd $1"), "its backing file is /etc/passwd"),
    ("layer", DISGUISED.format("qemu-img rebase -u -F raw -b BASE $1"), "a backing file of format raw in its header"),
    ("layer", DISGUISED.format("printf '\\002' | dd of=$1 bs=1 seek=79 conv=notrunc"), "is marked corrupt by QEMU"),
    ("layer", DISGUISED.format("printf '\\040' | dd of=$1 bs=1 seek=79 conv=notrunc"), "needs unknown features (0x20)"),
    ("base", "qemu-io -c 'write -P 7 1M 64k' $1", "its time of last change is "),
    ("base", "rm $1", "is missing"),
]


@pytest.mark.parametrize(("what", "command", "said"), QUICK)
def test_verify_damage_is_named_marked_and_cleared_after_repair(
    box: Box, pair: Pair, what: str, command: str, said: str
) -> None:
    path = pair.path(what)
    lost = {"memory": {f"{pair.name}/one"}, "layer": {f"{pair.name}/two"}, "base": pair.both}[what]
    with damaged(box, path, command.replace("BASE", pair.path("base"))):
        found = pair.found()
        assert set(found) == {path}
        assert said in found[path][0]
        assert found[path][1] == lost
        assert {f"{pair.name}/{name}" for name, state in pair.states().items() if state == "damaged"} == lost
        with pytest.raises(IntegrityError, match="is marked as damaged"):
            pair.library.rollback(pair.name, sorted(lost)[0].partition("/")[2])
    assert pair.found() == {}
    assert pair.states() == {"one": "ready", "two": "ready"}


def test_verify_hashed_layer_with_another_time_of_last_change_is_sound(box: Box, pair: Pair) -> None:
    """As a restored backup, or rsync without its times, leaves it."""
    with damaged(box, pair.path("layer"), "touch $1"):
        assert pair.found() == {}
        assert pair.states() == {"one": "ready", "two": "ready"}
        pair.library.rollback(pair.name, "two")
        pair.stop()
    assert pair.found() == {}


def test_verify_exchanged_images_are_damage(box: Box, pair: Pair) -> None:
    one, two = memory_of(pair.of("one")), memory_of(pair.of("two"))
    assert pair.of("one").origin.domain_xml != pair.of("two").origin.domain_xml
    exchange = ["sh", "-c", "mv $1 $1.x && mv $2 $1 && mv $1.x $2", "sh", one.path, two.path]
    box.run_inside(*exchange)
    try:
        found = pair.found()
    finally:
        box.run_inside(*exchange)

    assert {path: lost for path, (_, lost) in found.items()} == {
        one.path: {f"{pair.name}/one"},
        two.path: {f"{pair.name}/two"},
    }
    assert pair.found() == {}


# --------------------------------------------------------------------------- what only reading tells

DEEP: list[tuple[str, str]] = [
    ("memory", DISGUISED.format("printf '\\377' | dd of=$1 bs=1 seek=300000 conv=notrunc")),
    ("layer", DISGUISED.format("printf '\\377' | dd of=$1 bs=1 seek=131072 conv=notrunc")),
    ("base", DISGUISED.format("qemu-io -c 'write -P 7 0 1k' $1")),
]


@pytest.mark.parametrize(("what", "command"), DEEP)
def test_content_changed_in_disguise_is_found_by_reading(box: Box, pair: Pair, what: str, command: str) -> None:
    path = pair.path(what)
    length = box.run_inside("stat", "--format=%s %y", path).stdout
    with damaged(box, path, command):
        assert box.run_inside("stat", "--format=%s %y", path).stdout == length
        assert pair.found() == {}
        assert "was changed: its SHA-256 is" in pair.found(deep=True)[path][0]
        assert path in pair.found(), "a quick look took away what it could not have seen"
        with pytest.raises(IntegrityError, match="is marked as damaged"):
            pair.library.rollback(pair.name, "one" if what == "memory" else "two")
    assert pair.found() == {}
    assert pair.states() == {"one": "ready", "two": "ready"}


def test_a_rollback_may_read_first(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest()
    write_notes(web, "kept")
    client.do("checkpoint", web.name, "clean")
    write_notes(web, "now")
    memory = client.do("show", web.name, "clean")["memory"]["path"]
    boot = web.report()["boot"]
    with damaged(box, memory, "printf '\\377' | dd of=$1 bs=1 seek=300000 conv=notrunc"):
        line = client.refusal(INTEGRITY, "rollback", web.name, "clean", "-y", "--verify")
        assert line.startswith("checkpoint clean is marked as damaged: the memory image /")
        assert line.endswith(f"nothing was changed; repair it, then: snapctl verify {web.name} clean")
        assert (web.report()["boot"], say_everywhere(web, "now")) == (boot, True)
        assert client.run("verify", web.name).code == INTEGRITY
    client.do("verify", web.name, "clean")
    client.do("rollback", web.name, "clean", "-y", "--verify")
    assert say_everywhere(web, "kept")


def test_a_flipped_bit_that_libvirt_restores_is_found_by_reading(box: Box, client: Client, guest: GuestFactory) -> None:
    """In a page of the guest's memory: without --verify the guest comes back with a memory that it never had."""
    web, words, flipped = guest(), "50617284", "50617285"
    write_notes(web, words)
    client.do("checkpoint", web.name, "clean")
    memory = client.do("show", web.name, "clean")["memory"]["path"]
    with damaged(box, memory, DISGUISED.format(f"sed --in-place s/{words}/{flipped}/g $1")):
        client.do("rollback", web.name, "clean", "-y")
        assert notes(web) == {"/tmp": flipped, "/mnt": words}
        write_notes(web, "now")
        line = client.refusal(INTEGRITY, "rollback", web.name, "clean", "-y", "--verify")
        assert line.startswith("checkpoint clean is marked as damaged: the memory image /")
        assert say_everywhere(web, "now")
        result = client.run("-o", "json", "verify", web.name, "clean", "--deep")
        assert (result.code, [found["path"] for found in result.json["checkpoints"][0]["findings"]]) == (
            INTEGRITY,
            [memory],
        )
    client.do("verify", web.name, "clean")
    client.do("rollback", web.name, "clean", "-y", "--verify")
    assert say_everywhere(web, words)


# --------------------------------------------------------------------------- who may write


def test_verify_another_domain_may_write_to_frozen_layer_is_damage(box: Box, pair: Pair) -> None:
    base = pair.path("base")
    with connect(box.uri) as connection:
        other = connection.defineXML(
            "<domain type='qemu'><name>web-thief</name><memory>1024</memory><os><type>hvm</type></os><devices>"
            f"<disk type='file'><source file='{base}'/><target dev='vda'/></disk></devices></domain>"
        )
        try:
            refused = pytest.raises(IntegrityError, match="web-thief has it as its disk vda")
            with refused:
                pair.library.rollback(pair.name, "one")
            assert pair.found() == {
                base: (f"the layer {base} is frozen, and web-thief has it as its disk vda", pair.both)
            }
            assert pair.states() == {"one": "damaged", "two": "damaged"}
        finally:
            other.undefine()
    assert pair.found() == {}


# --------------------------------------------------------------------------- before there is anything to verify


def test_checkpoint_external_data_file_is_refused(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    disk = f"/var/lib/libvirt/images/{web.name}-disk-vda.qcow2"
    box.run_inside("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={disk}.data", disk, "64M")
    box.run_inside("chmod", "666", f"{disk}.data")
    web.start(paused=True)

    line = client.refusal(REFUSED, "checkpoint", web.name, "clean")
    assert "which keeps its data in another file (data_file), which snapctl cannot check" in line
    assert client.do("list", web.name) == []


# --------------------------------------------------------------------------- secrets


def test_checkpoint_graphics_password_is_not_catalogued(client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    with connect(web.uri) as connection:
        domain = connection.lookupByName(web.name)
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        connection.defineXML(xml.replace("</devices>", f"<graphics type='vnc' passwd='{SECRET}'/></devices>"))
    web.start(paused=True)
    assert knows_the_secret(web) == [True, True]

    said = [client.run("-vv", *arguments) for arguments in (
        ("checkpoint", web.name, "clean"),
        ("rollback", web.name, "clean", "-y"),
        ("checkpoint", web.name, "again"),
        ("rollback", web.name, "clean", "-y", "--verify"),
        ("show", web.name, "clean", "-o", "json"),
    )]  # fmt: skip

    assert [each.code for each in said] == [0] * 5, said
    assert knows_the_secret(web) == [True, True]
    for told in said:
        assert SECRET not in told.stdout + told.stderr
    for file in kept_by(client):
        assert SECRET.encode() not in file.read_bytes(), file


def knows_the_secret(web: Witness) -> list[bool]:
    """Whether the live and the persistent XML have the password, for those who ask for it."""
    secure, inactive = libvirt.VIR_DOMAIN_XML_SECURE, libvirt.VIR_DOMAIN_XML_INACTIVE
    with connect(web.uri) as connection:
        domain: Any = connection.lookupByName(web.name)
        assert SECRET not in domain.XMLDesc(0)
        return [f"passwd='{SECRET}'" in domain.XMLDesc(flags) for flags in (secure, secure | inactive)]


def kept_by(client: Client) -> list[Path]:
    """The catalog and whatever lies beside it."""
    found = [path for path in client.home.rglob("*") if path.is_file()]
    assert client.catalog in found
    return found
