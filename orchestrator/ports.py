"""What the stories need from the world: the one door to the hypervisor, and the catalog.

`orchestrator.hypervisor` implements `Domains` and `Storage` over libvirt; the tests' in-memory twin
implements them over dictionaries; one contract suite runs on both. Every path is a name in the
hypervisor's file system. Every method of theirs may raise a `HypervisorError`; after one the effect
is *unknown*: the caller observes, then acts. `NotFound` says that what was named does not exist, so
that nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from .model import (
    CatalogCondition,
    Checkpoint,
    CheckpointSummary,
    Collapsible,
    Domain,
    DomainDisks,
    FileFacts,
    Head,
    Holdings,
    Host,
    Labels,
    Layer,
    NewOverlay,
    OperationKind,
    OperationRecord,
    OperationState,
    RebuiltDomain,
)

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as (what, bytes done, bytes in all); total is 0 while unknown. `what` is "save", "hash" or "stream"."""


def silent(what: str, done: int, total: int) -> None:
    """The progress callback of someone who does not watch."""


class Domains(Protocol):
    def find(self, name: str) -> Domain | None:
        """The domain of that name (or UUID) as it is now, or None."""

    def get(self, uuid: str) -> Domain | None:
        """The domain of that UUID as it is now, or None when the hypervisor has none."""

    def measured(self, domain: Domain) -> Domain:
        """The same with `capacities` and `resident_bytes`, which only this fills in: QEMU itself must be
        asked, which takes the longer the deeper the chains are. One that is busy stays as it is.

        Raises `NotFound` when it is gone meanwhile.
        """

    def all(self) -> list[Domain]:
        """Every domain of the host, active or not, as `get` shows it, by name."""

    def disks(self) -> list[DomainDisks]:
        """The disks of every domain of the host, by name: much cheaper than `all`, and waits for no job."""

    def definition(self, uuid: str) -> str:
        """The persistent XML *with* its secrets: to be edited and defined again, never stored."""

    def define(self, xml: str) -> None:
        """Make `xml` the persistent definition (virDomainDefineXML). A running guest does not notice."""

    def save(self, uuid: str, path: str, progress: Progress) -> None:
        """Write the guest's memory to `path` and stop it (virDomainSaveFlags).

        Blocks until done. An interrupt (KeyboardInterrupt) aborts the job: the guest goes on and
        `Interrupted` is raised. Overwrites what is at `path` without a word: give it a new one.
        A kill of the daemon leaves a file whose magic is `LibvirtQemudPart`.
        """

    def saved_definition(self, path: str) -> str:
        """The domain XML, with secrets, inside the memory image at `path`."""

    def saved_xml(self, path: str) -> str:
        """The same without its secrets: to be read and stored, never to restore with."""

    def restore(self, path: str, xml: str) -> None:
        """Start the guest from the memory image with `xml` as its definition, **paused**.

        Nothing checks that the storage fits (virDomainRestoreFlags): that is the caller's whole job.
        """

    def resume(self, uuid: str) -> None:
        """Let the vCPUs of a paused guest run. Harmless when they run."""

    def destroy(self, uuid: str) -> None:
        """End the guest's QEMU at once. Harmless when it is off."""

    def create_paused(self, xml: str) -> None:
        """Start a transient domain whose vCPUs never run (virDomainCreateXML).

        libvirt ends it when this client's connection ends (VIR_DOMAIN_START_AUTODESTROY), but not when
        the daemon was killed: whoever made it looks for it again.
        """

    def stream(self, uuid: str, target: str, base: str | None, progress: Progress) -> None:
        """Pull what the layers above `base` hold (all of them for None) into the disk's active layer,
        which then stands on `base` (virDomainBlockRebase). What the guest sees does not change.

        Blocks until the job has ended, whether it came to its end or not: `facts` of the layer tell.
        Joins a job on that disk that was left under way. An interrupt aborts it and raises `Interrupted`.
        A kill of the client leaves the job under way, or its domain gone; either leaves a whole chain.
        """

    def stop_streaming(self, uuid: str, target: str) -> None:
        """Abort the job on a disk. Harmless when there is none, or no such domain."""

    def wait_for_job(self, uuid: str) -> None:
        """Return when no job (save, restore, ...) that a client left behind is under way any more.

        Raises `HypervisorError` when it does not end within the time configured.
        """


class Storage(Protocol):
    def make_directory(self, path: str) -> None:
        """Make a directory, mode 0711, and its parents. Harmless when it is there."""

    def create_overlay(self, overlay: NewOverlay) -> None:
        """Make an empty qcow2 file, mode 0600, on top of `overlay.backing`; refuses to overwrite."""

    def write(self, path: str, content: bytes) -> None:
        """Make a small file, mode 0600, that holds `content`; what was there is removed first.

        A kill may leave it missing, or as long as `content` but without it.
        """

    def facts(self, path: str) -> FileFacts | None:
        """What the file is now, or None when there is none."""

    def facts_of(self, paths: Sequence[str]) -> dict[str, FileFacts | None]:
        """What `facts` says of each of these files: cheaper where several are in one directory."""

    def files(self, directory: str) -> list[FileFacts] | None:
        """The files of a directory, or None when there is no such directory."""

    def directories(self, directory: str) -> list[FileFacts] | None:
        """The directories in a directory (their format is "dir"), or None when there is no such directory."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a file; fewer at its end."""

    def sha256(self, path: str, progress: Progress) -> str:
        """SHA-256 of a whole file, streamed through the connection, in hex. Interruptible."""

    def remove(self, path: str) -> None:
        """Delete a file. Harmless when it is not there."""

    def remove_directory(self, path: str) -> None:
        """Delete an *empty* directory. Harmless when it is not there; raises when it is not empty."""

    def free_bytes(self, path: str) -> int:
        """Free space where `path` is or would be (its nearest existing ancestor). Creates nothing."""

    def total_bytes(self, path: str) -> int:
        """The size of the file system that `path` is on or would be. Creates nothing."""


class Hypervisor(Protocol):
    @property
    def host(self) -> Host: ...
    @property
    def domains(self) -> Domains: ...
    @property
    def storage(self) -> Storage: ...
    def close(self) -> None: ...


class Lease(Protocol):
    """The right to change one domain: a row of the journal and the token it was given.

    Kept alive by a heartbeat until it is released. Whoever lost it changes nothing: every method of
    `Catalog` that takes a lease does nothing and raises `Busy` when the token is not the row's any more.
    """

    @property
    def operation(self) -> OperationRecord: ...
    def check(self) -> None:
        """Raise `Busy` unless the lease is still ours; called before each effect."""

    def release(self) -> None:
        """Stop the heartbeat. The row stays as it is."""


class Catalog(Protocol):
    """The SQL database. Each method is one transaction; each raises `CatalogError` when it cannot."""

    # reading
    def domain_uuid(self, host_uuid: str, name: str) -> str | None:
        """The UUID under which the catalog knows a domain of that name (the newest, if it was made anew)."""

    def checkpoint(self, host_uuid: str, domain_uuid: str, name: str) -> Checkpoint | None:
        """A checkpoint by its name, in whatever state."""

    def checkpoint_by_id(self, checkpoint_id: str) -> Checkpoint | None: ...
    def some_checkpoint(self, host_uuid: str, domain_uuid: str) -> Checkpoint | None:
        """A checkpoint of a domain, no matter which one and in what state; None when it has none."""

    def summaries(
        self, host_uuid: str, domain_uuid: str | None = None, name: str | None = None
    ) -> list[CheckpointSummary]:
        """All checkpoints of a host or domain, or those of that name, oldest first, without their documents."""

    def relying_on(self, host_uuid: str, path: str) -> list[CheckpointSummary]:
        """The ready checkpoints that could not be restored without that file, oldest first."""

    def ready_names(self, host_uuid: str, domain_uuid: str, beginning: str) -> list[str]:
        """Names, of the ready checkpoints of a domain, that begin so (not with nothing), oldest first."""

    def child_names(self, checkpoint_id: str) -> list[str]:
        """Names of the checkpoints whose parent it is, oldest first."""

    def head(self, host_uuid: str, domain_uuid: str) -> Head | None: ...
    def layer(self, host_uuid: str, path: str) -> Layer | None: ...
    def chain(self, host_uuid: str, path: str) -> list[Layer]:
        """The layer at `path` and all below it that are catalogued, nearest first."""

    def discarded_layers(self, operation_id: str) -> list[Layer]:
        """The layers that this operation discarded and whose rows are still there."""

    def layers_freed_by(self, *checkpoint_ids: str) -> list[Layer]:
        """The layers of ours that nothing would need if those checkpoints of one domain were gone."""

    def collapsible(self, host_uuid: str, domain_uuid: str, paths: Sequence[str] | None = None) -> list[Collapsible]:
        """The layers of ours that no checkpoint and no head needs, and only one layer stands on, with that
        layer: all of the domain, or those among or next to `paths`."""

    def holdings(self, host_uuid: str, domain_uuid: str | None = None) -> Holdings:
        """Every catalogued file of a host or domain: as many queries for many checkpoints as for one."""

    def known_paths(self, host_uuid: str, directory: str) -> list[str]:
        """Every catalogued file (memory images and layers) in that directory."""

    def unsettled(self, host_uuid: str, domain_uuid: str | None = None) -> list[OperationRecord]:
        """The operations that are open, oldest first."""

    def is_abandoned(self, operation: OperationRecord) -> bool:
        """Whether nobody is at work on it any more, so that `take_over` would succeed."""

    def condition(self) -> CatalogCondition: ...

    # the journal
    def open_operation(
        self,
        *,
        operation_id: str,
        kind: OperationKind,
        host: Host,
        domain_uuid: str,
        domain_name: str,
        plan: Mapping[str, Any],
    ) -> Lease:
        """Record the intent durably and take the domain. Raises `Busy` when somebody else has it."""

    def take_over(self, operation: OperationRecord) -> Lease:
        """Become the owner of an open operation whose owner is gone. Raises `Busy` while it is not."""

    def enter(self, lease: Lease, step: str) -> None:
        """Record that the effect of `step` may begin to exist."""

    def complete(self, lease: Lease, step: str, facts: Mapping[str, Any], entering: str | None = None) -> None:
        """Record that `step` was observed done, merge `facts` into the operation's, and that the effect
        of the step `entering` may begin to exist."""

    def close(self, lease: Lease, state: OperationState, error: str | None = None) -> None:
        """Settle the operation (done or undone), release the lease. Repeating it changes nothing."""

    # what operations commit: each one transaction under the lease
    def commit_checkpoint(
        self,
        lease: Lease,
        checkpoint: Checkpoint,
        chains: Sequence[Layer],
        head: Head,
        overlays: Sequence[Layer],
    ) -> None:
        """Record a checkpoint, the layers it froze with all below them (`chains`), the new active
        overlays, and the head that stands on it. Repeating it changes nothing."""

    def commit_rollback(self, lease: Lease, head: Head, overlays: Sequence[Layer]) -> list[Layer]:
        """Move the head onto new active overlays.

        Returns the layers of ours that nothing needs any more, and marks them discarded by this
        operation: they stay catalogued until `forget_layers`. Repeating it returns the same.
        """

    def hide_checkpoint(self, lease: Lease, checkpoint_id: str) -> list[Layer]:
        """Put a checkpoint into state `deleting` and mark what only it needs as discarded by this
        operation; returns those layers. Its children, and a head that stands on it, stand on its parent
        from then on. Repeating it returns the same."""

    def begin_rewrite(self, lease: Lease, path: str) -> None:
        """Say that this operation pulls data into a layer: its facts are no longer those recorded."""

    def commit_rewrite(self, lease: Lease, layer: Layer) -> list[Layer]:
        """Record what a layer is after it was rewritten: its backing file and facts.

        Returns the layers of ours that nothing needs any more, marked as discarded by this operation.
        Repeating it returns the same.
        """

    def edit_checkpoint(self, lease: Lease, checkpoint_id: str, labels: Labels) -> None:
        """Say other things of a ready checkpoint. Repeating it changes nothing."""

    def record_sha256(self, lease: Lease, checkpoint_id: str, sha256: str) -> None: ...
    def forget_layers(self, lease: Lease, paths: Sequence[str]) -> None:
        """Drop the rows of files that are gone."""

    def forget_checkpoint(self, lease: Lease, checkpoint_id: str) -> None:
        """Drop a hidden checkpoint whose files are gone."""

    # what replaces a catalog that was lost
    def rebuild(self, host: Host, domains: Sequence[RebuiltDomain]) -> None:
        """Record these domains in one transaction. Raises `Refused` when the catalog already has a
        checkpoint or an open operation of that host."""

    # what verify found: no lease, as no domain is changed
    def mark_damage(self, checkpoint_id: str, damage: str | None) -> None:
        """Say on a checkpoint what is wrong with it, or that nothing is any more. Harmless when it is gone."""

    def record_memory_read(self, checkpoint_id: str, sha256: str) -> None:
        """Record the SHA-256 of a memory image, unless there is one."""

    def record_layer_read(self, host_uuid: str, layer: Layer, sha256: str) -> None:
        """Record the SHA-256 of a layer that was read while `layer` was what the catalog said of it,
        unless there is one, or the catalog says something else by now."""

    def close_connection(self) -> None: ...
