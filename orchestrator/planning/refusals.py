"""Refusals that several plans share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from ..errors import Busy, Refused, UsageError
from ..model import Domain, GuestState, Head

LONGEST_DESCRIPTION = 4096
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise UsageError(
            f"{shown!r} is not a valid {what} name",
            hint="use 1 to 63 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
        )


def check_description(description: str) -> None:
    if len(description) > LONGEST_DESCRIPTION:
        raise UsageError(f"the description is longer than {LONGEST_DESCRIPTION} characters", hint="shorten it")


def check_expiry(expires: datetime | None) -> None:
    if expires is not None and expires.tzinfo is None:
        raise UsageError(f"the time of expiry {expires} has no time zone", hint="give it one, such as UTC")


def refuse_busy(domain: Domain) -> None:
    """Raise `Busy` while anybody's job holds the domain."""
    name = domain.name
    if domain.job or domain.state is GuestState.BUSY:
        raise Busy(f"{name} has a job under way ({domain.job or 'unnamed'})", hint="wait until it is done")
    if domain.block_jobs:
        raise Busy(
            f"{name} has a block job on {', '.join(domain.block_jobs)}",
            hint=f"wait, or abort it: virsh blockjob {name} {domain.block_jobs[0]} --abort",
        )


def refuse_foreign_state(domain: Domain) -> None:
    """What libvirt itself keeps of a guest and would mix up with ours."""
    name = domain.name
    if domain.managed_save:
        raise Refused(
            f"{name} has a managed-save image, which libvirt would resume at the next start",
            hint=f"remove it: virsh managedsave-remove {name}",
        )
    if domain.libvirt_snapshots:
        raise Refused(
            f"{name} has libvirt snapshots of its own: {some(domain.libvirt_snapshots)}",
            hint=f"delete them: virsh snapshot-delete {name} {domain.libvirt_snapshots[0]}",
        )
    if domain.libvirt_checkpoints:
        raise Refused(
            f"{name} has libvirt checkpoints (dirty bitmaps) of its own: {some(domain.libvirt_checkpoints)}",
            hint=f"delete them: virsh checkpoint-delete {name} {domain.libvirt_checkpoints[0]}",
        )


def refuse_drift(domain: Domain, head: Head | None) -> None:
    """Refuse a domain whose disks are not those that the catalog's head names."""
    if head is None:
        return
    sources = domain.sources()
    for target, path in head.overlays.items():
        if sources.get(target) != path:
            raise Refused(
                f"disk {target} of {domain.name} is {sources.get(target) or 'missing'}, the catalog says {path}",
                hint=f"put it back: virsh edit {domain.name}",
            )


def some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
