"""A checkpoint is a set of artifacts: what it says of them, and what does without a memory image or has sidecars."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import IntegrityError, Refused
from orchestrator.integrity.damage import check_files, damage, relied_on
from orchestrator.model import After, Artifact, ArtifactKind, Chain, Checkpoint
from orchestrator.operations.checkpoint.plan import plan_checkpoint
from orchestrator.operations.delete.plan import plan_delete
from orchestrator.operations.rollback.plan import plan_rollback
from orchestrator.operations.shared.manifests import begun_manifest
from orchestrator.store import layout, manifest
from orchestrator.store.contents import Directory
from tests.unit.builders import (
    BASE,
    CLEAN,
    CREATED,
    DOMAIN,
    MEMORY,
    NEXT,
    STORE,
    checkpoint,
    checkpoint_facts,
    checkpoint_request,
    delete_facts,
    device_layer,
    in_store,
    layer,
    memory_image,
    rollback_facts,
)
from tests.unit.file_builders import MIB, file_facts, seen_of

DIRECTORY = layout.operation_directory(STORE, DOMAIN, CLEAN)
NVRAM = Artifact(
    kind=ArtifactKind.SIDECAR, target="nvram", path=layout.sidecar_path(DIRECTORY, "nvram"), format="raw", size=MIB
)
CHAINS = {"vda": Chain((layer(),))}
WITH_SIDECAR = checkpoint(sidecars=(NVRAM,))
OF_DISKS = checkpoint(memory=None)


# --------------------------------------------------------------------------- what it is made of


def test_artifacts_are_memory_image_frozen_layers_and_sidecars() -> None:
    made = checkpoint(layer(sha256="cd" * 32), device_layer(target="vdb"), sidecars=(NVRAM,))

    assert [(each.kind, each.target, each.path, each.format, each.size, each.sha256) for each in made.artifacts] == [
        (ArtifactKind.MEMORY, None, MEMORY, "raw", 700 * MIB, "ab" * 32),
        (ArtifactKind.DISK, "vda", BASE, "qcow2", 5 * MIB, "cd" * 32),
        (ArtifactKind.DISK, "vdb", "/dev/vg/web01", "qcow2", None, None),
        (ArtifactKind.SIDECAR, "nvram", NVRAM.path, "raw", MIB, None),
    ]
    assert made.own_files == (MEMORY, NVRAM.path)
    assert (made.own_bytes, made.memory_bytes) == (701 * MIB, 700 * MIB)


def test_checkpoint_of_disks_alone_has_nothing_to_hash_and_no_memory() -> None:
    assert [each.kind for each in OF_DISKS.artifacts] == [ArtifactKind.DISK]
    assert (OF_DISKS.own_files, OF_DISKS.own_bytes, OF_DISKS.memory_bytes) == ((), 0, 0)
    assert (OF_DISKS.unhashed, OF_DISKS.directory) == (False, DIRECTORY)
    assert checkpoint(memory=memory_image(sha256=None)).unhashed


# --------------------------------------------------------------------------- is it what it was?


def test_checkpoint_of_disks_alone_relies_on_its_layers_alone() -> None:
    assert relied_on(OF_DISKS, CHAINS) == [BASE]
    check_files(OF_DISKS, CHAINS, seen_of(OF_DISKS, CHAINS))
    (found,) = damage(OF_DISKS, CHAINS, seen_of(OF_DISKS, CHAINS, facts={BASE: None}))
    assert found.path == BASE


def test_sidecar_is_relied_on_and_undamaged_as_recorded() -> None:
    assert relied_on(WITH_SIDECAR, CHAINS) == [MEMORY, NVRAM.path, BASE]
    check_files(WITH_SIDECAR, CHAINS, seen_of(WITH_SIDECAR, CHAINS))


@pytest.mark.parametrize("physical", [None, MIB - 1], ids=["missing", "cut"])
def test_damaged_sidecar_is_named(physical: int | None) -> None:
    now = None if physical is None else file_facts(NVRAM.path, physical=physical)
    with pytest.raises(IntegrityError) as refused:
        check_files(WITH_SIDECAR, CHAINS, seen_of(WITH_SIDECAR, CHAINS, facts={NVRAM.path: now}))
    problem = "is missing" if physical is None else f"has {MIB - 1} bytes, not {MIB}"
    assert refused.value.problem == f"the file {NVRAM.path} {problem}"


def test_sidecar_that_was_hashed_is_compared() -> None:
    made = checkpoint(sidecars=(replace(NVRAM, sha256="ab" * 32),))
    (found,) = damage(made, CHAINS, seen_of(made, CHAINS, hashes={NVRAM.path: "cd" * 32}))
    assert found.path == NVRAM.path


# --------------------------------------------------------------------------- what operations do with it


def test_delete_takes_the_sidecars_along() -> None:
    plan = plan_delete(NEXT, delete_facts(checkpoint=WITH_SIDECAR))
    assert (plan.memory_path, plan.sidecars, plan.files) == (MEMORY, (NVRAM.path,), (MEMORY, NVRAM.path))
    assert plan.made == (CLEAN, [MEMORY, NVRAM.path])
    assert plan.freed_bytes == 701 * MIB


def test_delete_of_disks_alone_deletes_no_memory_image() -> None:
    plan = plan_delete(NEXT, delete_facts(checkpoint=OF_DISKS))
    assert (plan.memory_path, plan.files, plan.directory, plan.freed_bytes) == (None, (), DIRECTORY, 0)
    assert plan.lines() == ["this frees 0.0 MiB"]


def test_rollback_to_disks_alone_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="clean has no memory image"):
        plan_rollback(NEXT, After.AS_SAVED, rollback_facts(checkpoint=OF_DISKS))


def test_checkpoint_may_have_another_id_than_its_operation() -> None:
    """As when one operation makes several: files are found by the operation, which has the directory."""
    made = checkpoint(id=NEXT, operation_id=CLEAN)
    assert plan_delete(NEXT, delete_facts(checkpoint=made)).made == (CLEAN, [MEMORY])
    assert plan_rollback(CLEAN, After.AS_SAVED, rollback_facts(checkpoint=made)).checkpoint_id == NEXT


# --------------------------------------------------------------------------- what its directory says


def _directory(made: manifest.Manifest, *names: str) -> Directory:
    files = tuple(file_facts(f"{DIRECTORY}/{name}") for name in ("manifest.json", *names))
    return Directory(path=DIRECTORY, mode=0o711, files=files, manifest=made)


def _begun(stands_on: str) -> manifest.Manifest:
    plan = plan_checkpoint(checkpoint_request(operation_id=CLEAN), checkpoint_facts())
    return begun_manifest(plan, stands_on, CREATED, (stands_on,))


@pytest.mark.parametrize("made", [WITH_SIDECAR, OF_DISKS, checkpoint(id=NEXT, operation_id=CLEAN)])
def test_manifest_of_any_checkpoint_is_read_as_it_was_written(made: Checkpoint) -> None:
    whole = manifest.with_checkpoint(_begun(made.id), made, None, [[layer()]])
    assert manifest.decode(manifest.encode(whole), DIRECTORY) == whole
    assert whole.record is not None
    assert whole.record.files == {*made.own_files, BASE}
    assert bool(whole.record.checkpoint.origin.domain_xml) == (made.memory is None)


def test_directory_has_a_checkpoint_when_all_that_it_alone_has_is_there() -> None:
    whole = manifest.with_checkpoint(_begun(CLEAN), WITH_SIDECAR, None, [[layer()]])
    assert _directory(whole, "memory.save", "nvram.sidecar").has_checkpoint
    assert not _directory(whole, "memory.save").has_checkpoint
    assert not _directory(whole, "nvram.sidecar").has_checkpoint
    of_disks = manifest.with_checkpoint(_begun(CLEAN), OF_DISKS, None, [[layer()]])
    assert _directory(of_disks).has_checkpoint
    assert not _directory(_begun(CLEAN), "memory.save").has_checkpoint


def test_overlay_of_a_checkpoint_is_in_its_operation_s_directory() -> None:
    assert [each.path for each in _begun(CLEAN).overlays] == [in_store(CLEAN, "vda.qcow2")]
