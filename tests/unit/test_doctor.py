"""What doctor says of what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.errors import Refused
from orchestrator.formats import domainxml
from orchestrator.model import (
    Advice,
    CatalogHealth,
    Chain,
    Device,
    Disk,
    Domain,
    FileInfo,
    GuestState,
    Layer,
    Level,
    MemberRecord,
    OperationKind,
    OperationRecord,
    OperationState,
    Owner,
    Source,
    Unsettled,
)
from orchestrator.operations.shared.helper import HELPER_PREFIX
from orchestrator.reports.doctor import judge
from orchestrator.reports.doctor.facts import Catalogued, DoctorFacts, Standing
from orchestrator.reports.doctor.helpers import find_helpers, helpers
from orchestrator.store.contents import Directory, StoreContents
from tests.unit.builders import (
    ACTIVE,
    BASE,
    CLEAN,
    CREATED,
    DOMAIN,
    HOST,
    MEMORY,
    NEXT,
    STORE,
    checkpoint,
    disk,
    domain,
    head,
    host,
    in_store,
    layer,
)
from tests.unit.file_builders import GIB, MIB, file_facts

NAMES = [field.name for field in fields(DoctorFacts)]


def place(path: str, mode: int = 0o711) -> FileInfo:
    return file_facts(path, format="dir", mode=mode)


def directory(operation_id: str, *files: FileInfo, **changes: Any) -> Directory:
    return replace(
        Directory(path=f"{STORE}/{DOMAIN}/{operation_id}", mode=0o711, files=files, manifest=None), **changes
    )


def contents(*directories: Directory, **changes: Any) -> StoreContents:
    made = StoreContents(
        path=STORE, itself=place(STORE), domains=(place(f"{STORE}/{DOMAIN}"),), directories=directories
    )
    return replace(made, **changes)


def catalogued(*chain: Layer, **changes: Any) -> Catalogued:
    own = chain or (layer(),)
    return Catalogued(checkpoint=checkpoint(own[0], **changes), chains={"vda": Chain(own)})


def standing(*below: Layer) -> Standing:
    active = layer(ACTIVE, operation_id=CLEAN, backing=BASE, physical=None)
    return Standing(head=head(), chains={"vda": Chain((active, *(below or (layer(),))))})


def facts(**changes: Any) -> DoctorFacts:
    """A world in which nothing is amiss: web01 runs on its checkpoint `clean`."""
    assert not set(changes) - set(NAMES)
    store = contents(directory(CLEAN, file_facts(ACTIVE), file_facts(MEMORY)))
    defaults: Mapping[str, Any] = {
        "now": CREATED + timedelta(days=1),
        "host": host(),
        "domains": {DOMAIN: domain()},
        "store": store,
        "free_bytes": 100 * GIB,
        "reserve_bytes": 64 * MIB,
        "catalog_health": CatalogHealth(where="sqlite:////c", mode=0o600, file_system="ext4"),
        "operations": (),
        "checkpoints": (catalogued(),),
        "standings": (standing(),),
        "missing": frozenset(),
        "helpers": (),
        "outside": {},
    }
    return DoctorFacts(**{**defaults, **changes})


def found(**changes: Any) -> list[Advice]:
    """All but what is well."""
    return [each for each in judge(facts(**changes)) if each.level is not Level.OK]


def only(**changes: Any) -> Advice:
    (one,) = found(**changes)
    return one


def operation(**changes: Any) -> OperationRecord:
    made = OperationRecord(
        id=NEXT,
        kind=OperationKind.ROLLBACK,
        host_uuid=HOST,
        state=OperationState.OPEN,
        members=(
            MemberRecord(domain_uuid=DOMAIN, domain_name="web01", step="stopped", completed=("prepared",), plan={}),
        ),
        version=1,
        token=1,
        owner=Owner(user="ann", host="desk", boot_id="b", pid=4711, pid_start="1"),
        opened=CREATED,
        lease_until=CREATED,
    )
    return replace(made, **changes)


def test_judge_sound_host_each_check_is_ok() -> None:
    said = judge(facts())
    assert {each.level for each in said} == {Level.OK}
    assert {each.exit_code for each in said} == {0}
    assert [each.about for each in said] == [
        *("hypervisor", "catalog", "store", "owner", "space"),
        *("operations", "domains", "files", "chains"),
    ]


def test_judge_empty_host_has_no_findings() -> None:
    empty: dict[str, Any] = {"checkpoints": (), "standings": (), "store": StoreContents(path=STORE, itself=None)}
    assert found(**empty) == []


# --------------------------------------------------------------------------- surroundings


@pytest.mark.parametrize(
    ("version", "level"),
    [("8.10.0", Level.WARNING), ("9.0.0", None), ("10.7.9", None), ("10.8.0", Level.NOTE), ("11.10.0", Level.NOTE),
     ("12.0.0", None), ("13.1.0", None)],
)  # fmt: skip
def test_versions(version: str, level: Level | None) -> None:
    assert [each.level for each in found(host=replace(host(), libvirt_version=version))] == ([level] if level else [])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"itself": place(STORE, 0o755)}, STORE),
        ({"itself": place(STORE, 0o733)}, STORE),
        ({"domains": (place(f"{STORE}/{DOMAIN}", 0o715),)}, f"{STORE}/{DOMAIN}"),
        ({"directories": (directory(CLEAN, mode=0o755),)}, f"{STORE}/{DOMAIN}/{CLEAN}"),
        ({"directories": (directory(CLEAN, file_facts(MEMORY, mode=0o644)),)}, MEMORY),
        ({"directories": (directory(CLEAN, file_facts(ACTIVE, mode=0o660)),)}, ACTIVE),
    ],
)
def test_judge_store_with_wide_permissions_is_a_warning(changes: dict[str, Any], named: str) -> None:
    advice = only(store=contents(**changes))
    assert (advice.level, advice.about, advice.exit_code) == (Level.WARNING, "store", 1)
    assert f" {named}" in advice.what
    assert advice.advice.endswith(f" {named}")


def test_files_that_are_not_snapctls_are_only_noted() -> None:
    advice = only(store=contents(strays=(f"{STORE}/README",)))
    assert (advice.level, advice.exit_code) == (Level.NOTE, 0)
    assert f"{STORE}/README" in advice.what


@pytest.mark.parametrize(
    ("free", "state", "problem"),
    [
        (64 * MIB, GuestState.RUNNING, "too little even for a rollback"),
        (65 * MIB, GuestState.RUNNING, "too little for a checkpoint of web01"),
        (65 * MIB, GuestState.OFF, None),
        (64 * MIB + 2 * GIB, GuestState.RUNNING, None),
    ],
)
def test_space(free: int, state: GuestState, problem: str | None) -> None:
    said = found(free_bytes=free, domains={DOMAIN: domain(state=state)})
    assert [each.what.partition(": ")[2] for each in said] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("changes", "level", "code"),
    [
        ({"mode": 0o640}, Level.WARNING, 1),
        ({"mode": 0o604}, Level.WARNING, 1),
        ({"file_system": "nfs4"}, Level.WARNING, 1),
        ({"file_system": "fuse.sshfs"}, Level.WARNING, 1),
        ({"damage": "row 3 missing from index"}, Level.ERROR, 5),
    ],
)
def test_judge_catalog_condition(changes: dict[str, Any], level: Level, code: int) -> None:
    advice = only(catalog_health=replace(facts().catalog_health, **changes))
    assert (advice.level, advice.about, advice.exit_code) == (level, "catalog", code)


def test_judge_catalog_on_a_server_has_no_findings() -> None:
    assert found(catalog_health=CatalogHealth(where="postgresql://db/snapctl")) == []


# --------------------------------------------------------------------------- operations


def test_judge_unfinished_operation_recommends_recover() -> None:
    advice = only(operations=(Unsettled(record=operation(), in_progress=False, guests=("web01 is running",)),))
    assert (advice.level, advice.exit_code, advice.advice) == (Level.ERROR, 7, "snapctl recover web01")
    assert "a rollback of web01 is unfinished, since 2026-01-02 03:04:05 UTC by ann@desk" in advice.what
    assert "at step stopped" in advice.what


def test_judge_operation_that_was_taken_over_says_by_whom() -> None:
    advice = only(operations=(Unsettled(record=operation(token=2), in_progress=False, guests=()),))
    assert "is unfinished, since 2026-01-02 03:04:05 UTC, last taken over by ann@desk, process 4711" in advice.what


def test_an_operation_under_way_is_only_noted() -> None:
    advice = only(operations=(Unsettled(record=operation(), in_progress=True, guests=("web01 is running",)),))
    assert (advice.level, advice.exit_code) == (Level.NOTE, 0)


def test_between_two_steps_nothing_is_judged() -> None:
    moved = {DOMAIN: domain(disk(path=in_store(NEXT, "vda.qcow2")))}
    lost = {"missing": frozenset({MEMORY}), "domains": moved}
    assert {each.about for each in found(**lost)} == {"domains", "files"}
    during = found(**lost, operations=(Unsettled(record=operation(), in_progress=False, guests=("web01 is running",)),))
    assert {each.about for each in during} == {"operations"}


# --------------------------------------------------------------------------- files


def test_judge_missing_file_names_unusable_checkpoints() -> None:
    top = layer(in_store(NEXT, "vda.qcow2"), backing=BASE, operation_id=NEXT)
    both = (catalogued(), catalogued(top, layer(), id=NEXT, name="later"))
    advice = only(checkpoints=both, missing=frozenset({BASE}))
    assert (advice.level, advice.exit_code) == (Level.ERROR, 5)
    assert advice.what == f"{BASE} is missing: web01/clean, web01/later cannot be restored"
    alone = only(checkpoints=both, missing=frozenset({top.path}))
    assert alone.what == f"{top.path} is missing: web01/later cannot be restored"
    assert "snapctl delete web01 later" in alone.advice


def test_judge_damaged_checkpoint_recommends_verify() -> None:
    advice = only(checkpoints=(catalogued(damage="the layer x is missing"),))
    assert (advice.level, advice.exit_code) == (Level.ERROR, 5)
    assert "snapctl verify web01 clean" in advice.advice


def test_judge_missing_file_of_a_damaged_checkpoint_is_named_once() -> None:
    missing = f"the memory image {MEMORY} is missing"
    advice = only(checkpoints=(catalogued(damage=missing),), missing=frozenset({MEMORY}))
    assert advice.what == f"{MEMORY} is missing: web01/clean cannot be restored"
    touched = f"the layer {BASE} was changed: its length is 2, not 1; its time of last change is x, not y"
    both = found(checkpoints=(catalogued(damage=f"{missing}; {touched}"),), missing=frozenset({MEMORY}))
    assert [each.what for each in both] == [advice.what, f"web01/clean is damaged: {touched}"]
    assert only(checkpoints=(catalogued(damage=missing),)).what == f"web01/clean is damaged: {missing}"


@pytest.mark.parametrize("itself", [None, place(STORE)], ids=["not there", "an empty mount point"])
def test_judge_store_that_is_not_mounted_is_one_error_without_advice_to_delete(itself: FileInfo | None) -> None:
    missing = frozenset({MEMORY, ACTIVE})
    refused = Refused("the store is not there, or has lost its store.json", hint="snapctl catalog adopt")
    said = found(
        store=StoreContents(path=STORE, itself=itself),
        missing=missing,
        checkpoints=(catalogued(damage=f"the memory image {MEMORY} is missing"),),
        refused=refused,
    )
    (advice,) = [each for each in said if each.level is not Level.NOTE]
    assert (advice.level, advice.about, advice.exit_code) == (Level.ERROR, "store", 5)
    assert advice.what.startswith(f"the store {STORE} is not there, or is empty, and the catalog has 1 checkpoint of")
    assert advice.advice == "mount it, then run doctor again"
    assert not any("delete" in each.advice or "adopt" in each.advice for each in said)


@pytest.mark.parametrize("where", ["disks", "persistent_disks"])
def test_judge_frozen_layer_that_a_domain_may_write_to_is_damage(where: str) -> None:
    stranger = domain(uuid=NEXT, name="stranger", **{where: (disk(path=BASE),)})
    advice = only(domains={DOMAIN: domain(), NEXT: stranger})
    assert (advice.level, advice.exit_code) == (Level.ERROR, 5)
    assert advice.what.startswith(f"{BASE} is frozen, and stranger has it as its disk vda")
    read_only = domain(uuid=NEXT, name="stranger", **{where: (disk(path=BASE, readonly=True),)})
    assert found(domains={DOMAIN: domain(), NEXT: read_only}) == []


# --------------------------------------------------------------------------- domains


@pytest.mark.parametrize(
    "changes",
    [
        {"disks": (disk(path="/other.qcow2"),)},
        {"disks": ()},
        {"persistent_disks": (disk(path="/other.qcow2"),)},
    ],
    ids=["elsewhere", "no disk", "from the next start on"],
)
def test_drift(changes: dict[str, Any]) -> None:
    advice = only(domains={DOMAIN: domain(**changes)})
    assert (advice.level, advice.about, advice.exit_code) == (Level.WARNING, "domains", 1)
    assert f"the catalog says {ACTIVE}" in advice.what


def test_a_disk_that_is_only_plugged_in_is_noted() -> None:
    """It may be meant so; or virsh detach-disk --config is forgotten."""
    advice = only(domains={DOMAIN: domain(persistent_disks=())})
    assert (advice.level, advice.exit_code) == (Level.NOTE, 0)
    assert advice.what == "disk vda of web01 is not in its definition: it is gone at the next start"
    assert found(domains={DOMAIN: domain(persistent=False, persistent_disks=())}) == []


@pytest.mark.parametrize(("external", "option"), [((), ""), (("theirs",), "--metadata ")])
def test_snapshots_of_libvirt_are_a_warning(external: tuple[str, ...], option: str) -> None:
    advice = only(domains={DOMAIN: domain(libvirt_snapshots=("theirs",), external_snapshots=external)})
    assert (advice.level, advice.advice) == (Level.WARNING, f"virsh snapshot-delete {option}web01 theirs")


def test_a_cdrom_is_no_drift() -> None:
    others = (disk(), Disk(target="sda", device=Device.CDROM, readonly=True))
    assert found(domains={DOMAIN: domain(*others)}) == []


def test_judge_managed_save_image_is_a_warning() -> None:
    advice = only(domains={DOMAIN: domain(managed_save=True, state=GuestState.OFF)})
    assert (advice.level, advice.advice) == (Level.WARNING, "virsh start web01")
    running = only(domains={DOMAIN: domain(managed_save=True)})
    assert (running.level, "managedsave-remove" in running.advice) == (Level.WARNING, False)
    stranger = domain(uuid=NEXT, name="stranger", managed_save=True)
    assert found(domains={DOMAIN: domain(), NEXT: stranger}) == []


def test_judge_undefined_domain_is_a_warning() -> None:
    advice = only(domains={})
    assert (advice.level, advice.exit_code) == (Level.WARNING, 1)
    assert DOMAIN in advice.advice
    assert only(domains={}, checkpoints=(catalogued(persistent=False),)).level is Level.NOTE


# --------------------------------------------------------------------------- chains


@pytest.mark.parametrize(
    ("version", "below", "is_long"),
    [("9.0.0", 30, False), ("9.0.0", 31, True), ("11.3.0", 18, False), ("11.3.0", 19, True), ("12.0.0", 19, False)],
)
def test_long_chains(version: str, below: int, is_long: bool) -> None:
    chain = [layer(f"/layer{number}") for number in range(below)]
    new = replace(host(), libvirt_version=version)
    for world in (
        {"standings": (standing(*chain),)},
        {"checkpoints": (catalogued(*chain),)},
    ):
        warned = [each for each in found(host=new, **world) if each.level is Level.WARNING]
        assert [each.about for each in warned] == (["chains"] if is_long else [])


# --------------------------------------------------------------------------- helpers


def helper(operation_id: str = NEXT, **changes: Any) -> Domain:
    """As a collapse starts it; on the layer that web01's checkpoint froze."""
    xml = domainxml.helper(
        domain().xml,
        uuid=operation_id,
        name=f"{HELPER_PREFIX}{operation_id}",
        target="vda",
        layer=Source(path=BASE, format="qcow2"),
    )
    made = domain(
        disk(path=BASE),
        uuid=operation_id,
        name=f"{HELPER_PREFIX}{operation_id}",
        state=GuestState.PAUSED,
        persistent=False,
        persistent_disks=(),
        xml=xml,
    )
    return replace(made, **changes)


def said_of(*found: Domain, cleaned: bool = False) -> Advice:
    (one,) = helpers(find_helpers(facts(helpers=found)), cleaned=cleaned)
    return one


def test_judge_no_helper_left_is_ok() -> None:
    assert said_of().level is Level.OK


def test_a_helper_that_is_left_is_warned_of_until_it_is_ended() -> None:
    advice = said_of(helper())
    assert (advice.level, advice.about, advice.exit_code) == (Level.WARNING, "helpers", 1)
    assert f"the helper domain snapctl-helper-{NEXT} is left over from a collapse, and has {BASE} open" in advice.what
    assert advice.advice == f"snapctl doctor --clean, or: virsh destroy snapctl-helper-{NEXT}"
    after = said_of(helper(), cleaned=True)
    assert (after.level, after.exit_code, after.what.startswith("stopped ")) == (Level.OK, 0, True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"xml": domain().xml}, "not its metadata"),
        ({"name": f"snapctl-helper-{CLEAN}"}, "not its metadata"),
        ({"block_jobs": ("vda",)}, "a block job is running in it"),
        ({"state": GuestState.RUNNING}, "its definition was changed outside snapctl"),
        ({"persistent": True}, "its definition was changed outside snapctl"),
    ],
    ids=["no mark", "not its name", "at work", "resumed", "defined"],
)
def test_judge_helper_that_may_be_in_use_is_only_noted(changes: dict[str, Any], reason: str) -> None:
    left = helper(**changes)
    assert find_helpers(facts(helpers=(left,))).removable == ()
    for cleaned in (False, True):
        advice = said_of(left, cleaned=cleaned)
        assert (advice.level, advice.exit_code) == (Level.NOTE, 0)
        assert reason in advice.what
        assert advice.advice == f"if it is not in use: virsh destroy {left.name}"


def test_a_helper_is_no_danger_to_the_layer_that_it_has() -> None:
    assert found(domains={DOMAIN: domain(), NEXT: helper()}) == []
    unmarked = helper(xml=domain().xml)
    assert only(domains={DOMAIN: domain(), NEXT: unmarked}).what.startswith(f"{BASE} is frozen, and snapctl-helper-")


def test_a_layer_that_is_being_rewritten_is_written_to() -> None:
    writer = domain(uuid=NEXT, name="writer", disks=(disk(path=BASE),))
    assert found(domains={DOMAIN: domain(), NEXT: writer}, checkpoints=(catalogued(layer(rewritten_by=NEXT)),)) == []
