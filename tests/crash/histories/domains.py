"""The domains at the beginning of a history: three that have a past, made once and copied for each history."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.formats import domainxml
from orchestrator.model import Device, Disk, Source
from tests.crash.twin_host import STORE
from tests.twin import Guest, TwinHypervisor, World
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES

WEB = "web"  # one disk, a linked clone; a tree of checkpoints
DB = "db"  # two disks and a CD-ROM; one checkpoint
CI = "ci"  # transient, a linked clone of the same base; no checkpoint
DOMAINS = (WEB, DB, CI)
TRANSIENT = CI

PLACES = 4
"""Where a guest leaves its number beside, in turn: so that layers in the middle hold what no other one has."""

GOLDEN = f"{IMAGES}/golden.qcow2"
CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


@dataclass(frozen=True)
class Past:
    world: World
    catalog: bytes


def begin(catalog: Path) -> World:
    """A world of its own, and its catalog in that file."""
    past = _past()
    catalog.touch(mode=0o600)
    catalog.write_bytes(past.catalog)
    return deepcopy(past.world)


@cache
def _past() -> Past:
    world = World()
    world.files.put(GOLDEN, Image(capacity=CAPACITY))
    _clone(world, WEB)
    world.add(DB, disks=2, others=[CDROM])
    _clone(world, CI)
    hypervisor = TwinHypervisor(world)
    for domain in DOMAINS:
        _work(hypervisor.guest(domain).start())
    world.machine(hypervisor.guest(CI).uuid).persistent_xml = None
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "catalog.sqlite"
        with Coordinator(hypervisor, open_catalog(f"sqlite:///{file}", world.host), store=STORE) as snapctl:
            for name in ("a", "b", "d"):
                snapctl.checkpoint(WEB, name)
                _work(hypervisor.guest(WEB))
            snapctl.rollback(WEB, "a")
            _work(hypervisor.guest(WEB), 7)
            snapctl.checkpoint(WEB, "c")
            snapctl.checkpoint(DB, "a")
        with closing(sqlite3.connect(file)) as database:
            return Past(world, database.serialize())


def _work(guest: Guest, times: int = 1) -> None:
    guest.leave(f"place {guest.tick(times) % PLACES}")


def _clone(world: World, name: str) -> None:
    """A domain whose one disk stands on the base that it shares with others."""
    machine = world.add(name).machine
    path = f"{IMAGES}/{name}.qcow2"
    world.files.put(path, Image(capacity=CAPACITY, backing=GOLDEN, backing_format="qcow2"))
    world.define(domainxml.on_disks(machine.persistent_xml or "", {"vda": Source(path=path, format="qcow2")}))
