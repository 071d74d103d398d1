"""A frozen layer that anybody has for his writable disk is a danger, though nothing is damaged yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.errors import IntegrityError
from orchestrator.integrity.damage import check_files, damage, dangers
from orchestrator.integrity.users import writers
from orchestrator.model import Chain, DomainDisks
from tests.unit.builders import BASE, CLEAN, checkpoint, disk, in_store, layer
from tests.unit.file_builders import seen_of

FROZEN = layer(in_store(CLEAN, "vda.qcow2"), backing=BASE, operation_id=CLEAN)
MADE = checkpoint(FROZEN)
CHAIN = Chain((FROZEN, layer(BASE)))


def someone(*live: str, next_: Sequence[str] = (), **changes: Any) -> DomainDisks:
    return DomainDisks(
        active=False,
        uuid="u",
        name="web02",
        disks=tuple(disk("vdb", path, **changes) for path in live),
        persistent_disks=tuple(disk("vdc", path, **changes) for path in next_),
    )


WRITERS: dict[str, tuple[DomainDisks, str | None]] = {
    "nobody": (someone("/other.qcow2", next_=["/other.qcow2"]), None),
    "a running guest": (someone(BASE), "web02 has it as its disk vdb"),
    "a guest that will be started": (someone(next_=[BASE]), "web02 has it as its disk vdc from its next start on"),
    "a guest that runs and will": (someone(BASE, next_=[BASE]), "web02 has it as its disk vdb"),
    "a guest, otherwise spelt": (someone(BASE.replace("/web01", "/./web01")), "web02 has it as its disk vdb"),
    "a guest that only reads": (someone(BASE, next_=[BASE], readonly=True), None),
    "a guest with an empty drive": (someone(next_=[]), None),
}  # fmt: skip


@pytest.mark.parametrize(("domain", "who"), WRITERS.values(), ids=WRITERS)
def test_dangers_frozen_layer_as_writable_disk_is_found(domain: DomainDisks, who: str | None) -> None:
    """Order rule 4 (invariant I2), held against every domain of the host."""
    chains = {"vda": CHAIN}
    seen = seen_of(MADE, chains, writers=writers([domain]))
    found = [danger.problem for danger in dangers(chains, seen)]

    assert found == ([f"the layer {BASE} is frozen, and {who}"] if who else [])
    assert not list(damage(MADE, chains, seen))
    if who:
        with pytest.raises(IntegrityError) as refused:
            check_files(MADE, chains, seen)
        assert refused.value.hint == "give that domain a different disk: virsh edit"
