"""One client's connection to a `World`."""

from __future__ import annotations

from orchestrator.model import Host

from .domains import TwinDomains
from .guest import Guest
from .storage import TwinStorage
from .world import World


class TwinHypervisor:
    """Implements `ports.Hypervisor`. Another client is another one of these, on the same world."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self._domains = TwinDomains(self.world)
        self._storage = TwinStorage(self.world)

    @property
    def host(self) -> Host:
        return self.world.host

    @property
    def domains(self) -> TwinDomains:
        return self._domains

    @property
    def storage(self) -> TwinStorage:
        return self._storage

    def close(self) -> None:
        """Nothing is held."""

    def guest(self, name: str) -> Guest:
        """What runs inside the machine of that name."""
        return Guest(self.world, next(each for each in self.world.machines.values() if each.name == name))
