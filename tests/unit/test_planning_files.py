"""Every file of a checkpoint is held against the catalog before a guest is touched, and by verify."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import LONGEST_LINE, IntegrityError
from orchestrator.integrity.damage import check_files, damage, relied_on
from orchestrator.model import Chain, Checkpoint, CheckpointDisk, Device, FileInfo, Layer
from tests.unit.builders import (
    BASE,
    CLEAN,
    MEMORY,
    but,
    checkpoint,
    checkpoint_disk,
    device_layer,
    in_store,
    layer,
    memory_image,
)
from tests.unit.file_builders import GIB, MIB, file_facts, header_bytes, memory_head, seen_of

FROZEN = layer(in_store(CLEAN, "vda.qcow2"), backing=BASE, operation_id=CLEAN)
ISO = "/var/lib/libvirt/images/install.iso"
MADE = checkpoint(
    disks=(
        checkpoint_disk(FROZEN),
        CheckpointDisk(target="sda", device=Device.CDROM, readonly=True, path=ISO, format="raw"),
        CheckpointDisk(target="fda", device=Device.FLOPPY, readonly=False, path=None, format=None),
    )
)
CHAIN = Chain((FROZEN, layer(BASE)))


def check(made: Checkpoint = MADE, chain: Chain[Layer] = CHAIN, **seen: Any) -> None:
    """Check `made`, all whose files are undamaged apart from those `seen` otherwise."""
    check_files(made, {"vda": chain}, seen_of(made, {"vda": chain}, **seen))


def memory_facts(**changes: Any) -> FileInfo:
    return file_facts(MEMORY, **{"physical": 700 * MIB, "format": "raw", **changes})


def frozen_facts(**changes: Any) -> FileInfo:
    return file_facts(FROZEN.path, **{"backing": BASE, **changes})


def test_undamaged_files_pass() -> None:
    check()


FACTS: dict[str, tuple[dict[str, FileInfo | None], str]] = {
    "memory missing": ({MEMORY: None}, f"the memory image {MEMORY} is missing"),
    "memory one byte short": (
        {MEMORY: memory_facts(physical=700 * MIB - 1)},
        f"the memory image {MEMORY} has {700 * MIB - 1} bytes, not {700 * MIB}",
    ),
    "frozen layer missing": ({FROZEN.path: None}, f"the layer {FROZEN.path} is missing"),
    "frozen layer grown": (
        {FROZEN.path: frozen_facts(physical=6 * MIB)},
        f"the layer {FROZEN.path} was changed: its length is {6 * MIB}, not {5 * MIB}",
    ),
    "frozen layer written to": (
        {FROZEN.path: frozen_facts(mtime="1767323045.123456790")},
        f"the layer {FROZEN.path} was changed: its time of last change is "
        "2026-01-02 03:04:05.123456790 UTC, not 2026-01-02 03:04:05.123456789 UTC",
    ),
    "frozen layer of another format": (
        {FROZEN.path: frozen_facts(format="raw")},
        f"the layer {FROZEN.path} was changed: its format is raw, not qcow2",
    ),
    "frozen layer resized": (
        {FROZEN.path: frozen_facts(capacity=1)},
        f"the layer {FROZEN.path} was changed: its virtual size is 1, not {20 * GIB}",
    ),
    "frozen layer rebased": (
        {FROZEN.path: frozen_facts(backing="/etc/passwd")},
        f"the layer {FROZEN.path} was changed: its backing file is /etc/passwd, not {BASE}",
    ),
    "frozen layer grown and written to": (
        {FROZEN.path: frozen_facts(physical=6 * MIB, mtime="2.0")},
        f"the layer {FROZEN.path} was changed: its length is {6 * MIB}, not {5 * MIB}; "
        "its time of last change is 1970-01-01 00:00:02 UTC, not 2026-01-02 03:04:05 UTC",
    ),
    "base below it missing": ({BASE: None}, f"the layer {BASE} is missing"),
    "base below it changed": (
        {BASE: file_facts(BASE, mtime="1.0")},
        f"the layer {BASE} was changed: its time of last change is 1970-01-01 00:00:01 UTC, "
        "not 2026-01-02 03:04:05 UTC",
    ),
    "CD-ROM missing": ({ISO: None}, f"the cdrom image {ISO} is missing"),
}

ACCEPT = "restore it, or: snapctl verify web01 clean --accept"
HINTS = {
    FACTS["frozen layer written to"][1]: ACCEPT,
    FACTS["base below it changed"][1]: ACCEPT,
    FACTS["CD-ROM missing"][
        1
    ]: "restore the file, or leave the drive empty: snapctl rollback web01 clean --without-media",
}
"""By problem; all others can only be repaired."""

EMULATOR = "/usr/bin/qemu-system-x86_64"
XML = MADE.origin.domain_xml
MEMORY_HEADS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is cut off after 0 bytes"),
    "of another kind": (b"QFI\xfb".ljust(92, b"\0"), "does not begin as a libvirt save image"),
    "unfinished": (memory_head(XML, magic=b"LibvirtQemudPart"), "is incomplete"),
    "edited": (memory_head(XML, data_length=70_001), "has a different header than the catalog says"),
    "of a paused guest": (memory_head(XML, was_running=0), "has a different header than the catalog says"),
    "compressed": (memory_head(XML, compression=5), "has a different header than the catalog says"),
    "with XML that goes on": (header_bytes() + XML.encode(), "is cut off within its XML"),
    "with XML without an end": (header_bytes() + b"<" * 70_000, "has XML without an end"),
    "with XML that is no text": (header_bytes() + b"\xff\0", "has XML that is no text"),
    "with XML that is none": (
        memory_head("<domain>"),
        "cannot be compared with the catalog: one of their domain XMLs is unreadable",
    ),
    "with another emulator": (
        memory_head(XML.replace(EMULATOR, "/tmp/evil")),
        f"was changed: its emulator is /tmp/evil, not {EMULATOR}",
    ),
}

DAMAGE: dict[str, tuple[dict[str, Any], str]] = {
    **{what: ({"facts": facts}, problem) for what, (facts, problem) in FACTS.items()},
    **{
        f"memory {what}": ({"heads": {MEMORY: head}}, f"the memory image {MEMORY} {problem}")
        for what, (head, problem) in MEMORY_HEADS.items()
    },
    "memory with a flipped bit": (
        {"hashes": {MEMORY: "cd" * 32}},
        f"the memory image {MEMORY} was changed: its SHA-256 is {'cd' * 8}…, not {'ab' * 8}…",
    ),
}


@pytest.mark.parametrize(("seen", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_with_what_is_lost_and_what_to_do(seen: dict[str, Any], problem: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        check(**seen)
    error = refused.value

    assert error.exit_code == 5
    assert error.problem == problem
    assert error.effect == "clean cannot be restored; nothing was changed"
    assert error.hint == HINTS.get(problem, "restore the file, or: snapctl delete web01 clean")
    assert str(error).endswith(f"; {error.effect}; {error.hint}")
    assert len(str(error)) <= LONGEST_LINE


def test_memory_is_not_paired_with_disks_that_it_was_not_saved_with() -> None:
    """Image and catalog agree on the XML, and each file is as catalogued: only the pairing is wrong."""
    elsewhere = but(MADE, domain_xml=MADE.origin.domain_xml.replace(FROZEN.path, BASE))
    chains = {"vda": CHAIN}
    (found,) = damage(elsewhere, chains, seen_of(elsewhere, chains))
    assert found.path == MEMORY
    assert f"was saved with {BASE} for disk vda, not with {FROZEN.path}" in found.problem


def test_damage_names_each_file_once() -> None:
    """A layer that two disks share, and all that is wrong with each file."""
    chains = {"vda": CHAIN, "vdb": Chain((replace(FROZEN, path="/other.qcow2", target="vdb"), layer(BASE)))}
    seen = seen_of(MADE, chains, facts={MEMORY: None, BASE: None, "/other.qcow2": None})

    assert [found.path for found in damage(MADE, chains, seen)] == [MEMORY, BASE, "/other.qcow2"]


def test_relied_on_lists_each_file_once() -> None:
    assert relied_on(MADE, {"vda": CHAIN, "vdb": CHAIN}) == [MEMORY, FROZEN.path, BASE, ISO]


# --------------------------------------------------------------------------- what is no damage


def test_damage_raw_file_that_looks_like_qcow2_is_none() -> None:
    """A guest can write a qcow2 header into its raw disk; libvirt then calls the file qcow2."""
    raw = layer("/images/data.raw", format="raw")
    lookalike = file_facts("/images/data.raw", format="qcow2", capacity=1, backing="/etc/shadow")

    check(made=checkpoint(raw), chain=Chain((raw,)), facts={raw.path: lookalike})


def test_check_files_written_raw_file_is_damage() -> None:
    raw = layer("/images/data.raw", format="raw")
    written = file_facts("/images/data.raw", format="raw", mtime="1.0")

    with pytest.raises(IntegrityError, match="time of last change"):
        check(made=checkpoint(raw), chain=Chain((raw,)), facts={raw.path: written})


def test_check_files_block_device_needs_no_file_information() -> None:
    device = device_layer("/dev/vg0/data", format="raw")

    check(made=checkpoint(device), chain=Chain((device,)), facts={device.path: None})


def test_a_file_that_was_never_hashed_has_no_wrong_hash() -> None:
    unhashed = replace(MADE, memory=memory_image(sha256=None))

    check(made=unhashed, hashes={MEMORY: "cd" * 32, FROZEN.path: "cd" * 32})


def test_a_layer_that_was_hashed_is_compared() -> None:
    hashed = Chain((replace(FROZEN, sha256="ab" * 32), layer(BASE, sha256="ab" * 32)))

    check(chain=hashed, hashes={FROZEN.path: "ab" * 32, BASE: "ab" * 32})
    with pytest.raises(IntegrityError) as refused:
        check(chain=hashed, hashes={FROZEN.path: "ab" * 32, BASE: "cd" * 32})
    assert refused.value.problem == f"the layer {BASE} was changed: its SHA-256 is {'cd' * 8}…, not {'ab' * 8}…"


@given(
    which=st.sampled_from([memory_facts(), frozen_facts(), file_facts(BASE)]),
    physical=st.one_of(st.sampled_from([5 * MIB, 700 * MIB]), st.integers(0, 2**40)),
)
def test_a_file_passes_exactly_if_it_is_as_long_as_catalogued(which: FileInfo, physical: int) -> None:
    found = replace(which, physical=physical)
    try:
        check(facts={which.path: found})
    except IntegrityError:
        assert found != which
    else:
        assert found == which


def test_a_memory_image_that_is_not_hashed_yet_can_be_checked() -> None:
    check(made=checkpoint(*CHAIN[:1], memory=memory_image(sha256=None)))
