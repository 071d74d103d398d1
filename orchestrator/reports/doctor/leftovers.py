"""What doctor says of directories that the catalog does not know, and of files that are too many. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model import Advice, Checkpoint, some
from ...store.contents import Directory
from ...store.layout import domain_of_place
from ...units import KIB, MIB
from .advice import count, note, ok, warning
from .facts import DoctorFacts
from .orphans import Orphans


def leftovers(facts: DoctorFacts, orphans: Orphans, *, cleaned: bool) -> Iterator[Advice]:
    found = [
        *_orphans(facts, orphans, cleaned=cleaned),
        *_layers(facts, orphans, cleaned=cleaned),
        *(*_empty(facts), *_unmarked(facts), *_extra_files(facts)),
    ]
    yield from found or [ok("directories", "every directory and file in the store is in the catalog")]


def _orphans(facts: DoctorFacts, orphans: Orphans, *, cleaned: bool) -> Iterator[Advice]:
    if orphans.checkpoints:
        yield _uncatalogued([each.record.checkpoint for each in orphans.checkpoints if each.record], facts)
    for directory in orphans.removable:
        if cleaned:
            yield ok("directories", f"removed {directory.path} with {_size(directory)}")
        else:
            yield warning(
                "directories", f"{directory.path} is not in use ({_size(directory)})", "snapctl doctor --clean"
            )
    for directory, reason in orphans.kept:
        yield note(
            "directories",
            f"{directory.path} ({_size(directory)}) is not in the catalog; it was not touched: {reason}",
            _to_inspect(directory.path),
        )


def _to_inspect(directory: str) -> str:
    return f"to inspect it: virsh pool-create-as inspect dir --target {directory} && virsh vol-list inspect --details"


def _layers(facts: DoctorFacts, orphans: Orphans, *, cleaned: bool) -> Iterator[Advice]:
    """What an operation discarded and kept, as something else was backed by it."""
    if facts.is_store_gone:
        return
    sizes = {info.path: f"{info.allocation // KIB} KiB" for info in facts.store.files()}
    for path in orphans.layers:
        if cleaned:
            yield ok("layers", f"removed {path} with {sizes.get(path, 'nothing')}")
        else:
            what = f"{path} ({sizes.get(path, 'missing')}) was discarded, and is no longer in use"
            yield warning("layers", what, "snapctl doctor --clean")
    for path in orphans.layers_in_use:
        user = orphans.users.get(path, "another layer or a domain uses it")
        yield note("layers", f"{path} ({sizes.get(path, 'missing')}) was discarded, and is kept: {user}")


def _uncatalogued(checkpoints: Sequence[Checkpoint], facts: DoctorFacts) -> Advice:
    names = some([f"{each.domain_name}/{each.name}" for each in checkpoints])
    is_new = not facts.checkpoints and not facts.operations
    catalog = "" if is_new else "--catalog URL "  # a used one is not rebuilt into
    mib = sum(each.own_bytes for each in checkpoints) // MIB
    return warning(
        "directories",
        f"the store has {count(len(checkpoints), 'checkpoint')} that are not in the catalog: {names} ({mib} MiB)",
        f"if no other catalog has them: snapctl {catalog}catalog adopt",
    )


def _size(directory: Directory) -> str:
    allocated = sum(facts.allocation for facts in directory.files)
    return f"{count(len(directory.files), 'file')}, {allocated // KIB} KiB"


def _empty(facts: DoctorFacts) -> Iterator[Advice]:
    """Directories directly in the store that are of no domain: a domain's own waits for its next checkpoint.

    Without a manifest it is unknown whose they are, and the hypervisor does not list all that may be in them.
    """
    heads = (each.head.domain_uuid for each in facts.standings)
    known = {*facts.domains, *heads, *facts.busy, *(each.checkpoint.domain_uuid for each in facts.checkpoints)}
    for path in facts.store.empty:
        if domain_of_place(path) not in known:
            yield note(
                "directories",
                f"{path} is empty, and belongs to no domain of the hypervisor or the catalog; it was not touched",
                f"if it is not in use, on the hypervisor: rmdir {path}",
            )


def _unmarked(facts: DoctorFacts) -> Iterator[Advice]:
    """Directories of which the catalog knows more than their manifests say."""
    whole = {each.checkpoint.directory for each in facts.checkpoints}
    bad = [
        each.path for each in _settled(facts) if each.manifest is None or (each.record is None and each.path in whole)
    ]
    if bad:
        yield note(
            "directories",
            f"no sound manifest in {some(bad)}: a rebuilt catalog would lack its checkpoint",
            "keep backups of the catalog: snapctl catalog backup FILE",
        )


def _extra_files(facts: DoctorFacts) -> Iterator[Advice]:
    for directory in _settled(facts):
        for path in sorted(directory.paths - facts.catalogued_files - facts.left_over_files):
            yield note("directories", f"{path} is not in the catalog", "inspect it: snapctl does not remove it")


def _settled(facts: DoctorFacts) -> Iterator[Directory]:
    """Those that the catalog knows, where no operation is at work: what that makes is catalogued in the end."""
    for directory in facts.store.directories:
        if directory.path in facts.catalogued_directories and directory.domain_uuid not in facts.busy:
            yield directory
