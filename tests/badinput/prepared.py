"""A small world for a bad input to meet.

web01   two disks and a CD-ROM; stands on `other`, and rolling it back to `work` would succeed
          clean ─┬─ work
                 └─ other
web02   one disk; stands on its only checkpoint, `its`
web03   one disk on top of a base; never checkpointed
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.model import Device, Disk, Source
from tests.twin import World
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES
from tests.workstation import Workstation

BASE = f"{IMAGES}/base.qcow2"
CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


def prepared(home: Path) -> Workstation:
    """All that the module's text says."""
    station = Workstation(home, World())
    station.configure()
    _add(station.world, "web01", disks=2, others=[CDROM])
    _add(station.world, "web02")
    _add(station.world, "web03", base=BASE)
    with station.session() as session:
        session.checkpoint("web01", "clean")
        session.checkpoint("web01", "work")
        session.rollback("web01", "clean")
        session.checkpoint("web01", "other")
        session.checkpoint("web02", "its")
    return station


def _add(world: World, name: str, *, disks: int = 1, others: Sequence[Disk] = (), base: str | None = None) -> None:
    guest = world.add(name, disks=disks, others=others)
    if base is not None:
        world.files.put(base, Image(capacity=CAPACITY))
        top = world.files.image(f"{IMAGES}/{name}-vda.qcow2")
        top.backing, top.backing_format = base, "qcow2"
    guest.start().tick()
