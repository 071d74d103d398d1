"""`verify --accept`: files that differ from the catalog, and that their user says are right.

Only what nothing proves to be different is accepted: its SHA-256 is not known. What is damaged in any other way is
refused. The plan says what differs, and is carried out only if that is still so; then the whole content is read, and
what is found is recorded. The catalog has one record of a layer, so it is accepted for all checkpoints that rely on it,
of all domains: the plan names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import IntegrityError, Refused
from ..formats.fingerprint import size_of
from ..integrity.damage import damage, qcow2_layers
from ..integrity.differences import (
    CONTENT,
    Chains,
    Inspected,
    Recorded,
    acceptable,
    as_read,
    changes_of,
    touched,
    unknown,
)
from ..integrity.inspection import Inspection
from ..integrity.times import dates
from ..model import (
    Acceptance,
    Accepted,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    CheckpointSummary,
    Layer,
    is_device,
)
from ..ports import Catalog, Hypervisor, Progress
from .verify import keep


class Accepting:
    """Reads each file once, however many checkpoints rely on it."""

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, progress: Progress) -> None:
        self._catalog = catalog
        self._inspection = Inspection(hypervisor, progress)

    def plan(self, checkpoints: Sequence[CheckpointSummary]) -> Acceptance:
        """Raises `IntegrityError` for what cannot be accepted."""
        found: list[Accepted] = []
        for checkpoint in self._ready(checkpoints):
            chains = self._chains(checkpoint)
            seen = self._proved(checkpoint, chains)
            _refuse_others(checkpoint, chains, seen)
            for each in _to_accept(checkpoint, chains, seen):
                found.append(
                    Accepted(
                        domain=checkpoint.domain_name,
                        checkpoint=checkpoint.name,
                        path=each.path or "",
                        difference=_difference(each, seen),
                        relying=self._relying(checkpoint, each),
                    )
                )
        return Acceptance(files=tuple(found))

    def run(self, checkpoints: Sequence[CheckpointSummary], agreed: Acceptance) -> None:
        """Record what was agreed to as it is now. Raises `Refused` when it is not as shown, or changes in between."""
        self._inspection.forget()
        if self.plan(checkpoints) != agreed:
            raise Refused("the files changed after their differences were shown", hint="try again")
        for checkpoint in self._ready(checkpoints):
            chains = self._chains(checkpoint)
            accepted = _to_accept(checkpoint, chains, self._look(checkpoint, chains))
            for each in accepted:
                self._inspection.hash(each.path or "")
            read = self._look(checkpoint, chains)
            self._inspection.forget_facts()
            now = self._look(checkpoint, chains)
            for each in accepted:
                if as_read(each, read) != as_read(each, now):
                    raise Refused(f"{each.path} was changed while it was read", hint="try again")
                keep(self._catalog, checkpoint, each, as_read(each, read))

    # ------------------------------------------------------------------

    def _relying(self, checkpoint: Checkpoint, each: Recorded) -> tuple[str, ...]:
        """The catalog has one row of a layer, whoever is on it; of a memory image or a medium, each has its own."""
        if not isinstance(each, Layer):
            return (f"{checkpoint.domain_name}/{checkpoint.name}",)
        return tuple(f"{other.domain}/{other.name}" for other in self._catalog.relying_on(each.path))

    def _ready(self, checkpoints: Sequence[CheckpointSummary]) -> Iterator[Checkpoint]:
        for each in checkpoints:
            checkpoint = self._catalog.checkpoint_by_id(each.id)
            if checkpoint is not None and checkpoint.state is CheckpointState.READY:
                yield checkpoint

    def _chains(self, checkpoint: Checkpoint) -> Chains:
        return {target: self._catalog.chain(layer.path) for target, layer in checkpoint.layers.items()}

    def _look(self, checkpoint: Checkpoint, chains: Chains) -> Inspected:
        layers = [layer for chain in chains.values() for layer in chain]
        return self._inspection.inspect(checkpoint, chains, into=qcow2_layers(layers))

    def _proved(self, checkpoint: Checkpoint, chains: Chains) -> Inspected:
        """With the content of what it can prove."""
        for each in touched(checkpoint, chains, self._look(checkpoint, chains)):
            self._inspection.hash(each.path or "")
        return self._look(checkpoint, chains)


def _to_accept(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> list[Recorded]:
    return [*acceptable(checkpoint, chains, seen), *unknown(chains, seen)]


def _refuse_others(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> None:
    accepted = {each.path for each in acceptable(checkpoint, chains, seen)}
    for found in damage(checkpoint, chains, seen):
        if found.path not in accepted:
            raise IntegrityError(
                f"cannot accept the files of {checkpoint.domain_name}/{checkpoint.name}: {found.problem}",
                effect="nothing was recorded",
                hint=f"restore the file as it was when it was last read or accepted, or: "
                f"snapctl delete {checkpoint.domain_name} {checkpoint.name}",
            )


def _difference(each: Recorded, seen: Inspected) -> str:
    """What is recorded of it, and what it is now."""
    path = each.path or ""
    changes, found = changes_of(each, seen), seen.files.get(path)
    if not changes:
        return "nothing is recorded of its content yet"
    said = []
    is_now, was = dates(found.mtime if found is not None else None, each.mtime)
    if found is not None and not is_device(path) and not isinstance(each, CheckpointDisk):
        said.append(f"last changed at {is_now}, not at {was}")
    elif found is not None and isinstance(each, CheckpointDisk) and (each.size, each.mtime) != (None, None):
        said.append(f"{found.physical} bytes, last changed at {is_now}; it had {each.size}, of {was}")
    if CONTENT in changes:
        said.append(f"its content differs: {_printed(seen.prints.get(path))}, not {_printed(_recorded(each))}")
    return "; ".join(said)


def _recorded(each: Recorded) -> str | None:
    return getattr(each, "fingerprint", None)


def _printed(fingerprint: str | None) -> str:
    """A fingerprint for people: its size, and as much of the hash as tells two apart."""
    if fingerprint is None:
        return "unknown"
    return f"{size_of(fingerprint)} bytes with samples {fingerprint.rpartition(':')[2][:12]}…"
