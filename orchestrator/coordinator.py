"""The door: what the command line, reset scripts and test suites call.

A changing verb is a plan and its execution: `plan_x` only reads and returns what would be done, as a value;
`execute` does what such a value says, or refuses because the world has changed; `x` is both, after what was left
unfinished of the domain is settled. The values are the model's; everything that is raised is a `SnapctlError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Literal, Unpack, overload

from .executor import Executor
from .model import After, Outcome, PruneReport
from .operations.checkpoint import verb as checkpoint
from .operations.checkpoint.plan import CheckpointPlan
from .operations.checkpoint.verb import CheckpointOptions, FlattenedCheckpoint
from .operations.collapse import verb as collapse
from .operations.collapse.verb import Collapsing
from .operations.delete import verb as delete
from .operations.delete.verb import Deletion
from .operations.edit import verb as edit
from .operations.edit.plan import EditPlan, Edits
from .operations.keeping import verb as keeping
from .operations.keeping.plan import KeepingPlan
from .operations.prune import verb as prune
from .operations.prune.policy import Policy
from .operations.prune.verb import PruneOptions, Pruning
from .operations.rollback import verb as rollback
from .operations.rollback.plan import RollbackPlan
from .operations.shared.guest import Guest, agreed_checkpoint, wanted_checkpoint
from .operations.stack import verb as stack
from .operations.stack.verb import Pop


class Coordinator(Executor):
    """Checkpoints and rollbacks of the domains of one hypervisor, recorded in one catalog.

    Use it as a context manager::

        with Coordinator.open(settings.load(connect="qemu:///system")) as snapctl:
            snapctl.checkpoint("web01", "clean")
            ...
            snapctl.rollback("web01", "clean")

    or show what would be done, and do just that::

            guest = snapctl.settle("web01")
            plan = snapctl.plan_rollback(guest, "clean")
            print(*plan.lines(), sep="\\n")
            snapctl.execute(plan)

    A domain is given by its name or UUID, or as `settle` returned it, which saves looking it up again.
    One thread at a time. Several coordinators, in any number of processes, may share a catalog:
    there is one open operation per domain, and whoever comes second gets `Busy`.
    """

    # ------------------------------------------------------------------ checkpoint

    @overload
    def plan_checkpoint(
        self,
        domain: str | Guest,
        name: str | None = None,
        *,
        flatten: Literal[False] = ...,
        **options: Unpack[CheckpointOptions],
    ) -> CheckpointPlan: ...
    @overload
    def plan_checkpoint(
        self, domain: str | Guest, name: str | None = None, *, flatten: bool, **options: Unpack[CheckpointOptions]
    ) -> CheckpointPlan | FlattenedCheckpoint: ...
    def plan_checkpoint(
        self,
        domain: str | Guest,
        name: str | None = None,
        *,
        flatten: bool = False,
        **options: Unpack[CheckpointOptions],
    ) -> CheckpointPlan | FlattenedCheckpoint:
        """Save the memory of a domain and freeze its disks; without a name, a unique one is generated.

        With `flatten` its disks are made independent of their backing files first: see `flatten`. Raises
        `UsageError`, `NotFound`, `Refused` or `Busy`.
        """
        guest, asked = self._owned(domain), checkpoint.request(name, options)
        return (checkpoint.plan_flattened if flatten else checkpoint.plan)(self._site, guest, asked)

    def checkpoint(
        self, domain: str, name: str | None = None, *, flatten: bool = False, **options: Unpack[CheckpointOptions]
    ) -> Outcome:
        """See `plan_checkpoint` and `execute`."""
        plan = self.plan_checkpoint(self.settle(domain), name, flatten=flatten, **options)
        return self.execute(plan)

    # ------------------------------------------------------------------ rollback

    @overload
    def plan_rollback(
        self,
        domain: str | Guest,
        name: str | None = None,
        *,
        after: After = ...,
        keep_current: Literal[False] = ...,
        force: bool = ...,
        verify: bool = ...,
        without_media: bool = ...,
    ) -> RollbackPlan: ...
    @overload
    def plan_rollback(
        self,
        domain: str | Guest,
        name: str | None = None,
        *,
        after: After = ...,
        keep_current: bool,
        keep_name: str | None = ...,
        force: bool = ...,
        verify: bool = ...,
        without_media: bool = ...,
    ) -> RollbackPlan | KeepingPlan: ...
    def plan_rollback(
        self,
        domain: str | Guest,
        name: str | None = None,
        *,
        after: After = After.AS_SAVED,
        keep_current: bool = False,
        keep_name: str | None = None,
        force: bool = False,
        verify: bool = False,
        without_media: bool = False,
    ) -> RollbackPlan | KeepingPlan:
        """Roll a domain back to a checkpoint, by default its current one. Its present state is discarded, unless
        `keep_current` keeps it as a checkpoint (`keep_name`, or a generated name): both are one operation.

        The checkpoint's files are checked, and whether the host can restore such a guest; with `force` it is tried
        although it seems that it cannot. `without_media` leaves drives empty whose media are missing or others. With
        `verify` the files are read whole first: a deep `verify`, which marks
        the checkpoint as damaged, or as sound again. Raises `Refused`, `Busy`, `NotFound` or `IntegrityError`.
        """
        guest = self._owned(domain)
        wanted = wanted_checkpoint(self._site, guest, name)
        if verify:  # which may take hours
            self.verify(guest, wanted.name, deep=True)
            guest, wanted = self._owned(guest), agreed_checkpoint(self._site, guest, wanted.id, wanted.name)
        if keep_current:
            return keeping.plan(self._site, guest, wanted, after, keep_name, force=force, without_media=without_media)
        return rollback.plan(self._site, guest, wanted, after, force=force, without_media=without_media)

    def rollback(
        self,
        domain: str,
        name: str | None = None,
        *,
        after: After = After.AS_SAVED,
        keep_current: bool = False,
        keep_name: str | None = None,
        verify: bool = False,
        force: bool = False,
        without_media: bool = False,
    ) -> Outcome:
        """See `plan_rollback` and `execute`."""
        plan = self.plan_rollback(
            self.settle(domain),
            name,
            after=after,
            keep_current=keep_current,
            keep_name=keep_name,
            force=force,
            verify=verify,
            without_media=without_media,
        )
        return self.execute(plan)

    @overload
    def plan_undo(self, domain: str | Guest, *, keep_current: Literal[False] = ...) -> RollbackPlan: ...
    @overload
    def plan_undo(
        self, domain: str | Guest, *, keep_current: bool, keep_name: str | None = ...
    ) -> RollbackPlan | KeepingPlan: ...
    def plan_undo(
        self, domain: str | Guest, *, keep_current: bool = False, keep_name: str | None = None
    ) -> RollbackPlan | KeepingPlan:
        """Undo the last rollback, memory and disks: roll back to the state that it kept.

        With `keep_current` this can itself be undone. Raises `Refused` when the last rollback kept nothing, or that
        is gone; else as `plan_rollback` does.
        """
        guest = self._owned(domain)
        kept = rollback.kept_checkpoint(self._site, guest).name
        return self.plan_rollback(guest, kept, keep_current=keep_current, keep_name=keep_name)

    def undo(self, domain: str, *, keep_current: bool = False, keep_name: str | None = None) -> Outcome:
        """See `plan_undo` and `execute`."""
        return self.execute(self.plan_undo(self.settle(domain), keep_current=keep_current, keep_name=keep_name))

    # ------------------------------------------------------------------ push, pop

    def push(self, domain: str, *, description: str = "") -> Outcome:
        """Checkpoint a domain under a generated name, for `pop` to find."""
        return self.checkpoint(domain, stack.name_to_push(), description=description)

    def plan_pop(self, domain: str | Guest, *, keep: bool = False) -> Pop:
        """Roll back to what was pushed last and delete that checkpoint, unless `keep`.

        Raises `Refused` when nothing was pushed; else as `plan_rollback` does.
        """
        return stack.plan_pop(self._site, self._owned(domain), keep=keep)

    def pop(self, domain: str, *, keep: bool = False) -> list[Outcome]:
        """See `plan_pop` and `execute`."""
        return self.execute(self.plan_pop(self.settle(domain), keep=keep))

    # ------------------------------------------------------------------ edit

    def plan_edit(self, domain: str | Guest, name: str, edits: Edits) -> EditPlan:
        """Give a checkpoint another name, description, tags or expiry time, or protect it from `prune`.

        Raises `UsageError`, `NotFound`, `Refused` (the name is taken) or `Busy`.
        """
        return edit.plan(self._site, self._owned(domain), name, edits)

    def edit(self, domain: str, name: str, edits: Edits) -> Outcome:
        """See `plan_edit` and `execute`."""
        return self.execute(self.plan_edit(self.without_open(domain), name, edits))

    def protect(self, domain: str, names: Sequence[str], *, protected: bool = True) -> list[Outcome]:
        """Exclude these checkpoints from `prune`, or include them again. Raises `NotFound` before any is changed."""
        return self.execute(edit.plan_all(self._site, self.without_open(domain), names, Edits(protected=protected)))

    # ------------------------------------------------------------------ delete, prune

    def plan_delete(
        self,
        domain: str | Guest,
        names: Sequence[str],
        *,
        recursive: bool = False,
        collapse: bool = True,
        with_reasons: bool = True,
        force: bool = False,
    ) -> Deletion:
        """Delete checkpoints, with `recursive` all their descendants, too: one plan a checkpoint, children first.

        Other checkpoints and the running guest are not affected: a descendant of a deleted one
        descends from its parent from then on. Layers are removed when nothing needs them; with `collapse`,
        those that only one layer needs by then are collapsed into it, as far as no running guest uses them
        (`plan_collapse` has what is deferred). `with_reasons` finds out what needs the layers that are kept. The only
        copy of the memory of a guest that is off goes only with `force`.
        Raises `NotFound` or `Refused`.
        """
        guest = self._recorded(self._owned(domain))
        return delete.plan(
            self._site, guest, names, recursive=recursive, collapsing=collapse, with_reasons=with_reasons, force=force
        )

    def delete(
        self,
        domain: str,
        names: Sequence[str],
        *,
        recursive: bool = False,
        collapse: bool = True,
        force: bool = False,
    ) -> list[Outcome]:
        """See `plan_delete` and `execute`."""
        guest = self.settle(domain)
        return self.execute(
            self.plan_delete(guest, names, recursive=recursive, collapse=collapse, with_reasons=False, force=force)
        )

    def plan_prune(
        self,
        domain: str | Sequence[Guest] | None,
        policy: Policy,
        *,
        now: datetime | None = None,
        zone: tzinfo | None = None,
        collapse: bool = True,
    ) -> Pruning:
        """Delete the checkpoints of a domain, or of each domain of the host, that a policy does not keep.

        The current checkpoint of a domain and protected ones are always kept. Days and the like are those of
        `zone`, of this computer's local time without it. With `collapse`, layers are collapsed as after
        `delete`. Operations that are open by then are settled when the plan is executed, which may remove less
        than planned, never more.
        Raises `UsageError` or `NotFound`.
        """
        options = PruneOptions(policy=policy, now=now or datetime.now(UTC), zone=zone, collapsing=collapse)
        guests = self._owned_guests(domain) if domain is None or isinstance(domain, str) else domain
        return prune.plan(self._site, guests, options)

    def prune(
        self,
        domain: str | None,
        policy: Policy,
        *,
        now: datetime | None = None,
        zone: tzinfo | None = None,
        collapse: bool = True,
    ) -> PruneReport:
        """See `plan_prune` and `execute`. A domain that fails does not keep the others from being pruned: its error
        is raised at the end."""
        return self.execute(self.plan_prune(self.settle_all(domain), policy, now=now, zone=zone, collapse=collapse))

    # ------------------------------------------------------------------ collapse, flatten

    def plan_collapse(self, domain: str | Guest | None = None) -> Collapsing:
        """Collapse layers that no checkpoint needs into the only layer that needs them, as far as possible now.

        Of a domain, or of each that has checkpoints. What cannot be now, because a running guest has it
        below its disk, is left alone, and named in the plan. A busy domain or a damaged layer does not keep the others
        from their turn: it is the plan's `failure`, which is raised at the end.
        """
        return collapse.plan(self._site, self._owned_guests(domain))

    def collapse(self, domain: str | None = None) -> list[Outcome]:
        """See `plan_collapse` and `execute`."""
        guests = self.settle_all() if domain is None else [self.settle(domain)]
        return self.execute(collapse.plan(self._site, guests))

    def plan_flatten(self, domain: str | Guest) -> Collapsing:
        """Copy all that a domain's disks are backed by into its active overlays: its chains are one layer long then.

        One plan a disk. Its checkpoints keep what they need. Takes as much space as the guest has data. Raises as
        `plan_collapse`.
        """
        return collapse.plan_flatten(self._site, self._owned(domain))

    def flatten(self, domain: str) -> list[Outcome]:
        """See `plan_flatten` and `execute`."""
        return self.execute(self.plan_flatten(self.settle(domain)))
