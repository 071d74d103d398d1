"""Plan to collapse layers into the one above them, or refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import normpath

from ...errors import IntegrityError, Refused
from ...formats import domainxml
from ...integrity.damage import layer_damage
from ...integrity.differences import Inspected
from ...integrity.users import FileUser
from ...model import Chain, Collapsible, Domain, FileInfo, Host, Layer, OperationKind, Outcome, Ran, Source
from ...units import MIB
from ..shared.helper import HELPER_PREFIX, HELPER_TARGET
from ..shared.preflight import joined
from ..shared.refusals import refuse_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseFacts:
    host: Host
    domain_uuid: str
    domain_name: str
    domain: Domain | None  # None: the hypervisor does not know it now (it was transient)
    like: str  # a domain XML of it
    found: Collapsible
    seen: Mapping[str, FileInfo | None]  # of the layers that are found
    prints: Mapping[str, str | None]  # of those that are block devices
    holders: Mapping[str, str]  # of files below the disk of a running domain: its name
    users: Mapping[str, FileUser] = field(default_factory=dict)  # by path: who else stands on a layer
    free_bytes: int
    store: str
    reserve_bytes: int = 0


def plan_collapse(
    operation_id: str, facts: CollapseFacts, kind: OperationKind = OperationKind.COLLAPSE
) -> CollapsePlan:
    """Raises `Busy`, `IntegrityError`, or `Refused` while a running domain has the layer below its disk:
    QEMU refuses to write to it then."""
    layer, drops, base = facts.found.layer, facts.found.absorbed, facts.found.base
    if facts.domain is not None:
        refuse_busy(facts.domain)
    if holder := facts.holders.get(normpath(layer.path)):
        raise Refused(
            f"{layer.path} is in the backing chain of {holder}, which is running",
            hint=f"run snapctl collapse when {holder} is shut off, or at once: snapctl flatten {holder}",
        )
    _refuse_users(facts, kind)
    _refuse_damaged(facts)
    moved = sum(_data_in(each, facts.seen.get(each.path)) for each in drops)
    if facts.free_bytes < moved + facts.reserve_bytes:
        raise Refused(
            f"the store {facts.store} has {facts.free_bytes // MIB} MiB free, "
            f"{layer.path} may grow by {moved // MIB} MiB",
            hint="delete checkpoints or enlarge the store",
        )
    return CollapsePlan(
        operation_id=operation_id,
        kind=kind,
        host=facts.host,
        domain_uuid=facts.domain_uuid,
        domain_name=facts.domain_name,
        layer=layer,
        drops=tuple(each.path for each in drops if each.operation_id is not None),
        base=Source(path=base.path, format=base.format) if base else None,
        moved_bytes=moved,
        helper_xml=domainxml.helper(
            facts.like,
            uuid=operation_id,
            name=f"{HELPER_PREFIX}{operation_id}",
            target=HELPER_TARGET,
            layer=Source(path=layer.path, format=layer.format),
        ),
    )


def _data_in(layer: Layer, seen: FileInfo | None) -> int:
    """At most. How much of a block device is in use is not known."""
    if layer.is_block:
        return max(layer.capacity, seen.physical if seen is not None else 0)
    return layer.allocation or layer.physical or 0


def _refuse_users(facts: CollapseFacts, kind: OperationKind) -> None:
    """A layer that somebody else stands on is not rewritten. Nor would it free anything to copy up what he stands on:
    only a flatten is to make its disks independent, whatever is kept by it."""
    stays = [facts.found.layer] if kind is OperationKind.FLATTEN else [facts.found.layer, *facts.found.absorbed]
    for layer in stays:
        if user := facts.users.get(layer.path):
            raise Refused(
                f"{layer.path} cannot be collapsed: {user}",
                hint="run snapctl collapse when that is no longer so",
            )


def _refuse_damaged(facts: CollapseFacts) -> None:
    """What is copied up cannot be checked later: so every layer must be what the catalog says."""
    below = (*facts.found.absorbed, *([facts.found.base] if facts.found.base else []))
    frozen = () if facts.found.layer.is_active else (facts.found.layer,)
    for found in layer_damage(Chain((*frozen, *below)), Inspected(files=facts.seen, heads={}, prints=facts.prints)):
        raise IntegrityError(found.problem, hint=f"see: snapctl verify {facts.domain_name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapsePlan:
    """Copy the data of layers below one layer into it, so that `base` becomes its backing file and they can be removed.

    What a guest sees in the layer stays the same. `layer` is as the catalog had it before.
    """

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    layer: Layer
    drops: tuple[str, ...]  # the absorbed layers of ours, nearest first; stored in the journal under this name
    base: Source | None  # None: it will have no backing file
    moved_bytes: int  # at most
    helper_xml: str  # of the domain that does it unless the layer is a running guest's own disk
    kind: OperationKind = OperationKind.COLLAPSE

    @property
    def title(self) -> str:
        return self.kind.label

    @property
    def base_path(self) -> str | None:
        return self.base.path if self.base else None

    def outcome(self, ran: Ran) -> Outcome:
        return Outcome(
            operation=self.kind,
            domain=self.domain_name,
            checkpoint="",
            id=self.operation_id,
            duration_s=ran.seconds,
            steps=ran.steps,
            layer=self.layer.path,
            note=joined(ran.kept_files(self.domain_uuid)),
        )

    @property
    def made(self) -> tuple[str, list[str]]:
        return self.layer.operation_id or "", [self.layer.path]

    def lines(self) -> list[str]:
        then = f"set its backing file to {self.base.path}" if self.base else "remove its backing file"
        return [
            f"copy up to {self.moved_bytes // MIB} MiB into {self.layer.path}, and {then}",
            *(f"remove {path} unless something else needs it" for path in self.drops),
        ]
