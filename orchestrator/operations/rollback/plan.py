"""Plan a rollback, or refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import IntegrityError, Refused
from ...formats import domainxml
from ...formats.needs import Needs
from ...integrity.damage import check_files, is_acceptable, media_damage
from ...integrity.differences import Chains, Inspected
from ...model import (
    After,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    Disk,
    Domain,
    FileInfo,
    Head,
    Host,
    MemoryImage,
    NewOverlay,
    OperationKind,
    Outcome,
    Ran,
    Source,
    Stranger,
    what_becomes,
)
from ...store.layout import OVERLAY_SIZE, operation_directory, overlay_path, renamed_memory_path
from ...units import MIB
from ..shared.preflight import HostFacts, empty_drives, joined, obstacles, older_versions, refuse_obstacles, sampled
from ..shared.refusals import (
    refuse_busy,
    refuse_fixed_definition,
    refuse_fixed_disks,
    refuse_foreign_marks,
    refuse_strangers,
)
from .disk_set import changed_set, differences


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFacts:
    host: Host
    domain: Domain | None  # None: the hypervisor does not know it now (it was transient)
    checkpoint: Checkpoint
    head: Head | None
    chains: Chains
    seen: Inspected
    needs: Needs  # of the checkpoint's definition, the same as its image's
    found: HostFacts
    discards: tuple[str, ...]
    free_bytes: int
    store: str
    reserve_bytes: int = 0
    tops: Sequence[FileInfo] = ()  # the files that a guest writes to, of one that is off
    strangers: Sequence[Stranger] = ()  # of its present layers, those of another catalog
    namesake: str | None = None  # UUID of another domain that has the name under which this one would come back


def plan_rollback(
    operation_id: str,
    after: After,
    facts: RollbackFacts,
    *,
    force: bool = False,
    without_media: bool = False,
    kept_id: str | None = None,
) -> RollbackPlan:
    """With `force` in spite of what would make the restore fail; `without_media` with those drives empty whose media
    are missing or others. Nothing is discarded of what checkpoint `kept_id` keeps. Raises `Busy`, `Refused` or
    `IntegrityError`."""
    checkpoint, domain = facts.checkpoint, facts.domain
    if checkpoint.state is not CheckpointState.READY:
        raise Refused(f"checkpoint {checkpoint.name} is being deleted", hint=_another(checkpoint))
    if domain is not None:
        refuse_busy(domain)
        refuse_foreign_marks(domain)
        refuse_strangers(domain, facts.strangers)
    _refuse_namesake(checkpoint, facts.namesake)
    memory = _memory(checkpoint)
    ejected = _ejected(facts) if without_media else ()
    if not ejected or not _is_media_alone(facts, checkpoint.damage):
        _refuse_damaged(checkpoint, facts)
    check_files(checkpoint, facts.chains, facts.seen, [disk.path or "" for disk in ejected])
    if domain is not None:
        _refuse_frozen_disks(domain, checkpoint, facts.chains)
    name = domain.name if domain is not None else checkpoint.domain_name
    is_renamed = name != domainxml.definition(checkpoint.origin.domain_xml).name
    needed = len(checkpoint.layers) * OVERLAY_SIZE + (memory.size if is_renamed else 0)
    if facts.free_bytes < needed + facts.reserve_bytes:
        raise Refused(
            f"the store {facts.store} has {facts.free_bytes // MIB} MiB free, "
            f"a rollback needs {(needed + facts.reserve_bytes) // MIB} MiB",
            hint="delete checkpoints or enlarge the store",
        )
    directory = operation_directory(facts.store, checkpoint.domain_uuid, operation_id)
    overlays = tuple(
        NewOverlay(
            target=target,
            path=overlay_path(directory, target),
            backing=layer.path,
            backing_format=layer.format,
            capacity=layer.capacity,
        )
        for target, layer in checkpoint.layers.items()
    )
    saved = facts.seen.memory_xml(memory.path)
    refuse_fixed_disks(saved, overlays)
    change = changed_set(domain, checkpoint)
    if domain is not None:
        refuse_fixed_definition(change.applied_to(domain, saved), overlays, domain.name)
    emptied = [f"the drive {disk.target} will be empty, without {disk.path}" for disk in ejected]
    notes = [*_restorable(facts, force=force), *emptied, *sampled(checkpoint, facts.chains)]
    return RollbackPlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=name,
        run_id=domain.run_id if domain else None,
        persistent=domain is not None and domain.persistent,
        checkpoint_id=checkpoint.id,
        checkpoint_name=checkpoint.name,
        memory_path=memory.path,
        was_running=memory.was_running,
        after=after,
        directory=directory,
        overlays=overlays,
        previous=_tops(domain.disks) if domain else (),
        defined=_tops(domain.persistent_disks) if domain else (),
        head=facts.head,
        discards=facts.discards if kept_id is None else (),
        force=force,
        without_media=without_media,
        ejects=tuple(disk.target for disk in ejected),
        note=joined(notes),
        kept_id=kept_id,
        off_on=tuple((info.path, info.physical, info.mtime) for info in facts.tops),
        managed_save=domain is not None and domain.managed_save,
        defines=checkpoint.origin.persistent and (domain is None or not domain.persistent),
        returns=change.returns,
        leaves=change.leaves,
        definition=domain.persistent_xml if domain is not None and change else "",
        differs=differences(domain, checkpoint, facts.head),
        renamed_path=renamed_memory_path(directory) if is_renamed else None,
    )


def _restorable(facts: RollbackFacts, *, force: bool) -> list[str]:
    """What is to be known of the restore; refused if it is certain to fail."""
    found = obstacles(facts.checkpoint.domain_name, facts.needs, facts.found)
    missing = [path for path, file in facts.seen.files.items() if file is None]
    return [
        *refuse_obstacles(found, force=force),
        *empty_drives(facts.needs, missing),
        *older_versions(facts.checkpoint.origin, facts.host),
    ]


def _ejected(facts: RollbackFacts) -> tuple[CheckpointDisk, ...]:
    return tuple(disk for disk, _ in media_damage(facts.checkpoint, facts.seen) if disk.ejectable)


def _is_media_alone(facts: RollbackFacts, mark: str | None) -> bool:
    """Whether a mark of damage says nothing but what is wrong with media that can be left out now."""
    known = {problem for disk, problem in media_damage(facts.checkpoint, facts.seen) if disk.ejectable}
    return mark is not None and set(mark.split("; ")) <= known


def _tops(disks: Iterable[Disk]) -> tuple[Disk, ...]:
    """The writable ones without what is below them, which would make the plan as long as the chains are deep."""
    return tuple(replace(disk, backing=()) for disk in disks if disk.writable)


def _refuse_damaged(checkpoint: Checkpoint, facts: RollbackFacts) -> None:
    if checkpoint.damage is None:
        return
    verify = f"snapctl verify {checkpoint.domain_name} {checkpoint.name}"
    is_for_its_user = is_acceptable(checkpoint, facts.chains, facts.seen)
    raise IntegrityError(
        f"checkpoint {checkpoint.name} is marked as damaged: {checkpoint.damage}",
        hint=f"if its files are right: {verify} --accept" if is_for_its_user else f"repair it, then: {verify}",
    )


def _memory(checkpoint: Checkpoint) -> MemoryImage:
    if checkpoint.memory is None:
        raise Refused(
            f"checkpoint {checkpoint.name} has no memory image, which a rollback needs",
            hint=_another(checkpoint),
        )
    return checkpoint.memory


def _another(checkpoint: Checkpoint) -> str:
    return f"choose another one: snapctl list {checkpoint.domain_name}"


def _refuse_namesake(checkpoint: Checkpoint, other: str | None) -> None:
    if other is not None:
        raise Refused(
            f"another domain is named {checkpoint.domain_name} now, {other}",
            hint=f"rename that one: virsh domrename {checkpoint.domain_name} NEW-NAME",
        )


def _refuse_frozen_disks(domain: Domain, checkpoint: Checkpoint, chains: Chains) -> None:
    """A guest that was put back on a frozen layer may write to it until it is stopped."""
    frozen = {layer.path for chain in chains.values() for layer in chain}
    for target, path in domain.sources().items():
        if domain.active and path in frozen:
            raise Refused(
                f"disk {target} of {domain.name} is {path}, which checkpoint {checkpoint.name} needs unchanged",
                hint="shut it off first: if it wrote nothing there, a rollback is then possible",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """Roll a domain back to a checkpoint: storage first, then memory."""

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
    head: Head | None  # of the domain now
    discards: tuple[str, ...] = ()  # files that hold the present state and are deleted at the end
    force: bool = False  # in spite of what would make the restore fail
    without_media: bool = False  # the drives of missing or other media are to be empty
    ejects: tuple[str, ...] = ()  # these, by target
    note: str | None = None  # what its user should know
    kept_id: str | None = None  # the checkpoint in which the present state is kept
    off_on: tuple[tuple[str, int, str], ...] = ()  # path, length and mtime of its active layers, while a guest is off
    managed_save: bool = False  # libvirt has an image of its memory, which is part of the state that is discarded
    defines: bool = False  # it was undefined: the definition in the memory image is defined again
    returns: tuple[str, ...] = ()  # targets of disks that the persistent definition gets back
    leaves: tuple[str, ...] = ()  # targets of disks that go from it; their files stay
    definition: str = ""  # the persistent XML as it was, without secrets, if its set of disks changes
    differs: tuple[str, ...] = ()  # how the disks differ from those that the catalog knows
    renamed_path: str | None = None  # a copy of the memory image under the name that the domain has now

    @property
    def previous_sources(self) -> dict[str, str | None]:
        return {disk.target: disk.path for disk in self.previous}

    @property
    def active_layers(self) -> list[Source]:
        """Its active layers in files, as it is defined, or as its head has them."""
        defined = [disk.source for disk in self.previous if disk.source is not None and disk.source_type == "file"]
        overlays = self.head.overlays.values() if self.head is not None else ()
        return [*defined, *(Source(path=path, format="qcow2") for path in overlays)]

    @property
    def new_sources(self) -> dict[str, str | None]:
        """What the guest is to write to from then on, by target."""
        return {overlay.target: overlay.path for overlay in self.overlays}

    @property
    def kind(self) -> OperationKind:
        return OperationKind.ROLLBACK

    @property
    def title(self) -> str:
        return f"rollback to {self.checkpoint_name}"

    def outcome(self, ran: Ran) -> Outcome:
        return Outcome(
            operation=self.kind,
            domain=self.domain_name,
            checkpoint=self.checkpoint_name,
            id=self.checkpoint_id,
            duration_s=ran.seconds,
            downtime_s=ran.between("stopped", "resumed"),
            steps=ran.steps,
            note=joined([*([self.note] if self.note else []), *ran.kept_files(self.domain_uuid)]),
        )

    @property
    def changes_set(self) -> bool:
        """Whether the persistent definition gets other disks, and not only other files for them."""
        return bool(self.returns or self.leaves)

    @property
    def losses(self) -> list[str]:
        """What the question names beside the changes to memory and disks: sentences."""
        return [
            *(["Its managed-save image will be removed."] if self.managed_save else []),
            *(["The domain will be defined again."] if self.defines else []),
            *(f"{each[0].upper()}{each[1:]}." for each in self.differs),
        ]

    @property
    def made(self) -> tuple[str, list[str]]:
        copies = [self.renamed_path] if self.renamed_path else []
        return self.operation_id, [*(overlay.path for overlay in self.overlays), *copies]

    def prepare_lines(self) -> list[str]:
        return [
            f"create directory {self.directory}",
            *([f"copy {self.memory_path} to {self.renamed_path}, renamed"] if self.renamed_path else []),
            *(f"create overlay {overlay.path}, backed by {overlay.backing}" for overlay in self.overlays),
        ]

    def restore_lines(self) -> list[str]:
        return [
            *([f"define {self.domain_name} again"] if self.defines else []),
            f"restore the memory of {self.domain_name} from {self.renamed_path or self.memory_path}",
            *(f"leave the drive {target} of {self.domain_name} empty" for target in self.ejects),
            f"set {self.checkpoint_name} as the current checkpoint of {self.domain_name}",
        ]

    def lines(self) -> list[str]:
        return [
            *self.prepare_lines(),
            *([f"stop {self.domain_name}; its present memory is lost"] if self.run_id is not None else []),
            *self.restore_lines(),
            *([f"remove the managed-save image of {self.domain_name}"] if self.managed_save else []),
            what_becomes(self.domain_name, self.after, self.was_running),
            *(f"remove {path}, unless another domain uses it" for path in self.discards),
            *([f"remove {self.renamed_path}"] if self.renamed_path else []),
            *(f"note: {each}" for each in self.differs),
            *([f"note: {self.note}"] if self.note else []),
        ]
