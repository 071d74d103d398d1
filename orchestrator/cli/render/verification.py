"""What `snapctl verify` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import IntegrityError
from ...model import Acceptance, Verdict, VerifyReport
from .columns import Column, align
from .units import duration, escaped, size


def document(report: VerifyReport) -> dict[str, Any]:
    """The object of `-o json`: the report, and for each checkpoint whether it is sound."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(report)
    for verdict, fields_of in zip(report.checkpoints, fields["checkpoints"], strict=True):
        fields_of["sound"] = verdict.sound
    return fields


def report(report: VerifyReport) -> Iterator[str]:
    """A checkpoint a line; then file by file what is wrong, and which checkpoints that makes unusable."""
    rows = [
        (escaped(verdict.domain), escaped(verdict.name), "sound" if verdict.sound else "damaged")
        for verdict in report.checkpoints
    ]
    if rows:
        yield from align((Column(), Column(), Column()), rows, None)
    for finding in dict.fromkeys(finding for verdict in report.checkpoints for finding in verdict.findings):
        yield escaped(finding.problem)
        yield f"  unusable because of it: {escaped(', '.join(finding.lost))}"
    yield _summary(report)


def acceptance(plan: Acceptance) -> Iterator[str]:
    """What would be accepted, a file a line."""
    yield from map(escaped, plan.lines() or ["nothing differs"])


def question(plan: Acceptance) -> str:
    lines = "".join(f"{line}\n" for line in acceptance(plan))
    files = "this file is" if len(plan.files) == 1 else "these files are"
    return f"{lines}Record that {files} as they are now? The content recorded before cannot be compared again."


def _summary(report: VerifyReport) -> str:
    sound = len(report.checkpoints) - len(report.damaged)
    said = f"{sound} of {_checkpoints(len(report.checkpoints))} sound, checked in {duration(report.seconds)}"
    if report.read_bytes:
        said += f", {size(report.read_bytes)} read ({size(round(report.read_bytes / report.seconds))}/s)"
    return said


def failure(report: VerifyReport) -> IntegrityError:
    """The error that a verify with findings ends with."""
    names = ", ".join(f"{verdict.domain}/{verdict.name}" for verdict in report.damaged)
    ways = [way(report.damaged) for way in (_to_accept, _to_repair)]
    return IntegrityError(
        f"{len(report.damaged)} of {_checkpoints(len(report.checkpoints))} damaged: {names}",
        effect="each is marked as damaged, and rollback refuses it",
        hint="; ".join(way for way in ways if way),
    )


def _to_accept(damaged: Sequence[Verdict]) -> str:
    first = next((verdict for verdict in damaged if verdict.acceptable), None)
    return f"if the files are right: snapctl verify {first.domain} {first.name} --accept" if first else ""


def _to_repair(damaged: Sequence[Verdict]) -> str:
    """Of the first domain that has any, as the command is for one domain, and as many as a line has room for."""
    lost = [verdict for verdict in damaged if not verdict.acceptable]
    if not lost:
        return ""
    domain, names = lost[0].domain, [verdict.name for verdict in lost if verdict.domain == lost[0].domain]
    return f"repair the files and verify again, or: snapctl delete {domain} {' '.join(names[:5])}"


def _checkpoints(count: int) -> str:
    return "1 checkpoint" if count == 1 else f"{count} checkpoints"
