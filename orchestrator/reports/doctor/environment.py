"""Checks of what snapctl works with: hypervisor, store, free space, catalog. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model import Advice, CatalogHealth, some
from ...operations.shared.depth import has_short_chains, numbers
from ...store.layout import OVERLAY_SIZE
from .advice import DAMAGED, count, error, note, ok, warning
from .facts import DoctorFacts

MIB = 1024 * 1024
MORE_SPACE = "delete checkpoints or enlarge the store"
OLDEST_LIBVIRT = (9, 0)
BEYOND_DIRECTORY = 0o066
"""What others may not do in the store: list or change it. Passing through they must, as QEMU is another user."""
BEYOND_FILE = 0o077
NETWORKED = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "gfs2", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs"),
        *("fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
    }
)
"""File systems on which several hosts may have one file open: SQLite's write-ahead log is not made for that."""


def hypervisor(facts: DoctorFacts) -> Iterator[Advice]:
    host = facts.host
    versions = f"libvirt {host.libvirt_version}, QEMU {host.qemu_version}"
    yield ok("hypervisor", f"connected to {host.uri}: {host.name}, {versions}")
    if numbers(host.libvirt_version) < OLDEST_LIBVIRT:
        yield warning(
            "hypervisor", f"libvirt {host.libvirt_version} is untested: it is older than 9.0", "use a newer one"
        )
    if has_short_chains(host.libvirt_version):
        yield note(
            "hypervisor",
            f"libvirt {host.libvirt_version} cannot start a guest with more than about 25 layers below a disk",
            "keep chains short, or use libvirt 12.0 or newer",
        )


# --------------------------------------------------------------------------- the store


def store(facts: DoctorFacts) -> Iterator[Advice]:
    contents = facts.store
    if facts.is_store_gone:
        number = count(len(facts.checkpoints), "checkpoint")
        what = f"the store {contents.path} is not there, or is empty, and the catalog has {number} of {facts.host.name}"
        yield error("store", what, "mount it, then run doctor again", DAMAGED)
        return
    if contents.itself is None:
        yield ok("store", f"{contents.path} does not exist yet: the first checkpoint creates it")
        return
    modes = {each.path: each.mode for each in (contents.itself, *contents.domains)}
    modes.update({each.path: each.mode for each in contents.directories})
    open_directories = [path for path, mode in modes.items() if mode & BEYOND_DIRECTORY]
    open_files = [each.path for each in contents.files() if each.mode & BEYOND_FILE]
    if open_directories:
        yield _too_open("list or change", open_directories, "chmod 0711")
    if open_files:
        yield _too_open("read or change", open_files, "chmod 0600")
    if contents.strays:
        yield note(
            "store", f"files in the store that snapctl did not create: {some(contents.strays)}", "move them elsewhere"
        )
    if not open_directories and not open_files:
        yield ok("store", f"{contents.path}: not accessible to other users")


def owner(facts: DoctorFacts) -> Iterator[Advice]:
    """Whose the store is, and what its host is known by."""
    if facts.is_store_gone:
        yield note("owner", f"what {facts.store.path} belongs to is not known, as it is not there")
    elif facts.refused is not None:
        yield warning("owner", facts.refused.problem, facts.refused.hint)
    elif facts.owner is None:
        yield ok("owner", f"{facts.store.path} belongs to no catalog yet: the first change makes it this one's")
    else:
        made = f"{facts.owner.user}@{facts.owner.client}, {facts.owner.since}"
        yield ok("owner", f"{facts.store.path} belongs to this catalog ({made})")
    if facts.was_reported is not None:
        yield note(
            "owner",
            f"libvirt reports another UUID of {facts.host.name} than before, {facts.was_reported}: "
            "the host is known by its store",
        )


def _too_open(may: str, paths: Sequence[str], command: str) -> Advice:
    return warning("store", f"other users may {may} {some(paths)}", f"on the hypervisor: {command} {paths[0]}")


def space(facts: DoctorFacts) -> Iterator[Advice]:
    """Enough for a rollback, at least, and for a checkpoint of the largest guest that runs and has some."""
    free = f"{facts.free_bytes // MIB} MiB free"
    domains = {each.checkpoint.domain_uuid for each in facts.checkpoints}
    running = [each for uuid, each in facts.domains.items() if uuid in domains and each.active]
    largest = max(running, key=lambda domain: domain.memory_bytes, default=None)
    if facts.free_bytes < facts.reserve_bytes + OVERLAY_SIZE:
        yield warning("space", f"{free} in the store: too little even for a rollback", MORE_SPACE)
    elif largest is not None and facts.free_bytes < facts.reserve_bytes + largest.memory_bytes:
        yield warning("space", f"{free} in the store: too little for a checkpoint of {largest.name}", MORE_SPACE)
    else:
        yield ok("space", f"{free} in the store")


# --------------------------------------------------------------------------- the catalog


def catalog(facts: DoctorFacts) -> Iterator[Advice]:
    health = facts.catalog_health
    if not health.exists:
        yield ok("catalog", f"{health.where} does not exist yet: the first checkpoint creates it")
        return
    found = list(_catalog(health))
    yield from found or [
        ok("catalog", f"{health.where}: {count(len(facts.checkpoints), 'checkpoint')} of {facts.host.name}")
    ]


def _catalog(health: CatalogHealth) -> Iterator[Advice]:
    if health.damage is not None:
        yield error(
            "catalog",
            f"the catalog {health.where} is damaged: {health.damage}",
            "restore a backup of it, or create a new one: snapctl --catalog URL catalog adopt",
            DAMAGED,
        )
    if health.mode is not None and health.mode & BEYOND_FILE:
        yield warning(
            "catalog", f"other users may read or change the catalog {health.where}", f"chmod 0600 {health.where}"
        )
    if health.file_system in NETWORKED:
        yield warning(
            "catalog",
            f"the catalog {health.where} is on a network file system ({health.file_system})",
            "keep it on a local disk, or in PostgreSQL",
        )
