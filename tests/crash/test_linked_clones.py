"""Other domains stand on layers of the store: nothing that somebody stands on goes (order rule 13)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import Refused
from orchestrator.formats import domainxml
from orchestrator.model import Source
from orchestrator.reports.doctor import orphans
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import Guest, qcow2
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES

CLONE = f"{IMAGES}/clone.qcow2"


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with the checkpoints `a` and `b`, of which it stands on `b`."""
    host = TwinHost(quick_directory / f"{abs(hash(request.node.name))}.sqlite", disks=1)
    host.checkpoint("a")
    host.checkpoint("b")
    yield host
    host.close()


def layer_of(host: TwinHost, name: str) -> str:
    (found,) = (each for each in host.checkpoints() if each.labels.name == name)
    return found.layers["vda"].path


def top(host: TwinHost) -> str:
    return host.guest.machine.tops()["vda"]


def overlay(host: TwinHost, backing: str, path: str = CLONE) -> str:
    host.world.files.put(path, Image(capacity=CAPACITY, backing=backing, backing_format="qcow2"))
    return path


def use(host: TwinHost, path: str, *, runs: bool = False, image_format: str = "qcow2") -> Guest:
    """A domain of somebody that has the file as its disk."""
    other = host.world.add("other")
    source = Source(path=path, format=image_format)
    host.world.define(domainxml.on_disks(other.machine.persistent_xml or "", {"vda": source}))
    return other.start() if runs else other


def files(host: TwinHost) -> set[str]:
    return set(host.world.files.files)


def delete_b(session: Coordinator) -> object:
    return session.delete("web01", ["b"], collapse=False)


def rollback_a(session: Coordinator) -> object:
    return session.rollback("web01", "a")


@pytest.fixture
def leaf(host: TwinHost) -> str:
    """The layer that only `b` needs: the guest is back at `a`."""
    host.rollback("a")
    return layer_of(host, "b")


@pytest.mark.parametrize("runs", [True, False])
def test_delete_clone_on_its_layer_keeps_the_layer_and_names_the_clone(host: TwinHost, leaf: str, runs: bool) -> None:
    clone = use(host, overlay(host, leaf), runs=runs)

    plan = host.session().plan_delete("web01", ["b"])
    (outcome, *_) = host.session().delete("web01", ["b"])

    assert any(line.startswith(f"keep {leaf}: other uses it for its disk vda") for line in plan.plans[0].lines())
    assert outcome.note == f"{leaf} was kept: other uses it for its disk vda"
    assert [each.name for each in host.session().list()] == ["a"]
    assert leaf in files(host)
    (clone if runs else clone.start()).read("vda")


@pytest.mark.parametrize("runs", [True, False])
def test_rollback_clone_on_what_it_discards_keeps_that(host: TwinHost, runs: bool) -> None:
    discarded = top(host)
    if runs:
        host.guest.shut_down()
    clone = use(host, overlay(host, discarded), runs=runs)

    outcome = host.session().rollback("web01", "a")

    assert outcome.note == f"{discarded} was kept: other uses it for its disk vda"
    assert host.counter == host.counters["a"]
    (clone if runs else clone.start()).read("vda")


def test_rollback_clone_defined_after_the_plan_keeps_its_base(host: TwinHost) -> None:
    session, discarded = host.session(), top(host)
    plan = session.plan_rollback("web01", "a")
    use(host, overlay(host, discarded))

    outcome = session.execute(plan)

    assert discarded in files(host)
    assert outcome.note is not None and "other uses it" in outcome.note


def test_delete_clone_defined_after_the_plan_keeps_its_base(host: TwinHost, leaf: str) -> None:
    session = host.session()
    plan = session.plan_delete("web01", ["b"])
    use(host, overlay(host, leaf))

    (outcome,) = session.execute(plan)

    assert leaf in files(host)
    assert outcome.note is not None and "other uses it" in outcome.note


def test_rollback_clone_of_a_clone_keeps_the_base_of_both(host: TwinHost) -> None:
    discarded = top(host)
    use(host, overlay(host, overlay(host, discarded, f"{IMAGES}/between.qcow2")))

    host.session().rollback("web01", "a")

    assert discarded in files(host)


def test_rollback_kept_layer_keeps_what_is_below_it(host: TwinHost) -> None:
    """What another catalog made in the store names only the layer right below it."""
    discarded, below = top(host), layer_of(host, "b")
    host.session().delete("web01", ["b"], collapse=False)
    directory = f"{STORE}/{uuid4()}/{uuid4()}"
    host.world.files.make_directory(directory)
    overlay(host, discarded, f"{directory}/vda.qcow2")

    outcome = host.session().rollback("web01", "a")

    assert {discarded, below} <= files(host)
    assert outcome.note is not None and f"a file in {directory}, which is not in the catalog" in outcome.note


@pytest.mark.parametrize("act", [delete_b, rollback_a])
@pytest.mark.parametrize("call", ["remove", "forget_layers", "withdraw_discards"])
def test_recover_killed_while_a_clone_stands_on_what_goes_keeps_its_base(
    host: TwinHost, act: Callable[[Coordinator], object], call: str
) -> None:
    if act is delete_b:
        host.rollback("a")
    base = layer_of(host, "b") if act is delete_b else top(host)
    clone = use(host, overlay(host, base))

    try:
        act(host.session(CallInjector(Fault(Call(call, 1), Kind.KILLED))))
    except Killed:
        host.expire_leases()
    recovered = host.session().recover()

    assert base in files(host)
    assert all("other uses it" in each.detail for each in recovered)
    assert not host.session().unfinished()
    clone.start().read("vda")


@pytest.mark.parametrize("runs", [True, False])
def test_collapse_clone_on_an_absorbed_layer_is_deferred(host: TwinHost, runs: bool) -> None:
    host.checkpoint("c")
    host.guest.shut_down()
    absorbed = layer_of(host, "b")
    clone = use(host, overlay(host, absorbed), runs=runs)
    before = files(host)

    host.session().delete("web01", ["b"])
    waiting = host.session().plan_collapse("web01").postponed

    assert absorbed in files(host)
    assert [each.reason.endswith("other uses it for its disk vda") for each in waiting] == [True]
    assert before - files(host) == {path for path in before if path.endswith("memory.save")} - files(host)
    (clone if runs else clone.start()).read("vda")


def test_collapse_clone_defined_after_the_plan_is_refused(host: TwinHost) -> None:
    host.checkpoint("c")
    host.guest.shut_down()
    session = host.session()
    session.delete("web01", ["b"], collapse=False)
    plan = session.plan_collapse("web01")
    (planned,) = plan.plans
    use(host, overlay(host, planned.layer.path))

    with pytest.raises(Refused, match="other uses it"):
        session.execute(planned)

    assert set(planned.drops) <= files(host)


def test_flatten_clone_on_what_it_no_longer_needs_keeps_that(host: TwinHost) -> None:
    session = host.session()
    session.delete("web01", ["b"], collapse=False)
    used = host.world.files.image(top(host)).backing
    assert used is not None
    use(host, overlay(host, used))

    (outcome,) = session.flatten("web01")

    assert used in files(host)
    assert outcome.note is not None and "other uses it" in outcome.note


def test_delete_checkpoint_that_only_the_store_knows_keeps_what_it_stands_on(host: TwinHost, leaf: str) -> None:
    """The catalog is restored from a backup: it does not know a checkpoint that was created since."""
    host.keep()
    kept = host.file.with_suffix(".kept")
    host.session().rollback("web01", "b")
    host.checkpoint("new")
    host.session().rollback("web01", "a")
    new = layer_of(host, "new")
    with closing(sqlite3.connect(kept)) as old, closing(sqlite3.connect(host.file)) as now:
        old.backup(now)

    (outcome,) = host.session().delete("web01", ["b"], collapse=False)

    assert {leaf, new} <= files(host)
    assert outcome.note is not None and "web01/new, which is not in the catalog, needs it" in outcome.note


def test_rollback_header_that_a_guest_wrote_is_not_followed(host: TwinHost) -> None:
    """On a raw disk, a guest may write what looks like an overlay on a file of ours."""
    discarded = top(host)
    fake = host.world.files.image(overlay(host, discarded))
    assert fake.bytes().startswith(qcow2.head(CAPACITY, discarded, "qcow2")[:64])
    use(host, CLONE, image_format="raw")

    outcome = host.session().rollback("web01", "a")

    assert outcome.note is None
    assert discarded not in files(host)


def test_delete_another_domains_commit_took_the_marked_layer_does_not_stay_open(host: TwinHost, leaf: str) -> None:
    """A clone is checkpointed between the mark and the removal: its checkpoint keeps the layer."""
    clone = use(host, overlay(host, leaf), runs=True)

    def checkpoint_of_clone() -> None:
        host.session().checkpoint("other", "mine")

    session = host.session(At("withdraw_discards", checkpoint_of_clone))
    session.delete("web01", ["b"], collapse=False)

    assert not host.session().unfinished()
    assert leaf in files(host)
    host.session().rollback("other", "mine")
    clone.read("vda")
    assert not host.session().verify("other").damaged


def test_delete_row_needed_after_its_file_went_closes_all_the_same(host: TwinHost, leaf: str) -> None:
    """Should another commit come in the very moment of the removal, the operation does not stay open for ever."""

    def stand_on_it() -> None:
        with sqlite3.connect(host.file) as catalog:
            (row,) = catalog.execute("SELECT id FROM layer WHERE path = ?", (leaf,)).fetchone()
            catalog.execute(
                "INSERT INTO layer (host_uuid, path, domain_uuid, target, format, capacity, kind, backing_id) "
                "SELECT host_uuid, '/images/x.qcow2', domain_uuid, target, format, capacity, kind, ? FROM layer "
                "WHERE id = ?",
                (row, row),
            )
        catalog.close()

    host.session(At("forget_layers", stand_on_it)).delete("web01", ["b"], collapse=False)

    assert not host.session().unfinished()


# --------------------------------------------------------------------------- doctor --clean


def test_doctor_clean_layer_that_was_kept_goes_once_nothing_uses_it(host: TwinHost) -> None:
    discarded = top(host)
    clone = use(host, overlay(host, discarded))
    host.session().rollback("web01", "a")

    (kept,) = [each for each in host.session().doctor(clean=True) if each.about == "layers"]
    assert kept.what.endswith("was discarded, and is kept: other uses it for its disk vda")
    assert discarded in files(host)
    clone.start().read("vda")
    clone.shut_down()

    del host.world.machines[clone.uuid]
    host.world.files.remove(CLONE)
    (found,) = [each for each in host.session().doctor() if each.about == "layers"]
    assert found.advice == "snapctl doctor --clean"
    assert host.session().plan_cleaning().layers == (discarded,)
    host.session().doctor(clean=True)
    assert discarded not in files(host)
    host.check()
    host.check_rollbacks()


def test_doctor_clean_clone_made_in_the_last_moment_keeps_the_layer(host: TwinHost) -> None:
    discarded = top(host)
    clone = use(host, overlay(host, discarded))
    host.session().rollback("web01", "a")
    definition = clone.machine.persistent_xml or ""
    del host.world.machines[clone.uuid]
    agreed = host.session().plan_cleaning()
    assert agreed.layers == (discarded,)

    host.session(At("disks", lambda: host.world.define(definition))).doctor(clean=True, agreed=agreed)

    assert discarded in files(host)


@pytest.mark.parametrize("away", ["undefined", "transient and off", "defined"])
def test_doctor_clean_of_a_new_catalog_keeps_all_that_has_data(
    host: TwinHost, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner lost the catalog, or another user looks: the guest's present disk is not a leftover."""
    monkeypatch.setattr(orphans, "SETTLED_AFTER", timedelta(0))
    host.rollback("a")
    host.guest.shut_down()
    if away != "defined":
        del host.world.machines[host.guest.uuid]
    before = files(host)
    with sqlite3.connect(host.file) as catalog:
        for table in ("head_disk", "head", "artifact", "checkpoint_document", "checkpoint"):
            catalog.execute(f"DELETE FROM {table}")  # noqa: S608 - of our own
        catalog.execute("UPDATE layer SET backing_id = NULL")
        catalog.execute("DELETE FROM layer")
    catalog.close()

    found = host.session().doctor(clean=True)

    assert files(host) == before
    assert any("there is data in vda.qcow2" in each.what and "pool-create-as" in each.advice for each in found)


class At(CallInjector):
    """Something happens right before a call, once."""

    def __init__(self, name: str, what: Callable[[], object]) -> None:
        super().__init__()
        self._due_at, self._what = name, what

    def call(self, name: str, port_error: type[Exception], act: Callable[[], object]) -> object:
        if name == self._due_at:
            self._due_at = ""
            self._what()
        return super().call(name, port_error, act)
