"""The checkpoint that an operation makes of a guest that it saves: what is to be known of the disks before, its row in
the catalog with all layers, its hash, its manifest, and what to say when it did not come to be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from ...engine.story import Step, problem_of, undone_error
from ...errors import GuestLost, Refused, SnapctlError, Unfinished
from ...integrity.media import Medium, are_exchanged, read_media
from ...model import Direction, FileInfo, Head, NewOverlay, is_device
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.manifest import Manifest
from ...store.workspace import describe, is_described, new_layers, read_below, read_tops, replaced_since, written_since
from ..shared.manifests import whole_manifest
from . import record
from .capture.save import require_there, way_to_discard
from .frozen import catalogued, changed, lost, refusal
from .plan import CheckpointPlan


class MadeCheckpoint:
    """`results` is the evidence of the steps so far, which grows; `begun` gives the manifest of the directory as its
    operation made it, and `others` are disks that the domain may be defined with by then and that do not show what it
    has saved."""

    def __init__(
        self,
        plan: CheckpointPlan,
        hypervisor: Hypervisor,
        catalog: Catalog,
        operation: OpenOperation,
        results: MutableMapping[str, Any],
        progress: Progress,
        begun: Callable[[], Manifest],
        others: Collection[str],
    ) -> None:
        self._plan = plan
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._operation = operation
        self._results = results
        self._progress = progress
        self._begun = begun
        self._others = others

    def require_free_name(self) -> None:
        plan = self._plan
        if self._catalog.checkpoint(plan.domain_uuid, plan.labels.name) is not None:
            raise Refused(
                f"a checkpoint named {plan.labels.name} of {plan.domain_name} was created in the meantime",
                hint="choose another name",
            )

    # ------------------------------------------------------------------ its disks

    def before_save(self) -> Evidence:
        """The guest's layers can only become newer until it is saved. Nobody may write to what is below them, or under
        the disks that do not freeze, of which the guest's memory may have parts cached: whoever does, does so outside
        snapctl."""
        tops, below = self._read_tops(), read_below(self._hypervisor, self._plan.disks)
        prints = self._read_prints_below()
        self._require_frozen_as_recorded(below, prints)
        media = read_media(self._hypervisor.storage, self._plan.disks)
        found = {"before_save": tops, "below": below, "media": media, "prints_below": prints}
        return {key: msgspec.to_builtins(value) for key, value in found.items()}

    def _require_frozen_as_recorded(
        self, below: Mapping[str, FileInfo | None], prints: Mapping[str, str | None]
    ) -> None:
        chains = [disk.chain for disk in self._plan.disks if disk.writable]
        layers = {layer.path: layer for chain in chains for layer in catalogued(self._catalog, chain)}
        for path, relying in lost(
            self._catalog, [each.path for each in changed(layers.values(), below, prints)]
        ).items():
            is_missing = prints.get(path, below.get(path)) is None
            raise refusal(self._plan.domain_name, path, relying, is_missing=is_missing)

    def _read_tops(self) -> dict[str, FileInfo | None]:
        return {target: info for target, info in read_tops(self._hypervisor, self._plan.disks).items() if info}

    def is_on_its_disks(self) -> bool:
        """Whether what lies under the overlays still is what the memory was saved with, as far as was seen before."""
        if "below" not in self._results:  # an older snapctl recorded none of it
            return True
        written = written_since(self._results["below"], read_below(self._hypervisor, self._plan.disks))
        if written or replaced_since(self._results["before_save"], self._read_tops()):
            return False
        if self._results.get("prints_below", {}) != self._read_prints_below():
            return False
        media = msgspec.convert(self._results.get("media", {}), dict[str, Medium])
        return not are_exchanged(self._hypervisor.storage, self._plan.disks, media)

    def _read_prints_below(self) -> dict[str, str | None]:
        """Fingerprints of the block devices below its disks, which have no time of last change."""
        disks = [disk for disk in self._plan.disks if disk.writable]
        devices = sorted({source.path for disk in disks for source in disk.backing if is_device(source.path)})
        return self._hypervisor.storage.fingerprints(devices) if devices else {}

    def require_its_disks(self) -> None:
        if not self.is_on_its_disks():
            require_there(self._plan, self._results, self._hypervisor)
            name, domain = self._plan.domain_name, self._hypervisor.domains.get(self._plan.domain_uuid)
            raise Unfinished(
                f"a disk of {name}, or a layer below it, was written to or replaced after its memory was saved to "
                f"{self._plan.memory_path}",
                effect="the memory was not restored",
                hint=way_to_discard(name, domain, self._others),
            )

    # ------------------------------------------------------------------ committed

    def gather(self) -> None:
        """What the transaction is to write, so that nothing is asked of the hypervisor within it."""
        prints = self._results.get("prints_below")
        self._checkpoint = record.checkpoint(self._plan, self._results, self._catalog)
        self._chains = record.chains(
            self._plan,
            self._checkpoint,
            self._below(),
            self._read_prints_below() if prints is None else prints,
            self._catalog,
        )

    def _below(self) -> Mapping[str, FileInfo | None]:
        """As they were before the memory was saved: it belongs to these."""
        if (recorded := self._results.get("below")) is not None:
            return msgspec.convert(recorded, dict[str, FileInfo | None])
        return read_below(self._hypervisor, self._plan.disks)

    def commit(self, head: Head, overlays: Sequence[NewOverlay]) -> None:
        """With where the domain goes on from: `head`, on these `overlays`."""
        layers = new_layers(self._plan.operation_id, overlays)
        self._operation.commit_checkpoint(self._checkpoint, self._chains, head, layers)

    def is_committed(self) -> Evidence | None:
        return {} if self._catalog.checkpoint_by_id(self._plan.checkpoint_id) is not None else None

    # ------------------------------------------------------------------ hashed, described

    @property
    def last_steps(self) -> tuple[Step, ...]:
        return (
            Step("hashed", self._hash, self._is_hashed),
            Step("described", self._describe, self._is_described),
        )

    def _hash(self) -> None:
        digest = self._hypervisor.storage.sha256(self._plan.memory_path, self._progress)
        self._operation.record_sha256(self._plan.checkpoint_id, digest)

    def _is_hashed(self) -> Evidence | None:
        checkpoint = self._catalog.checkpoint_by_id(self._plan.checkpoint_id)
        return {} if checkpoint is not None and not checkpoint.unhashed else None

    def _describe(self) -> None:
        """Put all that the catalog now knows of the checkpoint beside its memory image."""
        describe(self._hypervisor, self._plan.directory, self._whole_manifest())

    def _is_described(self) -> Evidence | None:
        return {} if is_described(self._hypervisor, self._plan.directory, self._whole_manifest()) else None

    def _whole_manifest(self) -> Manifest:
        return whole_manifest(self._catalog, self._plan.host, self._begun(), self._plan.checkpoint_id)

    # ------------------------------------------------------------------ when it did not come to be

    def undone_error(self, cause: Exception) -> SnapctlError:
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is None or not domain.active:
            return GuestLost(
                f"{self._plan.domain_name} was shut off before its memory was saved ({problem_of(cause)})",
                effect="its disks are as it left them; no checkpoint was created",
                hint=f"start it: virsh start {self._plan.domain_name}",
            )
        return undone_error(cause, self._plan.domain_name)

    def unfinished_error(self, what: str, problem: str) -> Unfinished:
        """`what` names the operation."""
        return Unfinished(
            f"{what} is not finished: {problem}",
            effect=self._where_memory_is(),
            hint=f"run: snapctl recover {self._plan.domain_name}",
        )

    def _where_memory_is(self) -> str:
        if "memory" in self._results and self._operation.record.decision is not Direction.FORWARD:
            return f"its memory is in {self._plan.memory_path}"
        return "nothing is lost"
