"""Manifests of schema 1, as snapctl wrote them before checkpoints were sets of artifacts, are still read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.model import LayerKind
from orchestrator.store import manifest
from orchestrator.store.manifest import BadManifest, Manifest
from tests.unit.builders import ACTIVE, BASE, CLEAN, CREATED, DOMAIN, HOST, MEMORY, NEXT, device_layer
from tests.unit.test_manifest import DIRECTORY, begun, whole

LAYER: dict[str, Any] = {
    "path": BASE,
    "target": "vda",
    "format": "qcow2",
    "capacity": 20 << 30,
    "backing": None,
    "operation_id": None,
    "physical": 5 << 20,
    "allocation": 4 << 20,
    "mtime": "1767323045.123456789",
    "sha256": None,
    "rewritten_by": None,
}
OVERLAY = {"target": "vda", "path": ACTIVE, "backing": BASE, "backing_format": "qcow2", "capacity": 20 << 30}


def written(**changes: Any) -> dict[str, Any]:
    """The document of checkpoint `clean`, with every key that snapctl wrote."""
    digest = whole().record.definition_sha256  # type: ignore[union-attr]
    return {
        "schema": 1,
        "host_uuid": HOST,
        "host_name": "hv1",
        "domain_uuid": DOMAIN,
        "domain_name": "web01",
        "operation_id": CLEAN,
        "kind": "checkpoint",
        "created": CREATED.isoformat(),
        "stands_on": CLEAN,
        "overlays": [OVERLAY],
        "record": {
            "checkpoint": checkpoint(),
            "parent": "before",
            "layers": [LAYER],
            "definition_sha256": digest,
        },
        "collapsed": [],
        **changes,
    }


def checkpoint(**changes: Any) -> dict[str, Any]:
    return {
        "id": CLEAN,
        "host_uuid": HOST,
        "domain_uuid": DOMAIN,
        "domain_name": "web01",
        "name": "clean",
        "parent_id": NEXT,
        "created": CREATED.isoformat(),
        "mode": "save",
        "state": "ready",
        "memory": {
            "path": MEMORY,
            "size": 700 << 20,
            "was_running": True,
            "version": 2,
            "compression": "raw",
            "data_length": 70_000,
            "sha256": "ab" * 32,
        },
        "disks": [
            {
                "target": "vda",
                "device": "disk",
                "readonly": False,
                "path": BASE,
                "format": "qcow2",
                "source_type": "file",
                "layer": LAYER,
            }
        ],
        "domain_xml": "",
        "persistent": True,
        "machine": "pc-q35-7.2",
        "cpu": "<cpu mode='host-model'/>",
        "emulator": "/usr/bin/qemu-system-x86_64",
        "qemu_version": "7.2.22",
        "libvirt_version": "9.0.0",
        "tags": ["x"],
        "description": "words",
        "damage": None,
        "expires": None,
        "protected": True,
        **changes,
    }


def read(document: dict[str, Any]) -> Manifest:
    return manifest.decode(json.dumps(document).encode(), DIRECTORY)


def with_checkpoint(**changes: Any) -> dict[str, Any]:
    document = written()
    document["record"]["checkpoint"] = checkpoint(**changes)
    return document


def test_checkpoint_of_schema_1_is_read_with_its_directory_and_operation() -> None:
    found = read(written())

    assert found.schema == manifest.SCHEMA
    assert found.overlays == begun().overlays
    assert found.record is not None
    made = found.record.checkpoint
    assert (made.id, made.operation_id, made.directory) == (CLEAN, CLEAN, DIRECTORY)
    assert (made.labels.name, made.labels.tags, made.labels.description) == ("clean", ("x",), "words")
    assert (made.labels.protected, made.parent_id, made.mode) == (True, NEXT, "save")
    assert (made.origin.machine, made.origin.domain_xml, made.origin.qemu_version) == ("pc-q35-7.2", "", "7.2.22")
    assert made.memory is not None and made.memory.path == MEMORY
    assert made.layers == {"vda": found.record.layers[0]}
    assert found.record.files == {MEMORY, BASE}
    assert (found.record.parent, found.collapsed) == ("before", ())


def test_directory_without_a_checkpoint_of_schema_1_is_read() -> None:
    assert read(written(record=None)) == begun()


def test_encode_manifest_of_schema_1_writes_schema_2() -> None:
    found = read(written())
    content = manifest.encode(found)
    assert json.loads(content)["schema"] == 2
    assert manifest.decode(content, DIRECTORY) == found


def test_layer_of_schema_1_without_a_length_is_on_a_block_device_unless_it_is_ours() -> None:
    device = {**LAYER, "path": "/dev/vg/web01", "physical": None, "allocation": None, "mtime": None}
    document = with_checkpoint()
    disk = document["record"]["checkpoint"]["disks"][0]
    disk.update(path=device["path"], source_type="block", layer=device)
    document["record"]["layers"] = [device]
    ours = {**LAYER, "path": ACTIVE, "operation_id": CLEAN, "physical": None, "allocation": None, "mtime": None}
    document["collapsed"] = [ours]

    found = read(document)

    assert found.record is not None
    assert found.record.checkpoint.layers["vda"].kind is LayerKind.BLOCK
    assert found.record.checkpoint.layers["vda"].is_block == device_layer().is_block
    assert found.record.files == {MEMORY}
    assert [(each.kind, each.is_active) for each in found.collapsed] == [(LayerKind.FILE, True)]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (written(stands_on=NEXT), "overlays that are backed by the wrong checkpoint"),
        (written(stands_on=NEXT, record=None), "overlays that are backed by the wrong checkpoint"),
        (written(kind="rollback"), "overlays that are backed by the wrong checkpoint"),
        (written(operation_id=NEXT, stands_on=NEXT), "the ids of another directory"),
        (with_checkpoint(id=NEXT), "overlays that are backed by the wrong checkpoint"),
        (with_checkpoint(domain_uuid=NEXT), "the checkpoint of another directory"),
        (with_checkpoint(domain_xml="<domain/>"), "a domain XML"),
        (with_checkpoint(name="../x"), "an invalid name"),
        (with_checkpoint(tags=["a b"]), "an invalid name"),
        (with_checkpoint(state="deleting"), "a checkpoint that is not ready"),
        (with_checkpoint(memory={**checkpoint()["memory"], "path": "/etc/shadow"}), "a memory image of another"),
        (with_checkpoint(memory=None), "is not valid"),
        (with_checkpoint(mode="live"), "is not valid"),
    ],
)
def test_decode_inconsistent_manifest_of_schema_1_is_refused(document: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadManifest) as refused:
        read(document)
    assert problem in str(refused.value)


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["record"]["checkpoint"].pop(name)


@pytest.mark.parametrize("name", ["name", "memory", "domain_xml", "machine", "mode"])
def test_schema_1_without_one_of_its_keys_is_refused(name: str) -> None:
    document = written()
    _without(name)(document)
    with pytest.raises(BadManifest, match="is not valid"):
        read(document)
