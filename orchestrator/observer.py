"""What only reads: lists, sums, checks. The first half of the door; `coordinator` is the other."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime, timedelta
from posixpath import normpath
from types import TracebackType
from typing import Required, Self, TypedDict, Unpack

from .engine.story import FaultPoint
from .errors import Refused, UsageError
from .model import (
    Acceptance,
    Advice,
    CheckpointDetails,
    CheckpointSummary,
    Cleaning,
    OperationRecord,
    Unsettled,
    Usage,
    VerifyReport,
)
from .operations.shared.depth import SOFT_LIMIT
from .operations.shared.guest import Guest, catalogued, checkpoint_of, find, fresh, recorded, wanted_checkpoint
from .operations.shared.site import Site
from .ports import Catalog, Hypervisor, Progress, silent
from .reports.accept import Accepting
from .reports.doctor import examine, plan_cleaning
from .reports.listing import details
from .reports.unsettled import report_open
from .reports.usage import gather, sum_up
from .reports.verify import Verification
from .settings import Settings
from .store.ownership import Ownership
from .units import MIB


def no_point(name: str) -> None:
    """Fault points are for tests: they sit before and after each effect."""


class Options(TypedDict, total=False):
    """How a coordinator is made by hand; `open` takes all of it from the configuration."""

    store: Required[str]  # the directory on the hypervisor
    reserve_bytes: int  # free space to leave there
    soft_limit: int  # layers of a disk from which on a checkpoint warns
    progress: Progress  # is called during long steps
    point: FaultPoint  # is reached before and after each effect
    owner: Ownership  # of the store, when it was read already


class Observer:
    """The checkpoints of the domains of one hypervisor, as one catalog has them. Of a guest it changes nothing."""

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, **options: Unpack[Options]) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._progress = options.get("progress", silent)
        self._site = Site(
            hypervisor=hypervisor,
            catalog=catalog,
            store=normpath(options["store"]),
            reserve_bytes=options.get("reserve_bytes", 0),
            soft_limit=options.get("soft_limit", SOFT_LIMIT),
            owner=options.get("owner") or Ownership(hypervisor, catalog, normpath(options["store"])),
        )

    @classmethod
    def open(cls, settings: Settings, *, progress: Progress = silent) -> Self:
        """Connect to the hypervisor and open the catalog; raises `UsageError` or `EnvironmentLacks`."""
        from .catalog import open_catalog
        from .hypervisor import connect

        hypervisor = connect(
            settings.uri, connect_timeout=settings.connection.timeout_s, job_timeout=settings.job.timeout_s
        )
        try:
            keep = timedelta(days=settings.journal.keep_days)
            catalog = open_catalog(settings.catalog, hypervisor.host, keep=keep, create=False)
        except BaseException:
            hypervisor.close()
            raise
        try:
            return cls.identified(
                hypervisor,
                catalog,
                store=settings.store.path,
                reserve_bytes=settings.store.reserve_mib * MIB,
                soft_limit=settings.chain.soft_limit,
                progress=progress,
            )
        except BaseException:
            hypervisor.close()
            catalog.close_connection()
            raise

    @classmethod
    def identified(cls, hypervisor: Hypervisor, catalog: Catalog, **options: Unpack[Options]) -> Self:
        """With the host as the catalog knows it, whatever UUID libvirt reports; reads whose the store is."""
        owner = Ownership(hypervisor, catalog, normpath(options["store"]))
        options["owner"] = owner
        return cls(owner.identify(), catalog, **options)

    def close(self) -> None:
        self._hypervisor.close()
        self._catalog.close_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _guest(self, domain: str | Guest) -> Guest:
        return fresh(self._site, domain) if isinstance(domain, Guest) else find(self._site, domain)

    def _guests(self, domain: str | Guest | None) -> builtins.list[Guest]:
        """That domain, or all that have checkpoints."""
        return [self._guest(each) for each in (catalogued(self._site) if domain is None else [domain])]

    def _uuid(self, domain: str | Guest | None) -> str | None:
        if domain is None or isinstance(domain, Guest):
            return domain.uuid if domain else None
        return self._recorded(domain).uuid

    def _recorded(self, domain: str | Guest) -> Guest:
        """For verbs that are about the checkpoints of a name, and not about the guest that has it now."""
        return recorded(self._site, self._guest(domain))

    # ------------------------------------------------------------------ reading

    def current(self, domain: str | Guest) -> str:
        """The name of a domain's current checkpoint. Raises `Refused` when it has none."""
        return wanted_checkpoint(self._site, self._guest(domain), None).name

    def list(self, domain: str | Guest | None = None) -> builtins.list[CheckpointSummary]:
        """The checkpoints of a domain, or of all domains of the host, oldest first."""
        return self._catalog.summaries(self._uuid(domain))

    def show(self, domain: str | Guest, name: str) -> CheckpointDetails:
        return details(self._hypervisor.host, self._catalog, checkpoint_of(self._site, self._recorded(domain), name))

    def usage(self, domain: str | Guest | None = None) -> Usage:
        """What the checkpoints of a domain, or of all, occupy on disk now: asked of the hypervisor."""
        uuid = self._uuid(domain)
        return sum_up(gather(self._hypervisor, self._catalog, store=self._site.store, domain_uuid=uuid))

    def unfinished(self, domain: str | Guest | None = None) -> builtins.list[OperationRecord]:
        """The operations that are open now: in progress, or left behind by a crash."""
        return self._catalog.unsettled(self._uuid(domain))

    def unsettled(self, domain: str | Guest | None = None) -> builtins.list[Unsettled]:
        """The same, with what their guests are doing now."""
        return [report_open(self._hypervisor, self._catalog, each) for each in self.unfinished(domain)]

    # ------------------------------------------------------------------ checking

    def verify(self, domain: str | Guest | None = None, name: str | None = None, *, deep: bool = False) -> VerifyReport:
        """Compare the files of a checkpoint, of all of a domain, or of all of the host with the catalog.

        A checkpoint with findings is marked as damaged, and so is every other one that relies on the
        same file: none is rolled back to until a later verify finds it sound. With `deep` every file is
        read whole and its SHA-256 compared; that of a layer is recorded the first time. Raises
        `NotFound`, `Refused`, `EnvironmentLacks`; never for what it finds.
        """
        if domain is None:
            if name is not None:
                raise UsageError(f"checkpoint {name} was given without its domain")
            return self._verified(None, None, deep=deep)
        guest = self._recorded(domain)
        report = self._verified(guest.uuid, name, deep=deep)
        if name is not None and not report.checkpoints:
            checkpoint_of(self._site, guest, name)  # which raises unless it is there
            raise Refused(f"checkpoint {name} is being deleted", hint=f"see: snapctl list {guest.name}")
        return report

    def plan_acceptance(self, domain: str | Guest, name: str | None = None) -> Acceptance:
        """The files of a checkpoint, or of all of a domain, that differ from the catalog and may be accepted as they
        are now.

        Raises `IntegrityError` for what is proved to be different, or damaged in another way; `NotFound`.
        """
        guest = self._guest(domain)
        if name is not None:
            checkpoint_of(self._site, guest, name)
        return self._accepting().plan(self._catalog.summaries(guest.uuid, name))

    def accept(self, domain: str | Guest, name: str | None, agreed: Acceptance) -> VerifyReport:
        """Read those files whole, and record them as they are now; then verify. Raises `Refused` if they changed."""
        guest = self._guest(domain)
        self._accepting().run(self._catalog.summaries(guest.uuid, name), agreed)
        return self._verified(guest.uuid, name, deep=False)

    def _accepting(self) -> Accepting:
        return Accepting(self._hypervisor, self._catalog, self._progress)

    def _verified(self, domain_uuid: str | None, name: str | None, *, deep: bool) -> VerifyReport:
        verification = Verification(self._hypervisor, self._catalog, self._progress, deep=deep)
        return verification.run(self._catalog.summaries(domain_uuid, name))

    def plan_cleaning(self) -> Cleaning:
        """What `doctor` with `clean` would remove. Raises `Refused` when the store is another catalog's."""
        site = self._site
        site.owner.require()
        return plan_cleaning(
            self._hypervisor,
            self._catalog,
            store=site.store,
            reserve_bytes=site.reserve_bytes,
            now=datetime.now(UTC),
            owner=site.owner,
        )

    def doctor(self, *, clean: bool = False, agreed: Cleaning | None = None) -> builtins.list[Advice]:
        """Check hypervisor, store, catalog and guests, and recommend fixes.

        With `clean`, directories of ours that are not in use and whose overlays are empty, and layers that were
        discarded while in use, are removed, and helper domains that a collapse left behind are stopped; of these only
        what was `agreed` to, if that is given. Nothing else is ever changed.
        """
        site = self._site
        if clean:
            site.owner.require()
        return examine(
            self._hypervisor,
            self._catalog,
            store=site.store,
            reserve_bytes=site.reserve_bytes,
            now=datetime.now(UTC),
            clean=clean,
            owner=site.owner,
            agreed=agreed,
        )

    def notes(self) -> builtins.list[str]:
        """What the user of a catalog should know of it and of its host, for verbs that only read."""
        return self._site.owner.notes()
