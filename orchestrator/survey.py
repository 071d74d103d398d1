"""Gather the facts that a plan is made from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from posixpath import isabs
from uuid import UUID

from .errors import NotFound, Refused
from .formats import qcow2
from .integrity.damage import Chains, Seen, qcow2_layers
from .integrity.inspection import Inspection
from .integrity.users import holders, users, writers
from .model import Checkpoint, Collapsible, Domain, DomainDisks, Head, Layer, Source, walk
from .operations.checkpoint.plan import CheckpointFacts
from .operations.collapse.plan import CollapseFacts
from .operations.delete.plan import DeleteFacts
from .operations.edit.plan import EditFacts
from .operations.rollback.plan import RollbackFacts
from .ports import Catalog, Hypervisor


@dataclass(frozen=True, slots=True)
class Subject:
    """The domain that a verb is about. `domain` is None when only the catalog knows it."""

    uuid: str
    name: str
    domain: Domain | None


class Survey:
    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, store: str, reserve_bytes: int) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._store = store
        self._reserve_bytes = reserve_bytes

    @property
    def _host(self) -> str:
        return self._hypervisor.host.uuid

    # ------------------------------------------------------------------ who and what

    def subject(self, name: str) -> Subject:
        """The domain of that name or UUID, running, defined or only catalogued; raises `NotFound`."""
        domain = self._hypervisor.domains.find(name)
        if domain is not None:
            return Subject(domain.uuid, domain.name, domain)
        uuid = self._catalog.domain_uuid(name) or _uuid(name)
        if uuid is not None and self._is_catalogued(uuid):
            return Subject(uuid, name, None)
        raise NotFound(
            f"there is no domain {name} on {self._hypervisor.host.name}",
            hint="see: virsh list --all",
        )

    def checkpoint(self, subject: Subject, name: str) -> Checkpoint:
        checkpoint = self._catalog.checkpoint(subject.uuid, name)
        if checkpoint is None and (namesake := self._namesake(subject)) is not None:
            raise Refused(
                f"the checkpoints of {subject.name} are another domain's, {namesake}",
                hint=f"see: snapctl list {namesake}",
            )
        if checkpoint is None:
            raise NotFound(
                f"{subject.name} has no checkpoint {name}",
                hint=f"see: snapctl list {subject.name}",
            )
        return checkpoint

    def standing_on(self, subject: Subject) -> Checkpoint:
        """The checkpoint that the domain's head descends from."""
        head = self._catalog.head(subject.uuid)
        found = self._catalog.checkpoint_by_id(head.checkpoint_id) if head and head.checkpoint_id else None
        if found is None:
            raise Refused(f"{subject.name} stands on no checkpoint", hint=f"name one: snapctl list {subject.name}")
        return found

    # ------------------------------------------------------------------ facts for the planners

    def for_checkpoint(self, subject: Subject, name: str) -> CheckpointFacts:
        if subject.domain is None:
            raise NotFound(f"{subject.name} is not running on {self._hypervisor.host.name}", hint="start it")
        return CheckpointFacts(
            host=self._hypervisor.host,
            domain=self._hypervisor.domains.measured(subject.domain),
            head=self._catalog.head(subject.uuid),
            name_taken=self._catalog.checkpoint(subject.uuid, name) is not None,
            namesake=self._namesake(subject),
            free_bytes=self._hypervisor.storage.free_bytes(self._store),
            store=self._store,
            reserve_bytes=self._reserve_bytes,
            heads=self._unknown_heads(subject.domain),
            writers=writers(each for each in self._hypervisor.domains.disks() if each.uuid != subject.uuid),
        )

    def for_rollback(self, subject: Subject, checkpoint: Checkpoint) -> RollbackFacts:
        head = self._catalog.head(subject.uuid)
        chains = {target: self._catalog.chain(layer.path) for target, layer in checkpoint.layers.items()}
        if not all(chains.values()):  # a foreign key has them there for as long as it is there itself
            raise NotFound(f"checkpoint {checkpoint.name} of {subject.name} was deleted meanwhile", hint="take another")
        return RollbackFacts(
            host=self._hypervisor.host,
            domain=subject.domain,
            checkpoint=checkpoint,
            head=head,
            chains=chains,
            seen=self._look(checkpoint, chains),
            discards=tuple(sorted(head.overlays.values())) if head else (),
            free_bytes=self._hypervisor.storage.free_bytes(self._store),
            store=self._store,
            reserve_bytes=self._reserve_bytes,
        )

    def for_delete(
        self,
        subject: Subject,
        checkpoint: Checkpoint,
        freed: Sequence[Layer] | None = None,
        *,
        explain: bool = False,
        sparing: bool = False,
    ) -> DeleteFacts:
        """`freed` are the layers that go with it, unless it is the only one to be deleted; `explain` says
        that somebody wants to know what needs the others."""
        head = self._catalog.head(subject.uuid)
        layers = self._catalog.layers_freed_by(checkpoint.id) if freed is None else freed
        going = {layer.path for layer in layers}
        stays = list(dict.fromkeys(self._nearest_kept(checkpoint, going)))
        return DeleteFacts(
            host=self._hypervisor.host,
            domain_name=subject.domain.name if subject.domain else checkpoint.domain_name,
            checkpoint=checkpoint,
            head=head,
            layers=layers,
            stays=stays,
            needed_by=self._needed_by(subject, checkpoint, stays) if explain else (),
            sparing=sparing,
            is_only_copy=head is not None and self._is_only_copy(subject, checkpoint, head),
            users=self._users(subject),
        )

    def for_collapse(self, subject: Subject, found: Collapsible) -> CollapseFacts:
        layers = (found.layer, *found.drops, *([found.base] if found.base else []))
        return CollapseFacts(
            host=self._hypervisor.host,
            domain_uuid=subject.uuid,
            domain_name=subject.domain.name if subject.domain else subject.name,
            domain=subject.domain,
            like=self._definition_like(subject),
            found=found,
            seen=self._hypervisor.storage.facts_of([layer.path for layer in layers]),
            holders=holders(self._hypervisor.domains.disks()),
            free_bytes=self._hypervisor.storage.free_bytes(self._store),
            store=self._store,
            reserve_bytes=self._reserve_bytes,
        )

    def stacks(self, subject: Subject) -> list[Collapsible]:
        """The domain's active overlays, each with all that it stands on, but for those that stand on nothing.

        Raises `Refused` for a domain whose memory is nowhere but in the checkpoint that it stands on: that no guest
        ran since is told by overlays that nobody wrote to.
        """
        head = self._catalog.head(subject.uuid)
        if head is None:
            raise Refused(f"{subject.name} stands on nothing of snapctl's", hint="there is nothing to flatten")
        checkpoint = self._catalog.checkpoint_by_id(head.checkpoint_id) if head.checkpoint_id else None
        if checkpoint is not None and self._is_only_copy(subject, checkpoint, head):
            raise Refused(
                f"{subject.name} is off and was not started since checkpoint {checkpoint.name}",
                hint=f"bring it back first: snapctl rollback {subject.name} {checkpoint.name}",
            )
        chains = [self._catalog.chain(path) for path in head.overlays.values()]
        return [Collapsible(layer=top, drops=tuple(below), base=None) for top, *below in chains if below]

    def for_edit(self, subject: Subject, checkpoint: Checkpoint, name: str | None) -> EditFacts:
        """`name` is the one that it shall have, None for the one it has."""
        holder = self._catalog.checkpoint(subject.uuid, name) if name is not None else None
        return EditFacts(
            host=self._hypervisor.host,
            domain_name=subject.domain.name if subject.domain else checkpoint.domain_name,
            checkpoint=checkpoint,
            name_taken=holder is not None and holder.id != checkpoint.id,
        )

    # ------------------------------------------------------------------

    def _nearest_kept(self, checkpoint: Checkpoint, going: set[str]) -> Iterator[str]:
        """By disk: the first layer, from the checkpoint's own down, that does not go with it."""
        for layer in checkpoint.layers.values():
            chain = [layer] if layer.path not in going else self._catalog.chain(layer.path)
            yield from [each.path for each in chain if each.path not in going and each.operation_id is not None][:1]

    def _needed_by(self, subject: Subject, checkpoint: Checkpoint, stays: Iterable[str]) -> list[str]:
        relying = [each for path in stays for each in self._catalog.relying_on(path)]
        names = [each.name for each in relying if each.id != checkpoint.id]
        head = self._catalog.head(subject.uuid)
        tops = head.overlays.values() if head else ()
        below = {layer.path for top in tops for layer in self._catalog.chain(top)}
        return list(dict.fromkeys([*names, *([f"the disks of {subject.name}"] if below & set(stays) else [])]))

    def _is_only_copy(self, subject: Subject, checkpoint: Checkpoint, head: Head) -> bool:
        """Whether the domain was saved in it and has not run since: its overlays are older than the image."""
        if head.checkpoint_id != checkpoint.id or (subject.domain is not None and subject.domain.active):
            return False
        if checkpoint.memory is None:
            return False
        image = self._hypervisor.storage.facts(checkpoint.memory.path)
        overlays = [self._hypervisor.storage.facts(path) for path in head.overlays.values()]
        return image is not None and all(each and float(each.mtime) <= float(image.mtime) for each in overlays)

    def _definition_like(self, subject: Subject) -> str:
        if subject.domain is not None:
            return subject.domain.xml
        if (known := self._catalog.some_checkpoint(subject.uuid)) is not None:
            return known.origin.domain_xml
        raise NotFound(f"nothing is known of how {subject.name} was defined", hint="define it again: virsh define FILE")

    def _is_catalogued(self, uuid: str) -> bool:
        """Also by an operation alone: the image of a transient domain may be all that is left of it."""
        return self._has_checkpoints(uuid) or bool(self._catalog.unsettled(uuid))

    def _has_checkpoints(self, uuid: str) -> bool:
        return self._catalog.some_checkpoint(uuid) is not None

    def _namesake(self, subject: Subject) -> str | None:
        known = self._catalog.domain_uuid(subject.name)
        if known in (None, subject.uuid):
            return None
        return known if self._has_checkpoints(known) else None

    def _unknown_heads(self, domain: Domain) -> dict[str, bytes]:
        """The beginnings of the qcow2 layers that are not catalogued yet: all others were made or seen before."""
        sources = [source for disk in domain.writable_disks for source in disk.chain]
        paths = [source.path for source in sources if source.format == "qcow2" and isabs(source.path)]
        heads = {}
        for path in dict.fromkeys(paths):
            if self._catalog.layer(path) is None and self._hypervisor.storage.facts(path) is not None:
                heads[path] = self._hypervisor.storage.read(path, 0, qcow2.HEAD_LENGTH)
        return heads

    def _users(self, subject: Subject) -> dict[str, str]:
        """Who needs which file: of running domains with their chains, of others the domain's own only."""
        found = users(self._hypervisor.domains.disks())
        if subject.domain is not None and not subject.domain.active:
            disks = tuple(replace(disk, backing=tuple(self._chain(disk.path))) for disk in subject.domain.disks)
            off = DomainDisks(uuid=subject.uuid, name=subject.name, active=False, disks=disks, persistent_disks=())
            found |= users([off])
        return found

    def _chain(self, path: str | None) -> Iterator[Source]:
        """The layer at `path` and those below it, as the files themselves tell."""
        facts = self._hypervisor.storage.facts
        for image in walk(facts(path) if path else None, lambda image: facts(image.backing) if image.backing else None):
            yield Source(path=image.path, format=image.format)

    def _look(self, checkpoint: Checkpoint, chains: Chains) -> Seen:
        """All files, but only the checkpoint's own layers are looked into: it is the guest that waits.

        Nor does it matter what the domain itself has for disks: the rollback gives it others.
        """
        tops = qcow2_layers(checkpoint.layers.values())
        return Inspection(self._hypervisor).look(checkpoint, chains, into=tops, but_for=checkpoint.domain_uuid)


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
