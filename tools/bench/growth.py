"""One guest's verbs while the catalog holds 1 … 10,000 other checkpoints: of other domains, or of its own.

In this process: what a command adds does not depend on the catalog. `list` and `tree` are of the guest's
domain, so with ten thousand of its own they have as much to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator import Coordinator
from orchestrator.cli.render.tree import tree, trees
from tests.box.connection import connect
from tools.bench import generator, snapctl
from tools.bench.aims import at_most_times
from tools.bench.groups import Group
from tools.bench.guests import Guest, Site
from tools.bench.rounds import Competitor, nothing, timed

FEW, MOST = 1, 10_000
OTHERS, OWN = "other domains", "its own"
SIZES = {OTHERS: (FEW, 100, 1_000, MOST), OWN: (FEW, MOST)}
ROUNDS = 2

SAVED, NOW, LOST = "saved", "now", "lost"
"""Marks: of the checkpoint that each round begins at, of the one that is made and deleted, and of what is lost."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A guest on its checkpoint `clean`, and the catalog that has so many other ones."""

    guest: Guest
    library: Coordinator
    size: int
    whose: str


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    with ExitStack() as stack:
        subjects = [_subject(site, stack, size, whose) for whose, sizes in SIZES.items() for size in sizes]
        yield [
            verb(subject) for verb in (_checkpoint, _list, _tree, _verify, _rollback, _delete) for subject in subjects
        ]


def _subject(site: Site, stack: ExitStack, size: int, whose: str) -> Subject:
    guest = stack.enter_context(site.guest(f"growth-{whose.replace(' ', '-')}-{size}"))
    catalog = site.catalog(guest.name)
    if whose is OWN:
        generator.fill_one(catalog, site.host, size, name=guest.name, uuid=_uuid(guest))
    else:
        generator.fill(catalog, site.host, size)
    library = stack.enter_context(snapctl.library(site.uri, catalog))
    guest.wake(SAVED)
    library.checkpoint(guest.name, "clean")
    guest.rest(SAVED)
    return Subject(guest, library, size, whose)


def _uuid(guest: Guest) -> str:
    with connect(guest.uri) as connection:
        uuid: str = connection.lookupByName(guest.name).UUIDString()
    return uuid


# --------------------------------------------------------------------------- the verbs, in the order of a round


def _checkpoint(subject: Subject) -> Competitor:
    guest, library = subject.guest, subject.library
    return Competitor(
        _row("checkpoint", subject.size, subject.whose),
        lambda: timed(lambda: library.checkpoint(guest.name, "new").downtime_s),
        ready=lambda: guest.wake(NOW),
        check=lambda: guest.rest(NOW),
    )


def _list(subject: Subject) -> Competitor:
    return _reading("list", subject, lambda: subject.library.list(subject.guest.name))


def _tree(subject: Subject) -> Competitor:
    def draw() -> object:
        checkpoints = subject.library.list(subject.guest.name)
        drawn = trees(checkpoints, subject.library.unfinished(subject.guest.name))
        return list(tree(drawn, datetime.now(UTC), terminal=80))

    return _reading("tree", subject, draw)


def _verify(subject: Subject) -> Competitor:
    def verify() -> None:
        if subject.library.verify(subject.guest.name, "new").damaged:
            raise AssertionError("a checkpoint that was just made is damaged")

    return _reading("verify", subject, verify)


def _rollback(subject: Subject) -> Competitor:
    guest, library = subject.guest, subject.library
    return Competitor(
        _row("rollback", subject.size, subject.whose),
        lambda: timed(lambda: library.rollback(guest.name, "clean").downtime_s),
        ready=lambda: guest.wake(LOST),
        check=lambda: guest.rest(SAVED),
    )


def _delete(subject: Subject) -> Competitor:
    return _reading("delete", subject, lambda: subject.library.delete(subject.guest.name, ["new"]))


def _reading(verb: str, subject: Subject, work: Callable[[], object]) -> Competitor:
    """One that the guest does not notice."""

    def run() -> None:
        work()

    return Competitor(_row(verb, subject.size, subject.whose), lambda: timed(run), ready=nothing)


def _row(verb: str, size: int, whose: str) -> str:
    return f"{verb}, {size:,} of {whose}"


def _first(row: str) -> str:
    verb, _, rest = row.partition(", ")
    return _row(verb, FEW, rest.partition(" of ")[2])


GROUP = Group(
    title="beside others in the catalog",
    reference=_first,
    competitors=competitors,
    aims=tuple(
        at_most_times(_row("rollback", MOST, whose), _row("rollback", FEW, whose), 1.2) for whose in (OTHERS, OWN)
    ),
    rounds=ROUNDS,
)
