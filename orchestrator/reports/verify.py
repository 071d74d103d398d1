"""verify: hold every file that checkpoints rely on against the catalog, and mark what is damaged.

Nothing on the hypervisor is changed, and no domain is taken: when something is wrong the catalog is
asked once more, so that what an operation did in between is not taken for damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from posixpath import dirname
from time import monotonic

from ..errors import EnvironmentLacks
from ..integrity.damage import damage, dangers, qcow2_layers
from ..integrity.differences import Chains, Inspected, Recorded, as_read, is_as_recorded, recorded, touched
from ..integrity.inspection import Inspection
from ..model import (
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    CheckpointSummary,
    Finding,
    Layer,
    MemoryImage,
    Verdict,
    VerifyReport,
)
from ..ports import Catalog, Hypervisor, Progress

DAMAGED = "damaged"


class Verification:
    """One run of verify. Marks are written as they are found: a run that is killed leaves those it made.

    A quick check compares the file information and the headers. A deep one reads
    them whole, too: it compares each SHA-256 with the catalog's, or records it where there is none
    yet. A checkpoint that is marked as damaged is always read whole, so that no damage is taken for
    mended by a look that could not have seen it.
    """

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, progress: Progress, *, deep: bool) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._inspection = Inspection(hypervisor, progress)
        self._deep = deep

    def run(self, checkpoints: Sequence[CheckpointSummary]) -> VerifyReport:
        """Verify these checkpoints; one that is deleted has no verdict."""
        began = monotonic()
        verdicts = {}
        # Those marked first: what reading them whole shows is then known of the files they share with others.
        for each in sorted(checkpoints, key=lambda each: each.state != DAMAGED):
            verdicts[each.id] = self._verify(each.id, deep=self._deep or each.state == DAMAGED)
        found = [verdict for each in checkpoints if (verdict := verdicts[each.id]) is not None]
        return VerifyReport(
            checkpoints=tuple(found), read_bytes=self._inspection.read_bytes, seconds=monotonic() - began
        )

    def _verify(self, checkpoint_id: str, *, deep: bool) -> Verdict | None:
        while (checkpoint := self._ready(checkpoint_id)) is not None:
            chains = self._chains(checkpoint)
            findings = self._findings(checkpoint, chains, deep=deep)
            if findings:
                self._require_store(checkpoint)
            if not findings or self._is_still(checkpoint, chains):
                return self._conclude(checkpoint, findings)
            self._inspection.forget()
        return None

    # ------------------------------------------------------------------ what the catalog says

    def _ready(self, checkpoint_id: str) -> Checkpoint | None:
        checkpoint = self._catalog.checkpoint_by_id(checkpoint_id)
        return checkpoint if checkpoint is not None and checkpoint.state is CheckpointState.READY else None

    def _chains(self, checkpoint: Checkpoint) -> Chains:
        return {target: self._catalog.chain(layer.path) for target, layer in checkpoint.layers.items()}

    def _is_still(self, checkpoint: Checkpoint, chains: Chains) -> bool:
        """Whether the catalog's record of the files is what it was before they were read."""
        now = self._ready(checkpoint.id)
        return now is not None and _facts(self._chains(now)) == _facts(chains)

    # ------------------------------------------------------------------ what the files say

    def _findings(self, checkpoint: Checkpoint, chains: Chains, *, deep: bool) -> list[Finding]:
        findings = self._compare(checkpoint, chains)
        if not deep:
            return findings
        for path in _readable(checkpoint, chains) - {finding.path for finding in findings}:
            self._inspection.hash(path)
        return self._compare(checkpoint, chains)

    def _compare(self, checkpoint: Checkpoint, chains: Chains) -> list[Finding]:
        """What is wrong; what was read whole is recorded."""
        seen = self._look(checkpoint, chains)
        if copied := touched(checkpoint, chains, seen):  # restored from a backup, or copied: their content decides
            for each in copied:
                self._inspection.hash(each.path or "")
            seen = self._look(checkpoint, chains)
        self._record(checkpoint, chains, seen)
        return [*damage(checkpoint, chains, seen), *dangers(chains, seen)]

    def _look(self, checkpoint: Checkpoint, chains: Chains) -> Inspected:
        return self._inspection.inspect(checkpoint, chains, into=qcow2_layers(_layers(chains)))

    def _require_store(self, checkpoint: Checkpoint) -> None:
        """Raise when nothing at all is where the store was: a store that is not mounted is no damage."""
        store = dirname(dirname(checkpoint.directory))
        if not self._hypervisor.storage.directories(store):
            raise EnvironmentLacks(
                f"the store {store} is missing or empty", effect="no checkpoint was marked as damaged", hint="mount it"
            )

    # ------------------------------------------------------------------ what is recorded

    def _record(self, checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> None:
        """Keep the SHA-256 of what was read for the first time, and the time of what was found to be as it was."""
        for each in recorded(checkpoint, chains):
            if is_as_recorded(each, seen) and (now := as_read(each, seen)) != each:
                keep(self._catalog, checkpoint, each, now)

    def _conclude(self, checkpoint: Checkpoint, findings: Sequence[Finding]) -> Verdict:
        """Mark the checkpoint as damaged or sound, and mark those that share a damaged file."""
        mark = "; ".join(finding.problem for finding in findings) or None
        if mark != checkpoint.damage:
            self._catalog.mark_damage(checkpoint.id, mark)
        return Verdict(
            domain=checkpoint.domain_name,
            name=checkpoint.name,
            id=checkpoint.id,
            findings=tuple(self._mark_all(finding) for finding in findings),
        )

    def _mark_all(self, finding: Finding) -> Finding:
        lost = self._catalog.relying_on(finding.path)
        for each in lost:
            if each.state != DAMAGED:
                self._catalog.mark_damage(each.id, finding.problem)
        return replace(finding, lost=tuple(f"{each.domain}/{each.name}" for each in lost))


def keep(catalog: Catalog, checkpoint: Checkpoint, then: Recorded, now: Recorded) -> None:
    """Record what is now known of a file or device, unless the catalog says something else than `then` by now."""
    if isinstance(then, Layer) and isinstance(now, Layer):
        catalog.record_layer(then, now)
    elif isinstance(then, MemoryImage) and isinstance(now, MemoryImage):
        catalog.record_memory(checkpoint.id, then, now)
    elif isinstance(then, CheckpointDisk) and isinstance(now, CheckpointDisk):
        catalog.record_medium(checkpoint.id, then, now)


def _layers(chains: Chains) -> Iterable[Layer]:
    return (layer for chain in chains.values() for layer in chain)


def _readable(checkpoint: Checkpoint, chains: Chains) -> set[str]:
    """The files and devices to be read whole. What an operation is rewriting is not what is recorded."""
    others = (each.path or "" for each in recorded(checkpoint, chains) if not _is_active(each))
    return {*checkpoint.own_files, *others}


def _is_active(each: Recorded) -> bool:
    return isinstance(each, Layer) and each.is_active


def _facts(chains: Chains) -> dict[str, list[tuple[str, str | None, str | None]]]:
    return {target: [(layer.path, layer.backing, layer.mtime) for layer in chain] for target, chain in chains.items()}
