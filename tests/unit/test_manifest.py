"""The manifest: it says what was recorded, and nothing that does not fit its directory is believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from posixpath import join
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import After, Layer, LayerKind, NewOverlay, OperationKind
from orchestrator.operations.checkpoint.plan import plan_checkpoint
from orchestrator.operations.rollback.plan import plan_rollback
from orchestrator.operations.shared.manifests import begun_manifest
from orchestrator.store import manifest
from orchestrator.store.layout import operation_directory
from orchestrator.store.manifest import BadManifest, Manifest
from tests.unit.builders import (
    BASE,
    CLEAN,
    CREATED,
    DOMAIN,
    HOST,
    NEXT,
    STORE,
    checkpoint,
    checkpoint_facts,
    checkpoint_request,
    in_store,
    layer,
    rollback_facts,
)
from tests.unit.file_builders import GIB

DIRECTORY = operation_directory(STORE, DOMAIN, CLEAN)
XML = """<domain type='kvm'><name>web01</name><uuid>{uuid}</uuid><memory unit='KiB'>1024</memory>
<os><type machine='pc-q35-7.2'>hvm</type></os>{cpu}<devices><emulator>/usr/bin/qemu</emulator>
<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/>{below}
<target dev='vda' bus='virtio'/></disk>{graphics}</devices></domain>"""


def domain_xml(**changes: str) -> str:
    said = {"uuid": DOMAIN, "cpu": "", "format": "qcow2", "path": BASE, "below": "", "graphics": ""}
    return XML.format(**{**said, **changes})


def overlay(target: str = "vda", directory: str = DIRECTORY, backing: str = BASE) -> NewOverlay:
    path = join(directory, f"{target}.qcow2")
    return NewOverlay(target=target, path=path, backing=backing, backing_format="qcow2", capacity=20 * GIB)


def begun() -> Manifest:
    return Manifest(
        host_uuid=HOST,
        host_name="hv1",
        domain_uuid=DOMAIN,
        domain_name="web01",
        operation_id=CLEAN,
        kind=OperationKind.CHECKPOINT,
        created=CREATED,
        stands_on=CLEAN,
        overlays=(overlay(),),
    )


def whole(*chain: Layer) -> Manifest:
    made = checkpoint(chain[0] if chain else layer(), domain_xml=domain_xml())
    return manifest.with_checkpoint(begun(), made, "before", [chain or (layer(),)])


def told(change: Callable[[Any], object]) -> bytes:
    """The bytes of a whole manifest with `change` made to its JSON."""
    document = json.loads(manifest.encode(whole()))
    change(document)
    return json.dumps(document).encode()


def refusal(content: bytes, directory: str = DIRECTORY) -> str:
    with pytest.raises(BadManifest) as refused:
        manifest.decode(content, directory)
    return str(refused.value)


# --------------------------------------------------------------------------- what is written


def test_decode_encoded_manifest_is_the_same() -> None:
    for written in (begun(), whole()):
        assert manifest.decode(manifest.encode(written), DIRECTORY) == written


def test_decode_manifest_without_a_line_is_of_an_earlier_version() -> None:
    def forget(document: dict[str, Any]) -> None:
        del document["line"], document["kept_id"], document["record"]["ancestors"]

    read = manifest.decode(told(forget), DIRECTORY)
    assert read.record is not None
    assert (read.line, read.kept_id, read.record.ancestors) == (None, None, None)


@pytest.mark.parametrize("key", ["line", "kept_id", "ancestors"])
def test_decode_line_of_something_else_is_refused(key: str) -> None:
    def lie(document: dict[str, Any]) -> None:
        place = document["record"] if key == "ancestors" else document
        place[key] = "../a" if key == "kept_id" else [NEXT, "../a"]

    assert refusal(told(lie)) == "has an id that is not a UUID"


def test_the_same_manifest_is_the_same_bytes() -> None:
    assert manifest.encode(whole()) == manifest.encode(whole())
    assert manifest.encode(whole()) != manifest.encode(begun())


def test_a_checkpoint_marks_its_directory() -> None:
    plan = plan_checkpoint(checkpoint_request(), checkpoint_facts())
    marked = begun_manifest(plan, plan.operation_id, CREATED, (NEXT, CLEAN))
    assert (marked.kind, marked.operation_id, marked.stands_on) == (OperationKind.CHECKPOINT, NEXT, NEXT)
    assert (marked.overlays, marked.created, marked.record) == (plan.overlays, CREATED, None)
    assert manifest.decode(manifest.encode(marked), plan.directory) == marked


def test_begun_manifest_of_rollback_names_its_checkpoint() -> None:
    plan = plan_rollback(NEXT, After.AS_SAVED, rollback_facts())
    marked = begun_manifest(plan, plan.checkpoint_id, CREATED, (CLEAN,), NEXT)
    assert (marked.kind, marked.operation_id, marked.stands_on) == (OperationKind.ROLLBACK, NEXT, CLEAN)
    assert (marked.line, marked.kept_id) == ((CLEAN,), NEXT)
    assert manifest.decode(manifest.encode(marked), plan.directory) == marked


def test_encode_leaves_out_the_domain_xml() -> None:
    screen = "<graphics type='vnc' passwd='open sesame'/>"
    made = checkpoint(domain_xml=domain_xml(graphics=screen))
    written = manifest.encode(manifest.with_checkpoint(begun(), made, None, [[layer()]]))
    assert b"sesame" not in written and b"<domain" not in written
    assert manifest.decode(written, DIRECTORY).record.definition_sha256 == manifest.digest(made.origin.domain_xml)  # type: ignore[union-attr]


def test_manifest_lists_layer_shared_by_two_disks_once() -> None:
    low, top = layer(), layer(in_store(CLEAN, "vdb.qcow2"), backing=BASE, target="vdb", operation_id=CLEAN)
    made = manifest.with_checkpoint(begun(), checkpoint(low, top, domain_xml=domain_xml()), None, [[low], [top, low]])
    assert made.record is not None
    assert made.record.layers == (low, top)


def test_digest_differs_by_domain_and_not_by_spelling() -> None:
    digest = manifest.digest(domain_xml())
    chain = "<backingStore type='file'><format type='raw'/><source file='/x'/><backingStore/></backingStore>"
    for same in (domain_xml(below=chain), domain_xml(cpu="<cpu mode='custom'/>"), domain_xml() + "\n"):
        assert manifest.digest(same) == digest
    for other in (domain_xml(uuid=NEXT), domain_xml(path="/etc/shadow"), domain_xml(format="raw")):
        assert manifest.digest(other) != digest


# --------------------------------------------------------------------------- what is not believed


def test_a_newer_schema_is_refused_by_its_number() -> None:
    assert refusal(b'{"schema": 3, "of things": "to come"}') == "has schema 3, and this snapctl supports 2"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4096,
        b"null",
        b"[]",
        b"{}",
        b'{"schema": "1"}',
        b'{"schema": 1}',
        b'{"schema": 1' + b"0" * 400 + b"}",
        b'{"schema": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe{}",
        manifest.encode(begun())[:-20],
        manifest.encode(begun()) + b"{}",
    ],
    ids=["empty", "zeros", "null", "list", "object", "text", "bare", "huge number", "deep", "not UTF-8", "cut", "two"],
)
def test_decode_malformed_bytes_are_refused(content: bytes) -> None:
    assert refusal(content).startswith(("is not valid", "has schema"))


def test_a_manifest_without_end_is_not_even_parsed() -> None:
    assert refusal(b" " * manifest.LONGEST + b"{}") == f"is longer than {manifest.LONGEST} bytes"


def setting(*path: str | int, to: object) -> Callable[[Any], object]:
    """A change to one value deep in the document."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return change


CHECKPOINT = ("record", "checkpoint")
FOREIGN = in_store(NEXT, "vda.qcow2")
SIDECAR = {"kind": "sidecar", "target": None, "path": f"{DIRECTORY}/nvram.sidecar", "format": "raw", "size": 1}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (setting("domain_uuid", to=NEXT), "the ids of another directory"),
        (setting("operation_id", to=NEXT), "the ids of another directory"),
        (setting("host_uuid", to="hv1"), "an id that is not a UUID"),
        (setting("stands_on", to="../x"), "an id that is not a UUID"),
        (setting("stands_on", to=NEXT), "overlays that are backed by the wrong checkpoint"),
        (setting("kind", to="delete"), "the wrong kind of operation"),
        (setting("kind", to="edit"), "the wrong kind of operation"),
        (setting("kind", to="rollback"), "overlays that are backed by the wrong checkpoint"),
        (setting("created", to="2026-01-02T03:04:05"), "a time without a time zone"),
        (setting("host_name", to="a\0b"), "a text with a NUL character"),
        (setting("overlays", 0, "capacity", to=-1), "a number out of range"),
        (setting("overlays", 0, "capacity", to=1 << 63), "a number out of range"),
        (setting("overlays", 0, "path", to="/etc/passwd"), "an overlay of another directory"),
        (setting("overlays", 0, "path", to=FOREIGN), "an overlay of another directory"),
        (setting("overlays", 0, "target", to="vdb"), "an overlay of another directory"),
        (setting("overlays", 0, "backing", to="../base"), "a path that is not absolute and plain"),
        (setting("overlays", 0, "backing", to="//base"), "a path that is not absolute and plain"),
        (lambda document: document["overlays"].append(document["overlays"][0]), "two overlays of one disk"),
        (setting(*CHECKPOINT, "id", to=NEXT), "overlays that are backed by the wrong checkpoint"),
        (setting(*CHECKPOINT, "operation_id", to=NEXT), "the checkpoint of another directory"),
        (setting(*CHECKPOINT, "directory", to=f"{STORE}/{DOMAIN}/{NEXT}"), "the checkpoint of another directory"),
        (setting(*CHECKPOINT, "domain_uuid", to=NEXT), "the checkpoint of another directory"),
        (setting(*CHECKPOINT, "host_uuid", to=NEXT), "the checkpoint of another directory"),
        (setting(*CHECKPOINT, "state", to="deleting"), "a checkpoint that is not ready"),
        (setting(*CHECKPOINT, "labels", "name", to="../../x"), "an invalid name"),
        (setting(*CHECKPOINT, "labels", "tags", to=["a b"]), "an invalid name"),
        (setting(*CHECKPOINT, "created", to="2026-01-02T03:04:05"), "a time without a time zone"),
        (setting(*CHECKPOINT, "origin", "domain_xml", to="<domain/>"), "a domain XML"),
        (setting(*CHECKPOINT, "memory", "path", to="/etc/shadow"), "a memory image of another directory"),
        (setting(*CHECKPOINT, "memory", "path", to=DIRECTORY + "/../x/memory.save"), "a memory image of another"),
        (setting(*CHECKPOINT, "memory", "path", to=f"{DIRECTORY}/vda.qcow2"), "two files with the same name"),
        (setting(*CHECKPOINT, "memory", "path", to=f"{DIRECTORY}/manifest.json"), "two files with the same name"),
        (setting(*CHECKPOINT, "memory", to=None), "neither a memory image nor a domain XML"),
        (setting(*CHECKPOINT, "sidecars", to=[{**SIDECAR, "path": "/etc/shadow"}]), "a sidecar of another directory"),
        (setting(*CHECKPOINT, "sidecars", to=[SIDECAR, SIDECAR]), "two files with the same name"),
        (setting(*CHECKPOINT, "sidecars", to=[{**SIDECAR, "kind": "disk"}]), "a sidecar of the wrong kind"),
        (setting("record", "layers", to=[]), "a frozen layer that is not among its layers"),
        (setting("record", "layers", 0, "physical", to=1), "a frozen layer that is not among its layers"),
        (lambda document: document["record"]["layers"].append(document["record"]["layers"][0]), "a layer twice"),
    ],
)  # fmt: skip
def test_decode_inconsistent_manifest_is_refused(change: Callable[[Any], object], problem: str) -> None:
    assert problem in refusal(told(change))


def made_by(operation_id: str, path: str, **changes: Any) -> Layer:
    return layer(path, operation_id=operation_id, **changes)


OURS = in_store(CLEAN, "vdb.qcow2")


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        ([made_by(CLEAN, "/etc/shadow")], "a layer that no operation on this domain created"),
        ([made_by(CLEAN, FOREIGN)], "a layer that no operation on this domain created"),
        ([made_by(CLEAN, f"{STORE}/{NEXT}/{CLEAN}/vda.qcow2")], "a layer that no operation on this domain created"),
        ([made_by(CLEAN, f"/other/{DOMAIN}/{CLEAN}/vda.qcow2")], "a layer that no operation on this domain created"),
        ([made_by("..", f"{STORE}/{DOMAIN}/../vda.qcow2")], "a path that is not absolute and plain"),
        ([made_by(CLEAN, OURS, kind=LayerKind.BLOCK)], "a layer that no operation on this domain created"),
        ([made_by("x", f"{STORE}/{DOMAIN}/x/vda.qcow2")], "a layer that no operation on this domain created"),
        ([layer("images/base.qcow2")], "a path that is not absolute and plain"),
        ([layer(BASE, backing="/gone.raw")], "a layer whose backing file is not among its layers"),
        ([layer(BASE, backing=BASE)], "a layer that is in its own backing chain"),
        ([made_by(CLEAN, OURS, backing=BASE), layer(BASE, backing=OURS)], "a layer that is in its own backing chain"),
    ],
)
def test_layers_that_are_not_what_they_say(chain: list[Layer], problem: str) -> None:
    assert problem in refusal(manifest.encode(whole(*chain)))


def test_layers_of_other_operations_on_the_domain_are_ours_too() -> None:
    written = whole(made_by(NEXT, FOREIGN, backing=BASE), layer())
    assert manifest.decode(manifest.encode(written), DIRECTORY) == written


def test_a_rollback_has_no_checkpoint() -> None:
    written = replace(whole(), kind=OperationKind.ROLLBACK, stands_on=NEXT)
    assert "a checkpoint that its operation did not create" in refusal(manifest.encode(written))


# --------------------------------------------------------------------------- anything at all

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
sizes = st.integers(0, (1 << 63) - 1)
targets = st.lists(st.sampled_from(["vda", "vdb", "sda", "hdc"]), unique=True, min_size=1)
plain_paths = st.lists(st.sampled_from(["srv", "a b", "ü%<&>", "-rf"]), min_size=1).map(
    lambda parts: "/" + "/".join(parts)
)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))


@st.composite
def chains(draw: st.DrawFn, target: str) -> list[Layer]:
    """A frozen layer and all below it: some of ours, on top of the user's own."""
    paths = [in_store(operation, f"{target}.qcow2") for operation in draw(st.sets(st.uuids().map(str), max_size=4))]
    paths.append(f"{draw(plain_paths)}/{target}")
    return [
        layer(
            path,
            target=target,
            backing=below,
            operation_id=path.split("/")[-2] if below else None,
            capacity=draw(sizes),
            physical=draw(st.none() | sizes),
            mtime=draw(st.none() | texts),
        )
        for path, below in zip(paths, [*paths[1:], None], strict=True)
    ]


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(targets)
    own = [draw(chains(name)) for name in names]
    written = replace(
        begun(),
        host_name=draw(texts),
        domain_name=draw(texts),
        created=draw(times),
        overlays=tuple(overlay(name, backing=chain[0].path) for name, chain in zip(names, own, strict=True)),
    )
    if draw(st.booleans()):
        return written
    made = checkpoint(
        *(chain[0] for chain in own),
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)),
        parent_id=draw(st.none() | st.uuids().map(str)),
        description=draw(texts),
        created=draw(times),
        domain_xml=domain_xml(),
    )
    return manifest.with_checkpoint(written, made, draw(st.none() | texts), own)


@given(manifests())
def test_decode_any_encoded_manifest_is_the_same(written: Manifest) -> None:
    content = manifest.encode(written)
    assert manifest.decode(content, DIRECTORY) == written
    assert manifest.encode(manifest.decode(content, DIRECTORY)) == content


@given(st.binary(max_size=200))
def test_decode_random_bytes_are_refused(content: bytes) -> None:
    refusal(content)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([NEXT, OURS, "/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_decode_random_manifest_names_no_file_elsewhere(data: st.DataObject) -> None:
    document = json.loads(manifest.encode(whole(made_by(NEXT, FOREIGN, backing=BASE), layer())))
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    try:
        found = manifest.decode(json.dumps(document).encode(), DIRECTORY)
    except BadManifest:
        return
    for made in found.overlays:
        assert made.path.rpartition("/")[0] == DIRECTORY
    for each in found.record.layers if found.record else ():
        assert each.operation_id is None or each.path.startswith(f"{STORE}/{DOMAIN}/{each.operation_id}/")
    if found.record:
        for path in found.record.checkpoint.own_files:
            assert path.rpartition("/")[0] == DIRECTORY
