"""What the command line is tested on: two running guests with checkpoints, all by the command line itself.

web01   one disk on top of a base, and a CD-ROM drive that is empty
          base ─┬─ experiment (1.5 MiB of disk) ─── experiment-2
                └─ patched ─── before-test (it stands here)
db      one disk; stands on its only checkpoint, `empty`
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.model import Device, Disk
from tests.twin import World
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES
from tests.workstation import Workstation

KIB = 1024
IMAGE_BYTES = 96 * KIB
AGES = {
    "base": timedelta(days=3),
    "experiment": timedelta(hours=5),
    "experiment-2": timedelta(hours=4),
    "patched": timedelta(hours=2),
    "before-test": timedelta(minutes=3),
    "empty": timedelta(seconds=41),
}


def sample(home: Path) -> Workstation:
    station = Workstation(home, World())
    station.configure()
    world = station.world
    world.image_bytes = IMAGE_BYTES
    world.add("web01", others=[Disk(target="sda", device=Device.CDROM, readonly=True)])
    world.add("db")
    world.files.put(f"{IMAGES}/base.qcow2", Image(capacity=CAPACITY))
    top = world.files.image(f"{IMAGES}/web01-vda.qcow2")
    top.backing, top.backing_format = f"{IMAGES}/base.qcow2", "qcow2"
    for name in ("web01", "db"):
        station.guest(name).start().tick()
    for argv in (
        ["checkpoint", "web01", "base", "-t", "base", "-t", "debian", "-d", "fresh install"],
        ["checkpoint", "web01", "experiment"],
        ["checkpoint", "web01", "experiment-2"],
        ["rollback", "web01", "base", "-y"],
        ["checkpoint", "web01", "patched", "-d", "all updates of May"],
        ["checkpoint", "web01", "before-test"],
        ["checkpoint", "db", "empty"],
    ):
        assert station.main(*argv, "-q") == 0
        guest = station.guest(argv[1])
        guest.tick()
        if argv[2] == "base":
            for place in range(20 if argv[0] == "checkpoint" else 0):
                guest.leave(f"place-{place}")
    return station


def age(station: Workstation) -> None:
    """Let the checkpoints have been made at the times that a user would have made them."""
    now = datetime.now(UTC) - timedelta(seconds=1)
    for name, ago in AGES.items():
        station.sql(
            "UPDATE checkpoint SET created = ? WHERE name = ?", (now - ago).isoformat(timespec="microseconds"), name
        )


def mark_states(station: Workstation) -> None:
    """Let one be in the middle of its deletion, and another one not yet hashed, with nothing unfinished."""
    station.sql("UPDATE checkpoint SET state = 'deleting' WHERE name = 'experiment-2'")
    station.sql(
        "UPDATE artifact SET sha256 = NULL WHERE checkpoint_id = (SELECT id FROM checkpoint WHERE name = 'before-test')"
    )


def leave_unfinished(station: Workstation) -> None:
    """A rollback of web01 that ann began on another computer, and that was killed before it stopped the guest."""
    station.killed("stopped.before", "rollback", "web01", "patched", "-y")
    opened = (datetime.now(UTC) - timedelta(minutes=2, seconds=1)).isoformat(timespec="microseconds")
    station.sql("UPDATE operation SET owner_user = 'ann', owner_host = 'desk', owner_pid = 4711 WHERE state = 'open'")
    station.sql(
        "UPDATE operation SET opened = ?, lease_until = ?, owner_pid_start = 'of one that ended' WHERE state = 'open'",
        opened,
        opened,
    )
