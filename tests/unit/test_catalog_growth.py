"""What is asked about one domain must not cost more the more there are in the catalog.

The cost is counted in steps of SQLite's virtual machine, which are the same in every run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import event

from orchestrator.catalog import SqlCatalog
from orchestrator.catalog.database import Database
from orchestrator.catalog.leases import LeaseTimes
from orchestrator.model import Checkpoint, Host
from tests.checkpoints import memory_of
from tools.bench import generator

HOST = Host(uuid="host-1", name="hv1", uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.0")
DOMAIN = "guest000"
FEW, MANY = generator.PER_DOMAIN, 15 * generator.PER_DOMAIN
LAST = f"state-{FEW - 1:03}"  # of the few; among many it stands on as much, and no more stand on it
GRAIN = 10  # steps between two counts

Question: TypeAlias = Callable[[SqlCatalog, Checkpoint], object]

QUESTIONS: dict[str, Question] = {
    "checkpoint": lambda catalog, its: catalog.checkpoint(its.domain_uuid, its.name),
    "checkpoint_by_id": lambda catalog, its: catalog.checkpoint_by_id(its.id),
    "summaries": lambda catalog, its: catalog.summaries(its.domain_uuid),
    "summaries of one": lambda catalog, its: catalog.summaries(its.domain_uuid, its.name),
    "some_checkpoint": lambda catalog, its: catalog.some_checkpoint(its.domain_uuid),
    "ancestors": lambda catalog, its: catalog.ancestors(its.id),
    "child_names": lambda catalog, its: catalog.child_names(its.id),
    "head": lambda catalog, its: catalog.head(its.domain_uuid),
    "layer": lambda catalog, its: catalog.layer(its.layers["vda"].path),
    "chain": lambda catalog, its: catalog.chain(its.layers["vda"].path),
    "domain_uuid": lambda catalog, its: catalog.domain_uuid(DOMAIN),
    "known_paths": lambda catalog, its: catalog.known_paths(its.directory),
    "ready_names": lambda catalog, its: catalog.ready_names(its.domain_uuid, its.name),
    "relying_on a layer": lambda catalog, its: catalog.relying_on(its.layers["vda"].path),
    "relying_on an image": lambda catalog, its: catalog.relying_on(memory_of(its).path),
    "collapsible": lambda catalog, its: catalog.collapsible(its.domain_uuid, [its.layers["vda"].path]),
    "unsettled": lambda catalog, its: catalog.unsettled(),
    "inventory": lambda catalog, its: catalog.inventory(its.domain_uuid),
    "layers_freed_by": lambda catalog, its: catalog.layers_freed_by(its.id),
}

OF_ALL = {"summaries", "inventory"}
"""Those that are about all checkpoints of the domain."""


class Counted:
    """A catalog, and how many steps its questions took."""

    def __init__(self, url: str) -> None:
        database = Database(url)
        event.listen(database.engine, "connect", self._count_on)
        self.catalog = SqlCatalog(database, HOST, LeaseTimes(), timedelta(days=90))
        self._counts = 0

    def _count_on(self, connection: sqlite3.Connection, _: object) -> None:
        connection.set_progress_handler(self._count, GRAIN)

    def _count(self) -> int:
        self._counts += 1
        return 0  # go on

    def steps(self, question: Question) -> int:
        its = self.catalog.checkpoint(generator.uuid_of(DOMAIN), LAST)
        assert its is not None
        before = self._counts
        question(self.catalog, its)
        return (self._counts - before) * GRAIN


@contextmanager
def _filled(path: Path, checkpoints: int, *, own: bool = False) -> Iterator[Counted]:
    url = f"sqlite:///{path}"
    if own:
        generator.fill_one(url, HOST, checkpoints, name=DOMAIN, uuid=generator.uuid_of(DOMAIN))
    else:
        generator.fill(url, HOST, checkpoints)
    counted = Counted(url)
    with closing(counted.catalog._database):
        yield counted


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Counted, Counted]]:
    directory = tmp_path_factory.mktemp("growth")
    with _filled(directory / "few.sqlite", FEW) as few, _filled(directory / "many.sqlite", MANY) as many:
        yield few, many


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Counted, Counted]]:
    """All of one domain."""
    path = tmp_path_factory.mktemp("growth")
    with _filled(path / "few.sqlite", FEW, own=True) as few, _filled(path / "many.sqlite", MANY, own=True) as many:
        yield few, many


@pytest.mark.parametrize("name", sorted(QUESTIONS.keys() - OF_ALL))
def test_a_question_about_one_checkpoint_does_not_cost_more_beside_others_of_its_domain(
    own: tuple[Counted, Counted], name: str
) -> None:
    few, many = (each.steps(QUESTIONS[name]) for each in own)
    assert many <= 1.5 * few + 10 * GRAIN


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_about_one_domain_does_not_cost_more(catalogs: tuple[Counted, Counted], name: str) -> None:
    few, many = (each.steps(QUESTIONS[name]) for each in catalogs)
    assert many <= 1.5 * few + 10 * GRAIN


def test_steps_are_counted(catalogs: tuple[Counted, Counted]) -> None:
    few, many = (each.steps(lambda catalog, its: catalog.summaries()) for each in catalogs)
    assert many > 5 * few > 0
