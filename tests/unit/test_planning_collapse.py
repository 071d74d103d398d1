"""When layers may be pulled into the one above them, and what does it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.errors import Busy, IntegrityError, Refused, SnapctlError
from orchestrator.formats import domainxml
from orchestrator.integrity.users import holders
from orchestrator.model import Collapsible, DomainDisks, FileInfo, Layer, Source
from orchestrator.operations.collapse.plan import CollapseFacts, CollapsePlan, plan_collapse
from orchestrator.operations.registry import misplaced
from tests.unit.builders import BASE, CLEAN, DOMAIN, NEXT, STORE, disk, domain, host, in_store, layer
from tests.unit.file_builders import MIB, file_facts

TOP, MIDDLE = in_store("b" * 8, "vda.qcow2"), in_store(CLEAN, "vda.qcow2")
FOUND = Collapsible(
    layer=layer(TOP, operation_id="b" * 8, backing=MIDDLE),
    absorbed=(layer(MIDDLE, operation_id=CLEAN, backing=BASE),),
    base=layer(BASE),
)


def seen(*layers: Layer) -> dict[str, FileInfo | None]:
    """The files as the catalog has them."""
    return {
        each.path: file_facts(
            each.path,
            physical=each.physical,
            allocation=each.allocation,
            capacity=each.capacity,
            format=each.format,
            mtime=each.mtime,
            backing=each.backing,
        )
        for each in layers
    }


def plan(**changes: Any) -> CollapsePlan:
    facts: dict[str, Any] = {
        "host": host(),
        "domain_uuid": DOMAIN,
        "domain_name": "web01",
        "domain": domain(),
        "like": domain().xml,
        "found": FOUND,
        "seen": seen(FOUND.layer, *FOUND.absorbed, layer(BASE)),
        "prints": {},
        "holders": {},
        "free_bytes": 1 << 40,
        "store": STORE,
    }
    return plan_collapse(NEXT, CollapseFacts(**facts | changes))


def test_plan_collapse_names_layers_and_helper() -> None:
    made = plan()
    assert made.drops == (MIDDLE,) and made.base == Source(path=BASE, format="qcow2")
    assert made.lines() == [
        f"copy up to 4 MiB into {TOP}, and set its backing file to {BASE}",
        f"remove {MIDDLE} unless something else needs it",
    ]
    assert misplaced(made) == []
    assert msgspec.convert(msgspec.to_builtins(made), CollapsePlan) == made


def test_a_file_of_the_user_s_own_is_not_among_what_goes() -> None:
    """A flatten copies it, too."""
    flattened = Collapsible(layer=FOUND.layer, absorbed=(*FOUND.absorbed, layer(BASE)), base=None)
    made = plan(found=flattened)
    assert made.drops == (MIDDLE,)
    assert not [line for line in made.lines() if BASE in line]


def test_the_helper_has_the_layer_and_nothing_else() -> None:
    said = domainxml.definition(plan().helper_xml)
    assert (said.uuid, said.name) == (NEXT, f"snapctl-helper-{NEXT}")
    assert [each.source for each in said.disks] == [Source(path=TOP, format="qcow2")]
    assert said.emulator == domain().emulator and said.memory_bytes == 16 * MIB
    assert "interface" not in plan().helper_xml and "urn:snapctl:helper" in plan().helper_xml


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"holders": {TOP: "web01"}}, Refused, "is in the backing chain of web01, which is running"),
        ({"domain": domain(block_jobs=("vda",))}, Busy, "block job"),
        ({"free_bytes": 3 * MIB}, Refused, "may grow by 4 MiB"),
        ({"seen": seen(FOUND.layer, layer(BASE)) | {MIDDLE: None}}, IntegrityError, "is missing"),
        ({"seen": seen(*FOUND.absorbed, layer(BASE), layer(TOP, backing=BASE))}, IntegrityError, "was changed"),
    ],
    ids=["in use", "a block job", "no space", "a layer is missing", "the layer was changed"],
)
def test_refused(changes: dict[str, Any], error: type[SnapctlError], said: str) -> None:
    with pytest.raises(error, match=said):
        plan(**changes)


def test_holders_are_running_domains_only() -> None:
    disks = (disk(path="/active", backing=(Source(path="/below", format="qcow2"),)),)
    running = DomainDisks(uuid="1", name="on", active=True, disks=disks, persistent_disks=())
    off = DomainDisks(uuid="2", name="off", active=False, disks=disks, persistent_disks=())
    assert holders([off]) == {}
    assert holders([off, running]) == {"/below": "on"}
