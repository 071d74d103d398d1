"""A domain whose disks are no longer those that the catalog says: what is recorded of it, and what is lost. Pure.

Somebody detached a disk, moved it, or merged its layers. A checkpoint of it is made only where that is asked for
(`adopt`), and never on a layer that a checkpoint relies on and that was written to: that one has to be deleted first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import Refused
from ...model import Checkpoint, CheckpointSummary, Domain, Head, some
from .frozen import names, refusal, to_delete


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFacts:
    """`lost` has the layers that were written to since they froze, or may be, by path: the checkpoints that rely on
    them. The `parent` is asked for only where disks or chains differ from the catalog's."""

    rechained: tuple[str, ...] = ()  # targets of disks whose chain is another one, though their active layer is not
    lost: Mapping[str, tuple[CheckpointSummary, ...]] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()  # those of them that are not there at all
    parent: Checkpoint | None = None  # the current checkpoint


@dataclass(frozen=True, slots=True)
class Drift:
    """What a checkpoint has to say of it. `differs` are phrases; `is_root`: no earlier checkpoint is its parent."""

    differs: tuple[str, ...] = ()
    is_root: bool = False
    note: str | None = None


def judged(domain: Domain, head: Head | None, facts: DriftFacts, *, adopt: bool) -> Drift:
    """Raises `Refused` for disks that differ, unless they are to be adopted, and for checkpoints that would be lost."""
    moved = list(_moved(domain, head))
    present = [layer.path for disk in domain.writable_disks for layer in disk.chain]
    written = next((path for path in present if path in facts.lost), None)
    if written is not None:
        relying = facts.lost[written]
        if written not in domain.sources().values():
            raise refusal(domain.name, written, relying, is_missing=written in facts.missing)
        raise Refused(
            f"{domain.name} has changed {written}, or may: checkpoint {some(names(domain.name, relying))} relied on it",
            hint=f"roll back if it is unchanged, else: {to_delete(relying)}",
        )
    if moved and not adopt:
        target, path, now = moved[0]
        raise Refused(
            f"disk {target} of {domain.name} is {now or 'missing'}, the catalog says {path}",
            hint=f"roll back, or continue with its present disks: snapctl checkpoint {domain.name} --adopt",
        )
    lost = sorted({name for relying in facts.lost.values() for name in names(domain.name, relying)})
    note = None
    if facts.rechained:
        note = f"the chain of {', '.join(facts.rechained)} was changed outside snapctl, and is recorded as it is now"
    if lost:
        note = "; ".join([*([note] if note else []), f"checkpoint {some(lost)} is lost: a layer was written to"])
    is_root = bool(moved) and facts.parent is not None and not _is_backed_by(domain, facts.parent)
    return Drift(tuple(_differences(domain, moved, facts.parent, is_root=is_root)), is_root, note)


def _moved(domain: Domain, head: Head | None) -> list[tuple[str, str, str | None]]:
    """Target, what the catalog says, and what it is."""
    now = domain.sources()
    known = head.overlays if head is not None else {}
    return [(target, path, now.get(target)) for target, path in known.items() if now.get(target) != path]


def _differences(
    domain: Domain, moved: list[tuple[str, str, str | None]], parent: Checkpoint | None, *, is_root: bool
) -> list[str]:
    chained = {layer.path for disk in domain.writable_disks for layer in disk.chain}
    found = []
    for target, path, now in moved:
        kept = "" if path in chained else f"; {path} is kept until the checkpoints below it are deleted"
        found.append(f"disk {target} is {now}, not {path}{kept}" if now else f"disk {target} is not part of it{kept}")
    if is_root and parent is not None:
        found.append(f"it has no parent: its disks are not backed by those of {parent.name}")
    return found


def _is_backed_by(domain: Domain, parent: Checkpoint) -> bool:
    """Whether each disk that both have is backed by what the parent froze of it."""
    chains = {disk.target: {layer.path for layer in disk.chain} for disk in domain.writable_disks}
    common = [(target, layer.path) for target, layer in parent.layers.items() if target in chains]
    return bool(common) and all(path in chains[target] for target, path in common)
