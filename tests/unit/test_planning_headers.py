"""What the header of a frozen layer says of it is held against the catalog, too: it is what QEMU goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from orchestrator.errors import LONGEST_LINE, IntegrityError
from orchestrator.integrity.damage import check_files, qcow2_layers
from orchestrator.model import Chain, Layer
from tests.twin import qcow2
from tests.unit.builders import BASE, CLEAN, MEMORY, checkpoint, device_layer, in_store, layer
from tests.unit.file_builders import GIB, MIB, seen_of

FROZEN = layer(in_store(CLEAN, "vda.qcow2"), backing=BASE, operation_id=CLEAN)
MADE = checkpoint(FROZEN)
CHAIN = Chain((FROZEN, layer(BASE)))


def check(*, chain: Chain[Layer] = CHAIN, heads: Mapping[str, bytes]) -> None:
    """Check `MADE`, whose files begin as they should but for `heads`."""
    check_files(MADE, {"vda": chain}, seen_of(MADE, {"vda": chain}, heads=heads))


def frozen_head(
    *, at: int = 0, value: bytes = b"", capacity: int = FROZEN.capacity, backing: str = BASE, name: str | None = "qcow2"
) -> bytes:
    """The beginning of the frozen layer, with some bytes of it changed."""
    head = bytearray(qcow2.head(capacity, backing, name))
    head[at : at + len(value)] = value
    return bytes(head)


LAYER_HEADS: dict[str, tuple[bytes, str]] = {
    "no qcow2 any more": (bytes(512), "does not begin as a qcow2 image"),
    "cut": (frozen_head()[:60], "is cut off after 60 bytes"),
    "with an unknown feature": (frozen_head(at=72, value=bytes(7) + b"\x20"), "needs unknown features (0x20)"),
    "marked corrupt": (frozen_head(at=72, value=bytes(7) + b"\x02"), "is marked corrupt by QEMU"),
    "with external data": (
        frozen_head(at=72, value=bytes(7) + b"\x04"),
        "keeps its data in another file (data_file), which snapctl cannot check",
    ),
    "with a snapshot inside": (
        frozen_head(at=60, value=bytes(3) + b"\x01"),
        "has internal snapshots that snapctl did not create",
    ),
    "of another size": (
        frozen_head(capacity=MIB),
        f"has a virtual size of {MIB} in its header, not {20 * GIB}",
    ),
    "rebased": (
        frozen_head(backing="/etc/passwd"),
        f"has the backing file /etc/passwd in its header, not {BASE}",
    ),
    "rebased beside itself": (
        frozen_head(backing="other.qcow2"),
        f"has the backing file {in_store(CLEAN, 'other.qcow2')} in its header, not {BASE}",
    ),
    "rebased onto the network": (
        frozen_head(backing="nbd://evil/x"),
        f"has the backing file nbd://evil/x in its header, not {BASE}",
    ),
    "rebased by JSON": (
        frozen_head(backing='json:{"driver":"nbd"}'),
        f'has the backing file json:{{"driver":"nbd"}} in its header, not {BASE}',
    ),
    "onto a base of another format": (
        frozen_head(name="raw"),
        "has a backing file of format raw in its header, not qcow2",
    ),
    "onto a base of no format": (
        frozen_head(name=None),
        "has a backing file of format none in its header, not qcow2",
    ),
}


@pytest.mark.parametrize(("head", "problem"), LAYER_HEADS.values(), ids=LAYER_HEADS)
def test_check_files_other_header_names_what_differs(head: bytes, problem: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        check(heads={FROZEN.path: head})

    assert refused.value.problem == f"the layer {FROZEN.path} {problem}"
    assert refused.value.effect == "clean cannot be restored; nothing was changed"
    assert refused.value.hint == "restore the file, or: snapctl delete web01 clean"
    assert len(str(refused.value)) <= LONGEST_LINE


def test_a_raw_base_needs_no_format_in_the_header() -> None:
    """As libvirt has it: it takes a backing file whose format is not written down for raw, or not at all."""
    chain = Chain((FROZEN, layer(BASE, format="raw")))

    check(chain=chain, heads={FROZEN.path: frozen_head(name=None)})


def test_a_base_may_be_named_relative_to_the_layer_on_it() -> None:
    check(heads={FROZEN.path: frozen_head(backing="../../../web01.qcow2")})


def test_snapshots_inside_the_user_s_own_image_are_the_user_s_own() -> None:
    head = bytearray(qcow2.head(20 * GIB, None, None))
    head[63] = 5

    check(heads={BASE: bytes(head)})


def test_check_files_layer_without_header_is_checked_by_file_information() -> None:
    seen = seen_of(MADE, {"vda": CHAIN})
    heads = {MEMORY: seen.heads[MEMORY]}

    check_files(MADE, {"vda": CHAIN}, replace(seen, heads=heads))


def test_a_layer_whose_qemu_was_killed_is_sound() -> None:
    """Its header says that it is dirty: its reference counts are made anew before it is next written to."""
    check(heads={FROZEN.path: frozen_head(at=72, value=bytes(7) + b"\x01")})


def test_qcow2_layers_leaves_out_raw_files_and_devices() -> None:
    device = device_layer("/dev/vg0/data")

    assert qcow2_layers([FROZEN, layer("/images/data.raw", format="raw"), device]) == [FROZEN.path]
