"""A catalog that is rebuilt has the checkpoints of the lost one, with their parents, and the head: whatever was deleted
and flattened before, so that the backing files no longer tell what descends from what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from posixpath import dirname
from random import Random

import pytest

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Busy, NotFound, Refused
from orchestrator.integrity.file_users import find_users
from orchestrator.model import After
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
from tests.crash.test_between_steps import At
from tests.crash.test_foreign_acts import kill
from tests.crash.test_store_tells_all import everything
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import TwinHypervisor

HEADS = {
    "flattened": "+a flat",
    "deleted above a flattened layer": "+a +b flat -b",
    "rolled back, flattened and deleted": "+a flat +b >b flat -b",
    "kept, edited and flattened": "+a +b ~a !k flat",
    "nothing is left of its line": "+a +b >a -a",
    "no checkpoint is left": "+a -a",
    "no checkpoint is left, and it was flattened": "+a flat -a",
    "its last rollback can be undone": "+a ~a +b",
}
PARENTS = {
    "deleted above a flattened layer": "+a +b flat +c -b",
    "several deleted": "+a +b flat +c flat +d -b -c",
    "nothing is left above": "+a flat +b -a",
}


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    host = TwinHost(quick_directory / f"{abs(hash(request.node.name))}.sqlite")
    yield host
    host.close()


def play(host: TwinHost, moves: str) -> None:
    """`+a` checkpoint, `-a` delete, `>a` roll back, `~a` roll back and keep as k, `!a` edit, `flat` flatten."""
    acts: dict[str, Callable[[str], object]] = {
        "+": host.checkpoint,
        "-": lambda name: host.session().delete("web01", [name]),
        ">": host.rollback,
        "~": lambda name: keep(host, name, "k"),
        "!": lambda name: host.session().edit("web01", name, Edits(description="edited", tags=("t",))),
        "f": lambda _: host.session().flatten("web01"),
    }
    for move in moves.split():
        acts[move[0]](move[1:])
        host.guest.tick()


def keep(host: TwinHost, to: str, name: str) -> None:
    host.counters[name] = host.counter
    host.session().rollback("web01", to, keep_current=True, keep_name=name)


def lose_the_catalog(host: TwinHost) -> None:
    """The host continues with one that is rebuilt, which says the same."""
    lost, head = everything(host.session()), host.head()
    host.file = host.file.with_suffix(".rebuilt")
    catalog = open_catalog(f"sqlite:///{host.file}", host.world.host)
    with Coordinator(TwinHypervisor(host.world), catalog, store=STORE) as rebuilt:
        done = rebuilt.adopt_store()
    host._catalog = catalog
    assert (done.skipped, done.headless, done.unparented) == ((), (), ())
    assert everything(host.session()) == lost
    assert host.head() == head


@pytest.mark.parametrize("moves", HEADS.values(), ids=HEADS)
def test_rebuild_head_is_that_of_the_lost_catalog(host: TwinHost, moves: str) -> None:
    play(host, moves)
    lose_the_catalog(host)
    host.check()
    host.checkpoint("new")
    host.check()
    host.check_rollbacks()


@pytest.mark.parametrize("moves", PARENTS.values(), ids=PARENTS)
def test_rebuild_parents_are_those_of_the_lost_catalog(host: TwinHost, moves: str) -> None:
    play(host, moves)
    lose_the_catalog(host)
    host.check()
    host.check_rollbacks()


def test_rebuild_undo_takes_back_the_last_rollback(host: TwinHost) -> None:
    play(host, "+a ~a")
    lose_the_catalog(host)
    host.session().undo("web01")
    assert host.counter == host.counters["k"]


VERBS = ("checkpoint", "keep", "rollback", "delete", "delete", "edit", "flatten", "collapse", "undo", "lose")
some_seeds = [pytest.param(seed, marks=[pytest.mark.long] if seed > 7 else []) for seed in range(60)]


@pytest.mark.parametrize("seed", some_seeds)
def test_rebuild_any_tree_is_that_of_the_lost_catalog(host: TwinHost, seed: int) -> None:
    draw = Random(seed)
    for number in range(16):
        act = draw.choice(VERBS)
        try:
            do(host, act, number, draw)
        except (Refused, NotFound):  # such as to undo when nothing was rolled back
            continue
        host.check()
    lose_the_catalog(host)
    host.check_rollbacks()


def do(host: TwinHost, act: str, number: int, draw: Random) -> None:
    session = host.session()
    names = [each.name for each in session.list("web01")]
    if act == "checkpoint":
        host.checkpoint(f"c{number}")
    elif act == "flatten":
        session.flatten("web01")
    elif act == "collapse":
        session.collapse("web01")
    elif act == "undo":
        session.undo("web01")
    elif act == "lose":
        lose_the_catalog(host)
    elif names:
        name = draw.choice(names)
        if act == "keep":
            keep(host, name, f"k{number}")
        elif act == "rollback":
            host.rollback(name)
        elif act == "delete":
            session.delete("web01", [name], collapse=draw.random() < 0.7)
        elif act == "edit":
            session.edit("web01", name, Edits(description=f"d{number}", tags=(f"t{number}",)))


# --------------------------------------------------------------------------- an open operation is lost, too


@pytest.mark.parametrize("after", ["save", "define", "restore"])
def test_delete_catalog_lost_in_a_keep_spares_what_the_guest_was_saved_on(host: TwinHost, after: str) -> None:
    """The guest's former overlay is beside the memory image of `b`, which the rebuilt catalog knows, and is backed by
    what `b` froze. Nothing else refers to it: the guest is off, or on the overlays of the rollback."""
    play(host, "+a +b")
    saved, tops = host.counter, host.guest.machine.tops()
    kill(host, lambda session: session.rollback("web01", "a", keep_current=True, keep_name="k"), after=after)
    adopted(host).delete("web01", ["b"])
    are_as_saved(host, tops, saved)


def adopted(host: TwinHost) -> Coordinator:
    """The host continues with a new catalog."""
    host.file = host.file.with_suffix(".rebuilt")
    host._catalog = open_catalog(f"sqlite:///{host.file}", host.world.host)
    session = host.session()
    session.adopt_store()
    return session


def are_as_saved(host: TwinHost, tops: Mapping[str, str], saved: int) -> None:
    for top in tops.values():
        assert all(path in host.world.files.files for path in host.world.files.chain(top))
        assert host.world.files.read(top, "counter") == saved


@pytest.mark.parametrize("act", ["collapse", "flatten", "delete b", "rollback b"])
@pytest.mark.parametrize("after", ["define", "resume"])
def test_catalog_lost_in_a_checkpoint_keeps_what_the_guest_was_saved_on(host: TwinHost, after: str, act: str) -> None:
    """The guest's present overlay comes into the rebuilt catalog; its memory image beside that has no backing file, and
    needs all that the overlay was made on."""
    play(host, "+a +b")
    saved, tops = host.counter, host.guest.machine.tops()
    kill(host, lambda session: session.checkpoint("web01", "c"), after=after)
    session = adopted(host)
    with suppress(Refused):  # while the guest is off
        do_one(session, act)
    are_as_saved(host, tops, saved)


def do_one(session: Coordinator, act: str) -> None:
    verb, _, name = act.partition(" ")
    if verb == "delete":
        session.delete("web01", [name])
    elif verb == "rollback":
        session.rollback("web01", name)
    else:
        session.flatten("web01") if verb == "flatten" else session.collapse("web01")


def test_catalog_lost_in_a_checkpoint_its_directory_is_what_needs_the_layers(host: TwinHost) -> None:
    play(host, "+a +b")
    tops = host.guest.machine.tops()
    kill(host, lambda session: session.checkpoint("web01", "c"), after="resume")
    adopted(host)
    directory = dirname(host.guest.machine.tops()["vda"])
    users = find_users(TwinHypervisor(host.world), host._catalog, tops.values(), besides=[host._uuid])
    assert {path: user.name for path, user in users.items()} == dict.fromkeys(tops.values(), directory)


@pytest.mark.parametrize("after", ["destroy", "commit_rewrite", "deciding"])
def test_catalog_lost_in_a_collapse_its_checkpoints_are_sound(host: TwinHost, after: str) -> None:
    """The data of what `b` froze is in what `c` froze, and no manifest says so."""
    play(host, "+a +b +c")
    host.guest.shut_down()
    host.session().delete("web01", ["b"], collapse=False)
    kill(host, lambda session: session.collapse("web01"), after=after)
    session = adopted(host)
    assert not session.verify().damaged
    for name in "cac":
        host.session().rollback("web01", name)
        assert host.counter == host.counters[name]
        assert host.guest.agrees()


def test_catalog_lost_backing_file_exchanged_by_somebody_else_is_damage(host: TwinHost) -> None:
    """qemu-img rebase -u: what `b` froze was between the two."""
    for name in "abc":
        host.checkpoint(name)
    layer = host.session().show("web01", "c").checkpoint.layers["vda"]
    image = host.world.files.image(layer.path)
    image.backing = host.world.files.image(layer.backing or "").backing
    assert {each.name for each in adopted(host).verify().damaged} == {"c"}


# --------------------------------------------------------------------------- the owner is not gone


def another(host: TwinHost) -> Coordinator:
    catalog = open_catalog(f"sqlite:///{host.file.with_suffix('.another')}", host.world.host)
    return Coordinator(TwinHypervisor(host.world), catalog, store=STORE)


def test_adopt_owner_made_a_checkpoint_while_the_user_was_asked_is_refused(host: TwinHost) -> None:
    host.checkpoint("a")
    with another(host) as session:
        planned = session.plan_adoption()
        host.checkpoint("b")
        with pytest.raises(Refused, match="after the question was asked"):
            session.adopt_store(planned)
        assert session.list() == []
        host.checkpoint("c")  # the store is its owner's still
        session.adopt_store(session.plan_adoption())
        assert [each.name for each in session.list("web01")] == ["a", "b", "c"]


def test_adopt_owner_began_an_operation_while_the_user_was_asked_is_busy(host: TwinHost) -> None:
    host.checkpoint("a")
    with another(host) as session:
        planned = session.plan_adoption()

        def adopt() -> None:
            with pytest.raises(Busy, match="is in progress"):
                session.adopt_store(planned)

        host.counters["b"] = host.counter
        host.session(At("repointed.after", adopt)).checkpoint("web01", "b")
        assert session.list() == []
    host.check()


def test_adopt_guest_worked_while_the_user_was_asked(host: TwinHost) -> None:
    """That changes nothing of what was asked."""
    play(host, "+a +b >a")
    with another(host) as session:
        planned = session.plan_adoption()
        host.guest.tick(10)
        session.adopt_store(planned)
        assert [each.name for each in session.list("web01")] == ["a", "b"]


def test_prune_rebuilt_catalog_of_an_undefined_guest_keeps_the_newest(host: TwinHost) -> None:
    """It was saved and left off: nobody knows any more where it stood, and that may be all that is left of it."""
    play(host, "+a")
    host.session().checkpoint("web01", "b", after=After.STOP)
    host.world.undefine(host._uuid)
    host.file = host.file.with_suffix(".rebuilt")
    catalog = open_catalog(f"sqlite:///{host.file}", host.world.host)
    with Coordinator(TwinHypervisor(host.world), catalog, store=STORE) as rebuilt:
        rebuilt.adopt_store()
        report = rebuilt.prune("web01", Policy(keep_tags=("none",)))
    assert {each.checkpoint.name: each.kept for each in report.decisions} == {"a": False, "b": True}
