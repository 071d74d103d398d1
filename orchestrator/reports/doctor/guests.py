"""Checks of the guests that have checkpoints, and of what the catalog says of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...integrity.users import writers
from ...model import Advice, Domain, Head, Unsettled, some
from ...operations.shared.depth import LONGEST_CHAIN, has_short_chains
from ...operations.shared.helper import is_helper
from .advice import DAMAGED, UNFINISHED, count, error, note, ok, warning
from .facts import Catalogued, DoctorFacts

LONG_CHAIN = 32
LONG_SHORT_CHAIN = 20
"""Where libvirt itself breaks at about 25."""


def operations(facts: DoctorFacts) -> Iterator[Advice]:
    yield from map(_operation, facts.operations)
    if not facts.operations:
        yield ok("operations", "no operation is unfinished")


def _operation(each: Unsettled) -> Advice:
    operation, owner = each.record, each.record.owner
    since = operation.opened.strftime("%Y-%m-%d %H:%M:%S UTC")
    by = f"since {since}{operation.by} {owner.user}@{owner.host}, process {owner.pid}, {operation.progress}"
    by = "; ".join((by, *each.guests))
    if each.in_progress:
        return note("operations", f"a {operation.kind.label} of {operation.domains} is in progress {by}")
    return error(
        "operations",
        f"a {operation.kind.label} of {operation.domains} is unfinished, {by}",
        f"snapctl recover {operation.members[0].domain_name}",
        UNFINISHED,
    )


# --------------------------------------------------------------------------- files


def files(facts: DoctorFacts) -> Iterator[Advice]:
    """Whether they are there; their contents are checked by verify."""
    settled = [each for each in facts.checkpoints if each.checkpoint.domain_uuid not in facts.busy]
    gone = sorted(path for path in facts.missing if not (facts.is_store_gone and facts.is_in_store(path)))
    lost = {path: [_name(each) for each in settled if path in each.files] for path in gone}
    found = [_missing(path, names) for path, names in lost.items() if names]
    found += [_damaged(each, damage) for each in settled if (damage := _besides_missing(each, facts))]
    found += _endangered(facts)
    if facts.is_store_gone:
        found.append(note("files", f"the files in {facts.store.path} were not checked"))
    number = len({path for each in settled for path in each.files})
    whole = f"{count(number, 'file')} of {count(len(settled), 'checkpoint')}"
    yield from found or [ok("files", f"{whole}, none missing")]


def _missing(path: str, names: list[str]) -> Advice:
    delete = f"snapctl delete {names[0].replace('/', ' ')}" if len(names) == 1 else "delete them"
    return error("files", f"{path} is missing: {some(names)} cannot be restored", f"restore it, or: {delete}", DAMAGED)


def _besides_missing(each: Catalogued, facts: DoctorFacts) -> str:
    """What a checkpoint is marked with, without files that are still missing: they are named already."""
    gone = [f"{path} is missing" for path in each.files if path in facts.missing]
    problems = (each.checkpoint.damage or "").split("; ")
    return "; ".join(problem for problem in problems if not problem.endswith(tuple(gone)))


def _damaged(each: Catalogued, damage: str) -> Advice:
    checkpoint = each.checkpoint
    again = f"snapctl verify {checkpoint.domain_name} {checkpoint.name}"
    return error("files", f"{_name(each)} is damaged: {damage}", f"repair it, then: {again}", DAMAGED)


def _endangered(facts: DoctorFacts) -> list[Advice]:
    """Frozen layers that a domain could write to, but for those that an operation of ours is rewriting.

    Of a helper that was left behind more is said elsewhere.
    """
    writer_of = writers(domain for domain in facts.domains.values() if not is_helper(domain))
    layers = (layer for each in facts.checkpoints for chain in each.chains.values() for layer in chain)
    frozen = {layer.path for layer in layers if layer.rewritten_by is None}
    return [
        error(
            "files",
            f"{path} is frozen, and {writer_of[path]}",
            "give that domain a different disk: virsh edit",
            DAMAGED,
        )
        for path in sorted(frozen & writer_of.keys())
    ]


def _name(each: Catalogued) -> str:
    return f"{each.checkpoint.domain_name}/{each.checkpoint.name}"


# --------------------------------------------------------------------------- domains


def domains(facts: DoctorFacts) -> Iterator[Advice]:
    """Defined, on the disks that the catalog says, and without what snapctl refuses."""
    found = [advice for uuid, name in _catalogued(facts).items() for advice in _domain(uuid, name, facts)]
    yield from found or [
        ok("domains", f"{count(len(_catalogued(facts)), 'domain')} with checkpoints, all on their expected disks")
    ]


def _domain(uuid: str, name: str, facts: DoctorFacts) -> Iterator[Advice]:
    domain = facts.domains.get(uuid)
    if domain is None:
        yield from _undefined(uuid, name, facts)
        return
    if domain.managed_save and domain.active:
        yield warning(
            "domains",
            f"{domain.name} is {domain.state}, and has a managed-save image of an earlier run",
            f"virsh managedsave-dumpxml {domain.name}",
        )
    elif domain.managed_save:
        yield warning(
            "domains",
            f"{domain.name} has a managed-save image, which libvirt would resume at the next start",
            f"virsh start {domain.name}",
        )
    if domain.libvirt_snapshots:
        yield _snapshots(domain, domain.libvirt_snapshots[0])
    if uuid not in facts.busy:
        for standing in facts.standings:
            if standing.head.domain_uuid == uuid:
                yield from _drift(domain, standing.head)


def _snapshots(domain: Domain, first: str) -> Advice:
    record = "--metadata " if first in domain.external_snapshots else ""  # its disks are the present ones
    return warning(
        "domains",
        f"{domain.name} has libvirt snapshots of its own: {some(domain.libvirt_snapshots)}: no checkpoint, no rollback",
        f"virsh snapshot-delete {record}{domain.name} {first}",
    )


def _undefined(uuid: str, name: str, facts: DoctorFacts) -> Iterator[Advice]:
    own = [each.checkpoint for each in facts.checkpoints if each.checkpoint.domain_uuid == uuid]
    if any(checkpoint.origin.persistent for checkpoint in own):
        yield warning(
            "domains",
            f"{name} is no longer defined, and has {count(len(own), 'checkpoint')}",
            f"a rollback defines it again; or delete them: snapctl list {uuid}",
        )
    else:
        yield note("domains", f"{name} is shut off and transient: a rollback starts it again")


def _drift(domain: Domain, head: Head) -> Iterator[Advice]:
    now, later = domain.sources(), domain.persistent_sources()
    for target, path in head.overlays.items():
        if now.get(target) != path:
            yield _elsewhere(f"disk {target} of {domain.name} is {now.get(target) or 'missing'}", path, domain)
        elif later.get(target, path) != path:
            yield _elsewhere(f"disk {target} of {domain.name} is {later[target]} from its next start on", path, domain)
        elif domain.persistent and target not in later:
            alone = f"disk {target} of {domain.name} is not in its definition"
            yield note("domains", f"{alone}: it is gone at the next start")


def _elsewhere(problem: str, path: str, domain: Domain) -> Advice:
    on = f"roll back, or continue with its present disks: snapctl checkpoint {domain.name} --adopt"
    return warning("domains", f"{problem}, the catalog says {path}", on)


# --------------------------------------------------------------------------- chains


def chains(facts: DoctorFacts) -> Iterator[Advice]:
    """How deep a guest's chain is, or would be after a rollback."""
    long = LONG_SHORT_CHAIN if has_short_chains(facts.host.libvirt_version) else LONG_CHAIN
    depths = {name: _depth(uuid, facts) for uuid, name in _catalogued(facts).items()}
    found = [_long(name, depth) for name, depth in depths.items() if depth >= long]
    yield from found or [ok("chains", f"the longest chain has {count(max(depths.values(), default=0), 'layer')}")]


def _depth(uuid: str, facts: DoctorFacts) -> int:
    active = [len(c) for each in facts.standings if each.head.domain_uuid == uuid for c in each.chains.values()]
    own = (each for each in facts.checkpoints if each.checkpoint.domain_uuid == uuid)
    return max(active + [len(chain) + 1 for each in own for chain in each.chains.values()], default=0)


def _long(name: str, depth: int) -> Advice:
    return warning(
        "chains",
        f"{name} has a chain of {depth} layers; libvirt opens at most {LONGEST_CHAIN}",
        f"shorten it: snapctl prune {name}, or snapctl flatten {name}",
    )


def _catalogued(facts: DoctorFacts) -> dict[str, str]:
    """Domains that have checkpoints: name by UUID."""
    return {each.checkpoint.domain_uuid: each.checkpoint.domain_name for each in facts.checkpoints}
