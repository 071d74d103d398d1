"""What closing an open operation as it is leaves: each file, what it is, and how one goes on by hand. Pure.

The plan of the operation is taken as the journal has it, as another version of snapctl may have written it: what is not
understood is left out, and the directory is named all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...model import Direction, OperationKind, OperationRecord
from ...store.layout import is_plain, operation_directory


@dataclass(frozen=True, slots=True)
class LeftFile:
    path: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandonment:
    """One operation that is to be closed with everything kept. Nothing is changed on the hypervisor."""

    record: OperationRecord
    guests: tuple[str, ...]  # what each is doing now
    files: tuple[LeftFile, ...]
    ways: tuple[str, ...]  # how one goes on by hand

    def lines(self) -> list[str]:
        record = self.record
        return [
            f"close the {record.kind.label} of {record.domains} as it is ({record.progress}): {'; '.join(self.guests)}",
            *(f"keep {file.path}: {file.what}" for file in self.files),
            *self.ways,
        ]


def left_files(record: OperationRecord, store: str) -> list[LeftFile]:
    """Whether they are there is for the hypervisor to say."""
    found: dict[str, str] = {}
    for member in record.members:
        for kind, plan in _parts(record.kind, member.plan):
            for path, what in _named(kind, plan, member.domain_name):
                if is_plain(path):
                    found.setdefault(path, what)
        found.setdefault(
            operation_directory(store, member.domain_uuid, record.id), f"what this {record.kind.label} created"
        )
    return [LeftFile(path, what) for path, what in found.items()]


def _parts(kind: OperationKind, plan: Mapping[str, Any]) -> list[tuple[OperationKind, Mapping[str, Any]]]:
    """Of an operation that is two. The overlays are those of the first."""
    if kind is not OperationKind.KEEPING_ROLLBACK:
        return [(kind, plan)]
    both = ((OperationKind.ROLLBACK, plan.get("back")), (OperationKind.CHECKPOINT, plan.get("keep")))
    return [(each, part) for each, part in both if isinstance(part, Mapping)]


def _named(kind: OperationKind, plan: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    if image := _text(plan, "memory_path"):
        what = f"the memory of {name}" if kind is OperationKind.CHECKPOINT else "the memory image of the checkpoint"
        yield image, what
    for overlay in _items(plan, "overlays"):
        path, below, target = (_text(overlay, key) for key in ("path", "backing", "target"))
        if path:
            yield path, f"new overlay of disk {target}, backed by {below}"
        if below and kind is OperationKind.CHECKPOINT:
            yield below, f"disk {target} that the memory was saved with"
    for disk in (*_items(plan, "previous"), *_items(plan, "defined")):
        source = disk.get("source")
        if isinstance(source, Mapping) and (path := _text(source, "path")):
            yield path, f"disk {_text(disk, 'target')} as it was before"
    for key, what in (("discards", "held the state before"), ("layers", "a layer that was to be removed")):
        for each in plan.get(key) or ():
            if isinstance(each, str):
                yield each, what
    for key in ("layer", "layer_path", "path"):
        if path := _text(plan, key):
            yield path, "the layer that others were to be collapsed into"


def ways_on(record: OperationRecord, there: Sequence[str]) -> list[str]:
    """By hand, for files that are `there`."""
    ways = []
    for member in record.members:
        name, (kind, plan) = member.domain_name, (_parts(record.kind, member.plan) or [(record.kind, member.plan)])[-1]
        image = _text(plan, "memory_path")
        match kind:
            case OperationKind.CHECKPOINT if image in there and record.decision is not Direction.FORWARD:
                if record.kind is OperationKind.KEEPING_ROLLBACK:
                    ways.append(f"to see which disks {name} is defined with now, and choose: virsh edit {name}")
                ways.append(f"to restore {name} by hand, if it has not run on its disks since: virsh restore {image}")
            case OperationKind.CHECKPOINT | OperationKind.ROLLBACK | OperationKind.KEEPING_ROLLBACK:
                ways.append(f"to choose the disks of {name} by hand: virsh edit {name}; virsh start {name}")
            case _:
                ways.append(f"to compare what is left with the catalog: snapctl verify {name}")
    return ways


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _items(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = values.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []
