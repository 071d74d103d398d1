"""What `snapctl catalog` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...model import Adoption, Rebuilt
from .columns import Column, align
from .units import counted, escaped, size

if TYPE_CHECKING:  # at run time it would load SQLAlchemy
    from ...catalog import CatalogInfo, UnfinishedOperation, Upgrade


def info(found: CatalogInfo) -> Iterator[str]:
    """A name and a value a line."""
    version = found.revision or "none: created at first use"
    if found.revision and found.revision != found.newest_revision:
        version += f" (this snapctl works with {found.newest_revision})"
    rows = [
        ("catalog", escaped(found.url)),
        ("schema", version),
        ("id", found.id or ""),
        ("size", size(found.size_bytes) if found.size_bytes is not None else ""),
        *((escaped(table), str(count)) for table, count in found.counts.items()),
    ]
    return align((Column(), Column()), [row for row in rows if row[1]], None)


def upgraded(done: Upgrade) -> str:
    if done.before == done.after:
        return f"the catalog already has the newest schema, {done.after}"
    kept = f"; backup of the old one: {escaped(str(done.backup))}" if done.backup else ""
    left = f"; {counted(len(done.abandoned), 'operation')} abandoned" if done.abandoned else ""
    return f"catalog upgraded from schema {done.before} to {done.after}{left}{kept}"


def unfinished(operation: UnfinishedOperation) -> str:
    progress = f", interrupted at {escaped(operation.step)}" if operation.step and not operation.in_progress else ""
    return f"unfinished: {escaped(str(operation))}{progress}"


def abandonment(operations: Sequence[UnfinishedOperation]) -> str:
    """The question before unfinished operations are left as they are."""
    domains = sorted({f"{each.domain} on {each.host}" for each in operations})
    files = "its files are kept" if len(domains) == 1 else "their files are kept"
    return (
        f"Abandon {counted(len(operations), 'operation')}? "
        f"snapctl can then no longer change {escaped(', '.join(domains))}; {files}."
    )


def rebuilt(done: Rebuilt) -> Iterator[str]:
    """How much there is again, and of which domains."""
    domains = sorted({escaped(each.domain) for each in done.checkpoints})
    checkpoints = counted(len(done.checkpoints), "checkpoint")
    yield (
        f"catalog rebuilt: {checkpoints} of {', '.join(domains)}"
        if domains
        else "catalog rebuilt: the store has no checkpoints"
    )


def adoption(planned: Adoption) -> dict[str, object]:
    """The plan, as JSON has it."""
    return {
        "store": planned.store,
        "catalog": planned.catalog,
        "owner": planned.owner,
        "lines": list(planned.lines()),
        "checkpoints": [f"{each.domain_name}/{each.name}" for domain in planned.domains for each in domain.checkpoints],
        "skipped": [each.directory for each in planned.skipped],
        "missing": list(planned.missing),
    }


def question(planned: Adoption) -> str:
    """What is asked before a store gets another owner."""
    if planned.is_renamed:
        return f"Is this the host that the store {escaped(planned.store)} is recorded with?"
    return " ".join((*_consequences(planned), f"Adopt the store for the catalog {escaped(planned.catalog)}?"))


def _consequences(planned: Adoption) -> Iterator[str]:
    """A sentence each."""
    checkpoints = counted(sum(len(each.checkpoints) for each in planned.domains), "checkpoint")
    yield f"The store {escaped(planned.store)} has {checkpoints}."
    if left := len(planned.skipped):
        yield "1 directory in it cannot be used." if left == 1 else f"{left} directories in it cannot be used."
    if lost := len(planned.missing):
        yield (
            f"{counted(lost, 'checkpoint')} of this host that this catalog has, but the store has not, "
            "will no longer be listed."
        )
    if planned.owner:
        yield (
            f"The store belongs to {escaped(planned.owner)}: that catalog can change nothing in it afterwards, "
            "and what only that catalog knows is lost."
        )


def adopted(planned: Adoption, done: Rebuilt) -> Iterator[str]:
    if planned.is_ours:
        yield from map(escaped, planned.lines())
    elif planned.is_renamed:
        yield f"{escaped(planned.store)}: this is the host that it is recorded with"
    else:
        domains = sorted({escaped(each.domain) for each in done.checkpoints})
        of = f" of {', '.join(domains)}" if domains else ""
        yield f"{escaped(planned.store)} adopted: {counted(len(done.checkpoints), 'checkpoint')}{of}"


def left_out(done: Rebuilt) -> Iterator[str]:
    """What needs a person's attention, a line each."""
    for each in done.skipped:
        name = f" ({escaped(each.checkpoint)})" if each.checkpoint else ""
        yield f"left out: {escaped(each.directory)}{name}: {escaped(each.reason)}"
    known = {each.domain for each in done.checkpoints}
    for domain in done.headless:
        if domain in known:
            yield f"{escaped(domain)} has no current checkpoint: roll it back to one"
        else:
            yield f"{escaped(domain)}: what its disks in the store are backed by is unknown: copy them out of it"
    for checkpoint in done.unparented:
        yield f"{escaped(checkpoint)}: its parent was deleted, and the one above cannot be determined"
    if done.checkpoints:
        yield "check the files of the checkpoints: snapctl verify"
