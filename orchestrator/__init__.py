"""snapctl: coupled memory + storage checkpoints of libvirt guests.

The public names are `Coordinator` (open it, call its verbs), `settings.load()` (where it finds its
hypervisor and catalog), the values of `orchestrator.model` and the errors of `orchestrator.errors`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coordinator import Coordinator

__all__ = ["Coordinator"]


def __getattr__(name: str) -> Any:
    # Loaded on demand: `snapctl --version` needs neither libvirt nor SQLAlchemy.
    if name == "Coordinator":
        from .coordinator import Coordinator

        return Coordinator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
