"""What guests and trees there are to act on: each operation, on each topology, as a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.coordinator import Coordinator
from orchestrator.model import Device, Disk, GuestState, OperationKind, Source
from orchestrator.operations.edit.plan import Edits
from tests.crash.twin_host import TwinHost

Act = Callable[[Coordinator], object]

CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


@dataclass(frozen=True)
class Topology:
    """A guest, and the names of its checkpoints: each on the one before, the last one not the guest's own."""

    name: str
    chain: str = "ab"
    disks: int = 2
    cdrom: bool = False
    paused: bool = False


TOPOLOGIES = (
    Topology("one disk", disks=1),
    Topology("two disks"),
    Topology("with CD-ROM", cdrom=True),
    Topology("paused guest", paused=True),
    Topology("at the root", chain="a"),
    Topology("deep in a tree", chain="abcd"),
)


@dataclass(frozen=True)
class Scenario:
    operation: str
    topology: Topology

    def __str__(self) -> str:
        return f"{self.operation}, {self.topology.name}"

    @property
    def state(self) -> GuestState:
        """Of the guest, before and afterwards, whatever happens."""
        return GuestState.PAUSED if self.topology.paused else GuestState.RUNNING

    @property
    def act(self) -> Act:
        leaf = self.topology.chain[-1]
        acts: dict[str, Act] = {
            "checkpoint": lambda session: session.checkpoint("web01", "new"),
            "rollback": lambda session: session.rollback("web01", leaf),
            "keeping-rollback": lambda session: session.rollback("web01", leaf, keep_current=True, keep_name="new"),
            "delete": lambda session: session.delete("web01", [leaf]),
            "collapse": lambda session: session.collapse("web01"),
            "flatten": lambda session: session.flatten("web01"),
            "edit": lambda session: session.edit(
                "web01", leaf, Edits(description="other", tags=("t",), protected=True)
            ),
        }
        return acts[self.operation]

    def prepare(self, catalog: Path) -> TwinHost:
        topology = self.topology
        host = TwinHost(catalog, disks=topology.disks, others=[CDROM] if topology.cdrom else [])
        if topology.paused:
            host.guest.suspend()
        makes_the_root = self.operation == "checkpoint" and topology.chain == "a"
        chain = "" if makes_the_root else topology.chain
        for name in chain:
            _checkpoint(host, name)
        if self.operation == "collapse":
            self._leave_to_be_collapsed(host)
        elif len(chain) > 1:
            host.session().rollback("web01", chain[-2])
        _work(host)
        host.counters["new"] = host.counter
        return host

    def _leave_to_be_collapsed(self, host: TwinHost) -> None:
        """Two layers that only one stands on: below a frozen one, or below the guest's own disks."""
        for name in ("gone", "gone too"):
            _checkpoint(host, name.replace(" ", "-"))
        if self.topology.chain != "a":
            _checkpoint(host, "above")
            host.session().rollback("web01", "a")
        host.session().delete("web01", ["gone", "gone-too"], collapse=False)


SCENARIOS = [
    Scenario(operation, topology)
    for operation in OperationKind  # so that a new one has faults from its first day
    for topology in TOPOLOGIES
]


def _checkpoint(host: TwinHost, name: str) -> None:
    _work(host)
    host.counters[name] = host.counter
    host.session().checkpoint("web01", name)


def _work(host: TwinHost) -> None:
    """Let the guest count on; a paused one for the length of a tick."""
    machine = host.guest.machine
    state, machine.state = machine.state, GuestState.RUNNING
    host.guest.tick()
    machine.state = state
