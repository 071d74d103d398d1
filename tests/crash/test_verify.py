"""verify on the in-memory hypervisor: what it finds, whom it marks, and what takes a mark away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import EnvironmentLacks, IntegrityError, NotFound, UsageError
from orchestrator.formats.domainxml import on_disks
from orchestrator.model import Checkpoint, FileInfo, Source, VerifyReport
from tests.checkpoints import memory_of
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import TwinHypervisor
from tests.twin.files import Image
from tests.twin.world import CAPACITY


class Pair(TwinHost):
    """A guest with the checkpoints `a` and, on it, `b`."""

    def of(self, name: str) -> Checkpoint:
        return self.session().show("web01", name).checkpoint

    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.session().list("web01")}

    def verify(self, name: str | None = None, *, deep: bool = False) -> VerifyReport:
        return self.session().verify("web01", name, deep=deep)

    def layer(self, name: str) -> str:
        """The layer of vda that a checkpoint froze."""
        return self.of(name).layers["vda"].path

    def change_memory(self, name: str, old: bytes, new: bytes) -> None:
        file = self.world.files[memory_of(self.of(name)).path]
        assert len(old) == len(new) and file.content.count(old) == 1
        file.content = file.content.replace(old, new)

    def change_content(self, path: str, value: int) -> int:
        """Change what an image holds, but neither its length nor its time; returns what it held."""
        data = self.world.files.image(path).data
        was, data["counter"] = data["counter"], value
        return was


@pytest.fixture
def pair(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(quick_directory / f"{request.node.name}.sqlite")
    pair.checkpoint("a")
    pair.checkpoint("b")
    yield pair
    pair.close()


def lost(report: VerifyReport) -> dict[str, set[str]]:
    """What is lost by each file that is damaged."""
    return {found.path: set(found.lost) for verdict in report.checkpoints for found in verdict.findings}


BOTH = {"web01/a", "web01/b"}


def test_verify_sound_checkpoints_finds_nothing(pair: Pair) -> None:
    report = pair.verify()

    assert [(verdict.name, verdict.sound) for verdict in report.checkpoints] == [("a", True), ("b", True)]
    assert (report.damaged, report.read_bytes) == ((), 0)
    assert pair.states() == {"a": "ready", "b": "ready"}


def test_verify_deep_reads_each_file_once(pair: Pair) -> None:
    chains = [pair._catalog.chain(layer.path) for layer in pair.of("b").layers.values()]
    files = {
        memory_of(pair.of("a")).path,
        memory_of(pair.of("b")).path,
        *(each.path for chain in chains for each in chain),
    }

    assert len(files) == 6
    assert pair.verify(deep=True).read_bytes == sum(len(pair.world.files[path].bytes()) for path in files)


def test_verify_damaged_memory_image_concerns_one_checkpoint(pair: Pair) -> None:
    memory = pair.world.files[memory_of(pair.of("a")).path]
    whole, memory.content = memory.content, memory.content[:-1]

    assert lost(pair.verify()) == {memory_of(pair.of("a")).path: {"web01/a"}}
    assert pair.states() == {"a": "damaged", "b": "ready"}
    with pytest.raises(IntegrityError, match="checkpoint a is marked as damaged"):
        pair.rollback("a")
    pair.rollback("b")

    memory.content = whole
    with pytest.raises(IntegrityError, match="checkpoint a is marked as damaged"):
        pair.rollback("a")
    assert not pair.verify("a").damaged
    pair.rollback("a")


def test_verify_damaged_layer_concerns_all_above_it(pair: Pair) -> None:
    """Also those that were not asked for."""
    base = pair.layer("a")
    pair.world.files.touch(base)

    report = pair.verify("a")

    assert [verdict.name for verdict in report.checkpoints] == ["a"]
    assert lost(report) == {base: BOTH}
    assert pair.states() == {"a": "damaged", "b": "damaged"}


def test_verify_damaged_layer_does_not_concern_those_below_it(pair: Pair) -> None:
    pair.world.files.touch(pair.layer("b"))

    assert lost(pair.verify()) == {pair.layer("b"): {"web01/b"}}
    assert pair.states() == {"a": "ready", "b": "damaged"}


def test_verify_damaged_shared_base_concerns_all_its_domains(pair: Pair) -> None:
    base, clone = pair.layer("a"), "/images/clone.qcow2"
    pair.world.files.put(clone, Image(capacity=CAPACITY, backing=base, backing_format="qcow2"))
    other = pair.world.add("web02")
    pair.world.define(on_disks(other.machine.persistent_xml or "", {"vda": Source(path=clone, format="qcow2")}))
    other.start().tick()
    pair.session().checkpoint("web02", "theirs")
    assert not pair.session().verify().damaged

    pair.world.files.touch(base)

    assert lost(pair.verify("a")) == {base: {*BOTH, "web02/theirs"}}
    assert [each.state for each in pair.session().list("web02")] == ["damaged"]


# --------------------------------------------------------------------------- quick and deep


def test_verify_deep_content_changed_under_same_facts_is_found(pair: Pair) -> None:
    """From the second deep look on: the first one has nothing to compare with."""
    base = pair.layer("a")
    assert not pair.verify(deep=True).damaged
    was = pair.change_content(base, 999)

    assert not pair.verify().damaged
    assert lost(pair.verify(deep=True)) == {base: BOTH}
    assert lost(pair.verify()) == {base: BOTH}, "a quick look took away what it could not have seen"
    assert pair.states() == {"a": "damaged", "b": "damaged"}

    pair.change_content(base, was)
    assert not pair.verify().damaged
    assert pair.states() == {"a": "ready", "b": "ready"}


def test_verify_deep_damage_is_recorded_for_all_that_share_the_file(pair: Pair) -> None:
    """A new checkpoint, not marked yet, on a layer whose damage only a deep look sees."""
    pair.verify(deep=True)
    pair.change_content(pair.layer("a"), 999)
    pair.verify("a", deep=True)
    pair.checkpoint("c")

    assert pair.states()["c"] == "ready"
    assert [verdict.name for verdict in pair.verify().damaged] == ["a", "b", "c"]


def test_verify_deep_flipped_bit_in_memory_image_is_found(pair: Pair) -> None:
    pair.change_memory("a", b'{"counter": 1}', b'{"counter": 3}')

    assert not pair.verify().damaged
    assert lost(pair.verify(deep=True)) == {memory_of(pair.of("a")).path: {"web01/a"}}


def test_verify_deep_memory_image_never_hashed_is_hashed(pair: Pair) -> None:
    digest = memory_of(pair.of("a")).sha256
    with closing(sqlite3.connect(pair.file)) as database, database:
        database.execute(
            "UPDATE artifact SET sha256 = NULL WHERE kind = 'memory'"
            " AND checkpoint_id IN (SELECT id FROM checkpoint WHERE name = 'a')"
        )

    assert pair.states()["a"] == "unhashed"
    pair.verify("a")
    assert memory_of(pair.of("a")).sha256 is None
    pair.verify("a", deep=True)
    assert memory_of(pair.of("a")).sha256 == digest is not None


def test_verify_deep_damaged_file_records_no_hash(pair: Pair) -> None:
    pair.world.files.touch(pair.layer("a"))
    pair.verify(deep=True)

    assert pair.of("a").layers["vda"].sha256 is None
    assert pair.of("a").layers["vdb"].sha256 is not None


# --------------------------------------------------------------------------- code in the image


def test_rollback_image_with_another_emulator_is_refused(pair: Pair) -> None:
    pair.change_memory("a", b"/usr/bin/qemu-system-x86_64", b"/usr/bin/evil-system-x86_64")
    run = pair.guest.machine.run_id

    with pytest.raises(IntegrityError) as refused:
        pair.rollback("a")

    assert refused.value.problem.endswith(
        "was changed: its emulator is /usr/bin/evil-system-x86_64, not /usr/bin/qemu-system-x86_64"
    )
    assert pair.guest.machine.run_id == run
    assert lost(pair.verify()) == {memory_of(pair.of("a")).path: {"web01/a"}}


def test_verify_deep_two_images_exchanged_is_found(pair: Pair) -> None:
    """They are of one length, and each has a header, an XML and a hash that would do for the other."""
    a, b = memory_of(pair.of("a")).path, memory_of(pair.of("b")).path
    files = pair.world.files
    files[a].content = files[b].content[: len(files[a].content)].ljust(len(files[a].content), b"\0")

    assert a in lost(pair.verify(deep=True))


# --------------------------------------------------------------------------- who may write


def point_at_base(pair: Pair) -> None:
    """Another domain, switched off, that would write to the frozen layer when it is started."""
    other = pair.world.add("web02").machine
    pair.world.define(on_disks(other.persistent_xml or "", {"vda": Source(path=pair.layer("a"), format="qcow2")}))


def test_verify_frozen_layer_writable_by_another_domain_is_damaged(pair: Pair) -> None:
    base = pair.layer("a")
    point_at_base(pair)

    with pytest.raises(IntegrityError, match="web02 has it as its disk vda"):
        pair.rollback("b")
    report = pair.verify()
    assert lost(report) == {base: BOTH}
    assert pair.states() == {"a": "damaged", "b": "damaged"}

    (other,) = (machine for machine in pair.world.machines.values() if machine.name == "web02")
    del pair.world.machines[other.uuid]
    assert not pair.verify().damaged
    pair.rollback("b")


def test_rollback_own_xml_writes_to_frozen_layer_is_repointed(pair: Pair) -> None:
    """As when somebody defines it anew from a template that names the base image; verify says so."""
    machine = pair.guest.machine
    pair.world.define(on_disks(machine.persistent_xml or "", {"vda": Source(path=pair.layer("a"), format="qcow2")}))

    pair.rollback("a")
    pair.check()
    assert not pair.verify().damaged

    pair.world.define(on_disks(machine.persistent_xml or "", {"vda": Source(path=pair.layer("a"), format="qcow2")}))
    assert [verdict.name for verdict in pair.verify().damaged] == ["a", "b"]


# --------------------------------------------------------------------------- rollback --verify


def test_rollback_with_deep_verification_reads_everything_first(pair: Pair) -> None:
    pair.verify(deep=True)
    was = pair.change_content(pair.layer("a"), 999)
    run = pair.guest.machine.run_id

    with pytest.raises(IntegrityError, match="checkpoint b is marked as damaged"):
        pair.session().rollback("web01", "b", verify=True)

    assert pair.guest.machine.run_id == run
    assert pair.states() == {"a": "damaged", "b": "damaged"}
    pair.change_content(pair.layer("a"), was)
    pair.session().rollback("web01", "b", verify=True)
    assert pair.counter == pair.counters["b"]
    assert pair.states() == {"a": "damaged", "b": "ready"}


def test_rollback_with_deep_verification_flipped_bit_in_memory_image_is_refused(pair: Pair) -> None:
    """One that does not brings back a memory that never was (F2)."""
    pair.change_memory("a", b'{"counter": 1}', b'{"counter": 3}')
    pair.session().rollback("web01", "a")
    assert (pair.counter, pair.guest.agrees()) == (3, False)
    run = pair.guest.machine.run_id

    with pytest.raises(IntegrityError, match="checkpoint a is marked as damaged: the memory image"):
        pair.session().rollback("web01", "a", verify=True)

    assert pair.guest.machine.run_id == run
    pair.change_memory("a", b'{"counter": 3}', b'{"counter": 1}')
    pair.session().rollback("web01", "a", verify=True)
    assert (pair.counter, pair.guest.agrees()) == (1, True)


# --------------------------------------------------------------------------- at the same time


class InterferingHypervisor:
    """A hypervisor on which something happens before the facts of one file among others are told."""

    def __init__(self, pair: Pair, path: str, happens: Callable[[], object]) -> None:
        self._hypervisor = TwinHypervisor(pair.world)
        self._path = path
        self._happens: Callable[[], object] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hypervisor if name in ("host", "domains", "close") else self._hypervisor.storage, name)

    @property
    def storage(self) -> InterferingHypervisor:
        return self

    def stat_all(self, paths: Sequence[str]) -> dict[str, FileInfo | None]:
        if self._path in paths and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return self._hypervisor.storage.stat_all(paths)


def test_verify_checkpoint_deleted_during_scan_is_skipped(pair: Pair) -> None:
    pair.rollback("a")

    def delete() -> None:
        pair.session().delete("web01", ["b"])

    hypervisor: Any = InterferingHypervisor(pair, memory_of(pair.of("b")).path, delete)
    report = Coordinator(hypervisor, pair._catalog, store=STORE).verify("web01")

    assert [(verdict.name, verdict.sound) for verdict in report.checkpoints] == [("a", True)]
    assert pair.states() == {"a": "ready"}


def test_verify_unknown_checkpoint_or_missing_domain_is_refused(pair: Pair) -> None:
    with pytest.raises(NotFound, match="web01 has no checkpoint nope"):
        pair.verify("nope")
    with pytest.raises(UsageError, match="checkpoint a was given without its domain"):
        pair.session().verify(None, "a")


# --------------------------------------------------------------------------- what a file is, its time does not decide


def test_verify_layer_with_another_time_is_sound_if_its_content_is_what_it_was(pair: Pair) -> None:
    pair.verify(deep=True)  # which records the SHA-256
    path = pair.layer("a")
    pair.world.files.touch(path)  # as a copy, or a restore from a backup, leaves it
    with pytest.raises(IntegrityError, match="have its content compared"):
        pair.session().rollback("web01", "b")

    assert not pair.verify().damaged

    assert pair.of("a").layers["vda"].mtime == pair.world.files[path].stat(path).mtime
    assert pair.verify().read_bytes == 0
    pair.rollback("b")


@pytest.mark.parametrize("read", [True, False], ids=["content changed", "never read"])
def test_verify_layer_with_another_time_is_damaged_unless_its_content_is_known(pair: Pair, read: bool) -> None:
    path = pair.layer("a")
    if read:
        pair.verify(deep=True)
        pair.change_content(path, 0)
    pair.world.files.touch(path)

    damaged = pair.verify().damaged

    assert {verdict.name for verdict in damaged} == {"a", "b"}
    assert all("time of last change" in verdict.findings[0].problem for verdict in damaged)


@pytest.mark.parametrize("mount_point", [True, False])
def test_verify_store_that_is_not_there_marks_nothing(pair: Pair, mount_point: bool) -> None:
    """It is not mounted."""
    files = pair.world.files
    kept = dict(files.files), set(files.directories)
    files.files = {path: file for path, file in files.files.items() if not path.startswith(f"{STORE}/")}
    files.directories = {path for path in files.directories if not path.startswith(f"{STORE}/")}
    if not mount_point:
        files.directories.discard(STORE)

    with pytest.raises(EnvironmentLacks, match=f"the store {STORE} is missing or empty; no checkpoint was marked"):
        pair.verify()

    files.files, files.directories = kept
    assert pair.states() == {"a": "ready", "b": "ready"}
    assert not pair.verify().damaged
