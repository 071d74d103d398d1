"""What the verbs return that look after many checkpoints: verify, prune, rebuild, usage, doctor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .checkpoint import Checkpoint, CheckpointSummary, Head
from .layer import Layer
from .operation import Outcome, Recovered


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One file that is not what the catalog says, or that a domain may change."""

    path: str
    problem: str  # one line; it names the file, and what differs
    lost: tuple[str, ...] = ()  # the checkpoints that rely on the file, as DOMAIN/NAME
    acceptable: bool = False  # nothing proves that its content is not what it was: its user may say that it is right


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A file that is accepted as it is now, though the catalog says something else of it."""

    domain: str
    checkpoint: str
    path: str
    difference: str
    relying: tuple[str, ...] = ()  # the checkpoints that rely on the file, as DOMAIN/NAME: it is accepted for each


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What is to be accepted: for each checkpoint its files, and how they differ."""

    files: tuple[Accepted, ...]

    def lines(self) -> list[str]:
        accepted = [f"accept {each.path} for {each.domain}/{each.checkpoint}: {each.difference}" for each in self.files]
        shared = {each.path: each.relying for each in self.files if len(each.relying) > 1}
        return [
            *accepted,
            *(
                f"{', '.join(relying)} rely on {path}: accept it only if it is what it was when each was made"
                for path, relying in shared.items()
            ),
        ]

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The checkpoints that it concerns beside those that it was asked for, as DOMAIN/NAME."""
        named = {(each.path, f"{each.domain}/{each.checkpoint}") for each in self.files}
        others = (other for each in self.files for other in each.relying if (each.path, other) not in named)
        return tuple(dict.fromkeys(others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What verify found of one checkpoint."""

    domain: str
    name: str
    id: str
    findings: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        return not self.findings

    @property
    def acceptable(self) -> bool:
        """Whether `verify --accept` can make it sound again."""
        return not self.sound and all(finding.acceptable for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What verify did. Each file is inspected once, however many checkpoints rely on them."""

    checkpoints: tuple[Verdict, ...]
    read_bytes: int  # in whole files that were hashed
    seconds: float  # it all took

    @property
    def damaged(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.checkpoints if not verdict.sound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a prune makes of one checkpoint, and by which rules."""

    checkpoint: CheckpointSummary
    kept: bool
    reasons: tuple[str, ...]  # never empty; a few words each


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a prune decided, domain by domain, the newest checkpoint first, and what came of it."""

    decisions: tuple[Decision, ...]
    outcomes: tuple[Outcome, ...] = ()  # of the deletions; none for a plan
    recovered: tuple[Recovered, ...] = ()  # what had to be settled first

    @property
    def removed(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltDomain:
    """What the manifests of the store say of one domain. `mixed_directories` have other files, too, than those that are
    catalogued, of an operation that was open when the catalog was lost. `unparented` are names of checkpoints whose
    parent was deleted and of which they do not say what is above it."""

    host_uuid: str
    domain_uuid: str
    name: str
    seen: datetime  # when an operation was last begun on it
    checkpoints: tuple[Checkpoint, ...]  # each after its parent
    layers: tuple[Layer, ...]  # all that the checkpoints rely on
    head: Head | None
    overlays: tuple[Layer, ...] = ()  # those of the head
    unparented: tuple[str, ...] = ()
    mixed_directories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A directory of the store that did not come into a rebuilt catalog, or not whole."""

    directory: str
    checkpoint: str | None  # its name, where there is one
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a catalog was rebuilt with."""

    checkpoints: tuple[CheckpointSummary, ...]
    headless: tuple[str, ...]  # names of domains of which it cannot be determined where they are
    skipped: tuple[Skipped, ...]
    unparented: tuple[str, ...] = ()  # checkpoints whose parent cannot be determined, as DOMAIN/NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFiles:
    """A checkpoint by the files of ours that it has."""

    domain: str
    domain_uuid: str
    name: str
    id: str
    files: tuple[str, ...]  # paths of those that it alone has: its memory image and its sidecars
    memory: str | None  # which of them is the memory image
    layers: tuple[str, ...]  # paths of its frozen ones
    exclusive: tuple[str, ...]  # of the layers that nothing but it needs, frozen by it or further down


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFiles:
    """The catalogued layers of one domain, by path. `external` are those that snapctl did not create."""

    domain: str
    domain_uuid: str
    frozen: tuple[str, ...]  # all of ours but the active overlays
    active: tuple[str, ...]
    external: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All files that the catalog has of some domains."""

    domains: tuple[DomainFiles, ...]  # by name
    checkpoints: tuple[CheckpointFiles, ...]  # oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointUsage:
    """What a checkpoint occupies on disk now. `disk_bytes` are those of its frozen layers of ours."""

    domain: str
    domain_uuid: str
    name: str
    id: str
    memory_bytes: int
    disk_bytes: int
    exclusive_bytes: int  # what to delete it alone would free
    shared_bytes: int  # of `disk_bytes`: what something else needs, too
    sidecar_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainUsage:
    """What the files of a domain occupy. `own_bytes` are of the user's own files and no part of the sum."""

    domain: str
    domain_uuid: str
    memory_bytes: int  # its memory images
    frozen_bytes: int  # its frozen layers
    active_bytes: int  # its active overlays
    manifest_bytes: int  # what says in the store what the others are
    own_bytes: int
    sidecar_bytes: int = 0  # what else its checkpoints keep

    @property
    def bytes(self) -> int:
        """Of what snapctl made."""
        return self.memory_bytes + self.frozen_bytes + self.active_bytes + self.manifest_bytes + self.sidecar_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What checkpoints occupy, as the hypervisor says. All bytes are allocation: what files take on disk."""

    store: str
    total_bytes: int  # of the file system that the store is on
    free_bytes: int
    uncatalogued_bytes: int  # of files in the store, as far as it was listed, that are not in the catalog
    domains: tuple[DomainUsage, ...]
    checkpoints: tuple[CheckpointUsage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogHealth:
    """What a catalog is kept in. The last three are None for one on a database server."""

    where: str  # its URL, without password
    mode: int | None = None  # of its file
    file_system: str | None = None  # the type of the one that holds the file
    damage: str | None = None  # what SQLite's own check says, None if all is well
    exists: bool = True  # False for one that the first change creates


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # to be known, not to be acted on
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that doctor checked. `exit_code` is that of the class of failure that it is, or leads to."""

    level: Level
    about: str  # hypervisor, store, catalog, ...
    what: str
    advice: str = ""  # what to do
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What `doctor --clean` removes."""

    directories: tuple[str, ...] = ()  # of overlays that nothing was written to
    layers: tuple[str, ...] = ()  # that an operation discarded, and that nothing uses any more
    helpers: tuple[str, ...] = ()  # helper domains, by name

    def lines(self) -> list[str]:
        return [
            *(f"remove the directory {path}, in which nothing was written" for path in self.directories),
            *(f"remove {path}, which was discarded" for path in self.layers),
            *(f"stop the helper domain {name}" for name in self.helpers),
        ]
