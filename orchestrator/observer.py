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
    Advice,
    CheckpointDetails,
    CheckpointSummary,
    OperationRecord,
    Rebuilt,
    Usage,
    VerifyReport,
)
from .operations.shared.depth import SOFT_LIMIT
from .operations.shared.guest import Guest, catalogued, checkpoint_of, find, fresh, wanted_checkpoint
from .operations.shared.site import Site
from .ports import Catalog, Hypervisor, Progress, silent
from .reports.doctor import examine
from .reports.listing import details
from .reports.rebuild import rebuild
from .reports.usage import gather, sum_up
from .reports.verify import Verification
from .settings import Settings
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
            catalog = open_catalog(settings.catalog, hypervisor.host, keep=timedelta(days=settings.journal.keep_days))
        except BaseException:
            hypervisor.close()
            raise
        return cls(
            hypervisor,
            catalog,
            store=settings.store.path,
            reserve_bytes=settings.store.reserve_mib * MIB,
            soft_limit=settings.chain.soft_limit,
            progress=progress,
        )

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
        return find(self._site, domain).uuid

    # ------------------------------------------------------------------ reading

    def current(self, domain: str | Guest) -> str:
        """The name of a domain's current checkpoint. Raises `Refused` when it has none."""
        return wanted_checkpoint(self._site, self._guest(domain), None).name

    def list(self, domain: str | Guest | None = None) -> builtins.list[CheckpointSummary]:
        """The checkpoints of a domain, or of all domains of the host, oldest first."""
        return self._catalog.summaries(self._uuid(domain))

    def show(self, domain: str | Guest, name: str) -> CheckpointDetails:
        return details(self._hypervisor.host, self._catalog, checkpoint_of(self._site, self._guest(domain), name))

    def usage(self, domain: str | Guest | None = None) -> Usage:
        """What the checkpoints of a domain, or of all, occupy on disk now: asked of the hypervisor."""
        uuid = self._uuid(domain)
        return sum_up(gather(self._hypervisor, self._catalog, store=self._site.store, domain_uuid=uuid))

    def unfinished(self, domain: str | Guest | None = None) -> builtins.list[OperationRecord]:
        """The operations that are open now: in progress, or left behind by a crash."""
        return self._catalog.unsettled(self._uuid(domain))

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
        guest = self._guest(domain)
        report = self._verified(guest.uuid, name, deep=deep)
        if name is not None and not report.checkpoints:
            checkpoint_of(self._site, guest, name)  # which raises unless it is there
            raise Refused(f"checkpoint {name} is being deleted", hint=f"see: snapctl list {guest.name}")
        return report

    def _verified(self, domain_uuid: str | None, name: str | None, *, deep: bool) -> VerifyReport:
        verification = Verification(self._hypervisor, self._catalog, self._progress, deep=deep)
        return verification.run(self._catalog.summaries(domain_uuid, name))

    def doctor(self, *, clean: bool = False) -> builtins.list[Advice]:
        """Check hypervisor, store, catalog and guests, and recommend fixes.

        With `clean`, directories of ours that are not in use are removed, and helper domains that a collapse left
        behind are stopped; nothing else is ever changed.
        """
        site = self._site
        return examine(
            self._hypervisor,
            self._catalog,
            store=site.store,
            reserve_bytes=site.reserve_bytes,
            now=datetime.now(UTC),
            clean=clean,
        )

    def rebuild_catalog(self) -> Rebuilt:
        """Fill a new catalog from the store's manifests alone. Raises `Refused` when this one is in use."""
        return rebuild(self._hypervisor, self._catalog, self._site.store)
