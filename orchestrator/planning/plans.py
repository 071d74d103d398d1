"""Plans: what an operation will do, as values. Printed by `--dry-run`, stored in the journal, never edited."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import After, Disk, Head, Host, NewOverlay, is_made_by

MIB = 1024 * 1024
OVERLAY_SIZE = MIB
"""What a fresh overlay is reckoned to need: an empty qcow2 file takes 192 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPlan:
    """Save the memory of a running or paused domain and freeze its disks."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    run_id: int | None
    persistent: bool
    was_running: bool
    after: After
    name: str
    description: str
    tags: tuple[str, ...]
    head: Head | None  # where the domain stands now
    directory: str
    memory_path: str
    disks: tuple[Disk, ...]  # all disks as they are now
    overlays: tuple[NewOverlay, ...]  # one per writable disk, on top of its present source
    needed_bytes: int  # at most: the guest's whole memory
    domain_xml: str
    machine: str
    cpu: str
    emulator: str
    estimated_bytes: int | None = None  # rather than `needed_bytes`: what the guest's QEMU has resident
    free_bytes: int | None = None  # in the store, when this was planned

    @property
    def parent_id(self) -> str | None:
        return self.head.checkpoint_id if self.head else None

    @property
    def tops(self) -> dict[str, str]:
        """The layers that freeze, by target."""
        return {overlay.target: overlay.backing for overlay in self.overlays}

    def lines(self) -> list[str]:
        return [
            f"make {self.directory}",
            *(f"make overlay {overlay.path} on {overlay.backing}" for overlay in self.overlays),
            f"save the memory of {self.domain_name} to {self.memory_path} ({self._needs()})",
            *(f"freeze {overlay.backing} ({overlay.target})" for overlay in self.overlays),
            f"record checkpoint {self.name}",
            _what_becomes(self.domain_name, self.after, self.was_running),
        ]

    def _needs(self) -> str:
        needs = f"at most {self.needed_bytes // MIB} MiB"
        if self.estimated_bytes is not None:
            needs += f", probably {self.estimated_bytes // MIB} MiB"
        if self.free_bytes is not None:
            needs += f"; {self.free_bytes // MIB} MiB are free"
        return needs


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """Put a domain back to a checkpoint: storage first, then memory."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    run_id: int | None
    persistent: bool
    checkpoint_id: str
    checkpoint_name: str
    memory_path: str
    was_running: bool
    after: After
    directory: str
    overlays: tuple[NewOverlay, ...]  # on the checkpoint's frozen layers
    previous: tuple[Disk, ...]  # the writable disks as the domain has them now
    defined: tuple[Disk, ...]  # the same as its persistent XML has them
    head: Head | None  # where the domain stands now
    discards: tuple[str, ...] = ()  # files that hold the present state and are deleted at the end

    @property
    def previous_sources(self) -> dict[str, str | None]:
        return {disk.target: disk.path for disk in self.previous}

    def lines(self) -> list[str]:
        return [
            f"make {self.directory}",
            *(f"make overlay {overlay.path} on {overlay.backing}" for overlay in self.overlays),
            *([f"stop {self.domain_name}: its present memory is lost"] if self.run_id is not None else []),
            f"restore the memory of {self.domain_name} from {self.memory_path}",
            f"record that {self.domain_name} stands on {self.checkpoint_name}",
            _what_becomes(self.domain_name, self.after, self.was_running),
            *(f"delete {path}" for path in self.discards),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan:
    """Remove a checkpoint that nothing depends on."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    checkpoint_id: str
    checkpoint_name: str
    memory_path: str
    layers: tuple[str, ...]  # layers of ours that nothing needs then
    freed_bytes: int

    def lines(self) -> list[str]:
        return [f"delete {path}" for path in (self.memory_path, *self.layers)]


Plan = CheckpointPlan | RollbackPlan | DeletePlan


def misplaced(plan: Plan) -> list[str]:
    """The files that a plan would make or delete as our own, and that are not where those lie."""
    match plan:
        case CheckpointPlan():
            maker, files = plan.operation_id, [plan.memory_path, *(overlay.path for overlay in plan.overlays)]
        case RollbackPlan():
            maker, files = plan.operation_id, [overlay.path for overlay in plan.overlays]
        case DeletePlan():
            maker, files = plan.checkpoint_id, [plan.memory_path]
    return [path for path in files if not is_made_by(path, plan.domain_uuid, maker)]


def _what_becomes(domain: str, after: After, was_running: bool) -> str:
    match after:
        case After.STOP:
            return f"leave {domain} shut off"
        case After.PAUSE:
            return f"leave {domain} paused"
        case After.RESUME:
            return f"let {domain} run"
        case After.AS_SAVED:
            return f"let {domain} run" if was_running else f"leave {domain} paused, as it was"


def runs_after(after: After, was_running: bool) -> bool:
    return after is After.RESUME or (after is After.AS_SAVED and was_running)
