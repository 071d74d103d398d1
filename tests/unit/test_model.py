"""What the vocabulary itself knows."""

from __future__ import annotations

import pytest

from orchestrator.model import CheckpointDisk, CheckpointState, Device, GuestState, shown_state
from tests.checkpoints import memory_of
from tests.unit.builders import (
    BASE,
    CLEAN,
    DOMAIN,
    STORE,
    cdrom,
    checkpoint,
    checkpoint_disk,
    disk,
    domain,
    in_store,
    layer,
    other_disk,
)

ISO = "/var/lib/libvirt/images/install.iso"


@pytest.mark.parametrize(
    ("recorded", "file"),
    [
        (other_disk("sda", Device.CDROM, ISO), ISO),
        (other_disk("fda", Device.FLOPPY, ISO, readonly=False), ISO),
        (other_disk("vdb", Device.DISK, ISO), ISO),
        (other_disk("sda", Device.CDROM, None), None),
        (other_disk("sda", Device.CDROM, "/dev/sr0", source_type="block"), None),
        (other_disk("sda", Device.CDROM, None, source_type="network"), None),
        (checkpoint_disk(layer()), None),
    ],
    ids=["CD-ROM", "floppy", "read-only disk", "empty drive", "the host's drive", "network", "frozen"],
)
def test_a_file_that_must_be_there_for_a_rollback_though_it_is_not_frozen(
    recorded: CheckpointDisk, file: str | None
) -> None:
    """What is frozen is looked after as a layer; of a device or the network libvirt's volumes say nothing."""
    assert recorded.file == file


def test_a_checkpoint_knows_its_frozen_layers_and_its_directory() -> None:
    second = layer("/images/data.raw", target="vdb", format="raw")
    made = checkpoint(disks=(checkpoint_disk(layer()), other_disk("sda", Device.CDROM, ISO), checkpoint_disk(second)))

    assert made.layers == {"vda": layer(), "vdb": second}
    assert f"{made.directory}/memory.save" == memory_of(made).path
    assert made.directory == f"{STORE}/{DOMAIN}/{CLEAN}"


def test_sources_are_of_writable_disks_only() -> None:
    floppy = disk("fda", "/images/boot.img", device=Device.FLOPPY)
    guest = domain(disk(), disk("vdb", "/images/tools.qcow2", readonly=True), cdrom(), floppy, disk("vdc", None))

    assert guest.sources() == {"vda": in_store(CLEAN, "vda.qcow2"), "vdc": None}
    assert domain(disk(), persistent_disks=(disk("vda", BASE), cdrom())).persistent_sources() == {"vda": BASE}


@pytest.mark.parametrize("state", GuestState)
def test_guest_state_active_unless_off(state: GuestState) -> None:
    assert state.active == (state is not GuestState.OFF)


@pytest.mark.parametrize(
    ("state", "damage", "sha256", "word"),
    [
        (CheckpointState.READY, None, "ab", "ready"),
        (CheckpointState.READY, None, None, "unhashed"),
        (CheckpointState.READY, "a layer is missing", "ab", "damaged"),
        (CheckpointState.READY, "a layer is missing", None, "damaged"),
        (CheckpointState.DELETING, "a layer is missing", "ab", "deleting"),
        (CheckpointState.DELETING, None, None, "deleting"),
    ],
)
def test_shown_state_is_one_word(state: CheckpointState, damage: str | None, sha256: str | None, word: str) -> None:
    assert shown_state(state, damage, sha256 is None) == word
