"""Plans: what an operation will do, as values. Printed by `--dry-run`, stored in the journal, never edited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from posixpath import join

from ..model import After, Disk, Head, Host, Labels, Layer, NewOverlay, Source, some, what_becomes
from ..store.layout import is_made_by

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
    depth: int = 0  # layers that the deepest disk has afterwards
    expires: datetime | None = None
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
            what_becomes(self.domain_name, self.after, self.was_running),
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
    kept_id: str | None = None  # the checkpoint in which the present state was kept

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
            what_becomes(self.domain_name, self.after, self.was_running),
            *(f"delete {path}" for path in self.discards),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan:
    """Remove a checkpoint: its memory image, and what layers nothing else needs."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    checkpoint_id: str
    checkpoint_name: str
    memory_path: str
    layers: tuple[str, ...]  # layers of ours that nothing needs then
    freed_bytes: int
    head: Head | None = None  # where the domain stands now
    sparing: bool = False  # not if it is protected
    stays: tuple[str, ...] = ()  # by disk: the nearest layer that something else needs, too
    needed_by: tuple[str, ...] = ()  # what that is

    def lines(self) -> list[str]:
        reason = f"needed by {some(self.needed_by)}" if self.needed_by else "something else stands on it"
        return [
            *(f"delete {path}" for path in (self.memory_path, *self.layers)),
            *(f"keep {path}: {reason}" for path in self.stays),
            f"that frees {self.freed_bytes / MIB:.1f} MiB",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapsePlan:
    """Pull the data of layers below one layer into it, so that it stands on `base`, and they can go.

    What a guest sees in the layer stays the same. `layer` is as the catalog had it before.
    """

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    layer: Layer
    drops: tuple[str, ...]  # the layers of ours between it and `base`, nearest first
    base: Source | None  # None: it will stand on nothing
    moved_bytes: int  # at most
    helper_xml: str  # of the domain that does it unless the layer is a running guest's own disk

    @property
    def base_path(self) -> str | None:
        return self.base.path if self.base else None

    def lines(self) -> list[str]:
        below = f"stand on {self.base.path}" if self.base else "stand on nothing"
        return [
            f"pull up to {self.moved_bytes // MIB} MiB into {self.layer.path}, and let it {below}",
            *(f"delete {path} unless something needs it" for path in self.drops),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPlan:
    """Say other things of a checkpoint; its files but for the manifest stay as they are."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    checkpoint_id: str
    directory: str  # the checkpoint's
    previous: Labels
    labels: Labels

    @property
    def manifest_path(self) -> str:
        return join(self.directory, "manifest.json")

    def lines(self) -> list[str]:
        changes = list(_changes(self.previous, self.labels)) or ["what is known already"]
        return [
            *(f"record of checkpoint {self.previous.name}: {change}" for change in changes),
            f"write {self.manifest_path}",
        ]


def _changes(before: Labels, after: Labels) -> Iterator[str]:
    if after.name != before.name:
        yield f"its name is {after.name}"
    if after.description != before.description:
        yield f"it is described as: {after.description}" if after.description else "it has no description"
    if after.tags != before.tags:
        yield f"its tags are {', '.join(after.tags)}" if after.tags else "it has no tags"
    if after.expires != before.expires:
        yield f"it expires at {after.expires:%Y-%m-%d %H:%M:%S UTC}" if after.expires else "it never expires"
    if after.protected != before.protected:
        yield "no prune removes it" if after.protected else "a prune may remove it"


Plan = CheckpointPlan | RollbackPlan | DeletePlan | CollapsePlan | EditPlan


def misplaced(plan: Plan) -> list[str]:
    """The files that a plan would make or delete as our own, and that are not where those lie."""
    match plan:
        case CheckpointPlan():
            maker, files = plan.operation_id, [plan.memory_path, *(overlay.path for overlay in plan.overlays)]
        case RollbackPlan():
            maker, files = plan.operation_id, [overlay.path for overlay in plan.overlays]
        case DeletePlan():
            maker, files = plan.checkpoint_id, [plan.memory_path]
        case CollapsePlan():
            maker, files = plan.layer.operation_id or "", [plan.layer.path]
        case EditPlan():
            maker, files = plan.checkpoint_id, [plan.manifest_path]
    return [path for path in files if not is_made_by(path, plan.domain_uuid, maker)]
