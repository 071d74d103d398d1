"""One verb of one client, from its beginning to its end, and whether what came of it was to be expected.

A verb without a fault does what was asked, or says why not, and that must be true. One that had a
fault, or was frozen for a while, may fail in any way that is an error of snapctl's; what it says
of the state of things must still be true. One whose operation was taken over meanwhile changes nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.errors import UNCHANGED, Busy, Refused, SnapctlError, Unfinished
from tests.crash.faults import Fault, Killed
from tests.crash.histories.client import FreezableClient, Outcome, Verb
from tests.crash.histories.expectation import Expectation, Intent
from tests.crash.histories.observer import Observer

COMPLETED = re.compile(r"the \w+ was completed")
"""The only operation of a verb, or its last."""

NEXT_STEP = re.compile(r"(?:run: |.*virsh (?P<owner>start|destroy) .*, then: )snapctl recover (?P<domain>\S+)")


class VerbRun:
    """`expected` has the domains that the verb needs for itself, `acts` are what it is to do with each."""

    def __init__(
        self,
        client: FreezableClient,
        expected: Mapping[str, Expectation],
        intent: Intent,
        observer: Observer,
        *,
        barred: bool,
    ) -> None:
        """`barred`: a domain has something of libvirt's own that forbids the acts, or nobody has heard of it."""
        self.client = client
        self.domains = tuple(expected)
        self._expected = expected
        self._observer = observer
        open_ = [operation for domain in expected if (operation := observer.operation(domain))]
        self._held = any(not observer.is_abandoned(operation) for operation in open_)
        self._left = bool(open_)
        self._barred = barred
        self._undisturbed = True  # no fault was injected so far
        for each in expected.values():
            each.begin(client.name, intent)

    def begin(self, verb: Verb, fault: Fault | None) -> Outcome:
        return self._judged(self.client.do(verb, fault))

    def go_on(self, fault: Fault | None) -> Outcome:
        if not self._is_lost:
            return self._judged(self.client.thaw(fault))
        lease, effects = self.client.injector.lease, self.client.injector.effects
        made = len(effects)
        outcome = self.client.thaw(fault)
        after = [effect.call for effect in effects[made:] if lease and effect.operation == lease.id]
        assert not after, f"{self.client.name} lost its lease and went on: {after}"
        assert outcome.frozen or isinstance(outcome.error, SnapctlError | Killed | KeyboardInterrupt)
        return outcome

    def end(self) -> None:
        for each in self._expected.values():
            each.ended(self.client.name)

    # ------------------------------------------------------------------ what came of it

    @property
    def _is_lost(self) -> bool:
        """Whether somebody else has, or had, the operation that the client believes to be at."""
        lease = self.client.injector.lease
        return lease is not None and not any((o.id, o.token) == (lease.id, lease.token) for o in self._observer.open)

    def _judged(self, outcome: Outcome) -> Outcome:
        self._undisturbed = self._undisturbed and not self.client.injector.injected
        for each in self._expected.values():
            self._judge(outcome, each)
        return outcome

    def _judge(self, outcome: Outcome, expected: Expectation) -> None:
        name, error = self.client.name, outcome.error
        if error is not None and not isinstance(error, SnapctlError | Killed | KeyboardInterrupt):
            raise error
        if not self._undisturbed:
            came = expected.frozen if outcome.frozen else expected.stopped if error else expected.succeeded
            came(name)
            return
        match error:
            case None:
                assert not self._held, f"{name} did it though it is somebody else's"
                assert not self._barred, f"{name} did it though it is forbidden"
                expected.succeeded(name)
            case Busy():
                assert self._held, f"busy for nothing: {error}"
                expected.refused(name, reason=True)
            case Unfinished():
                assert self._left, f"unfinished for nothing: {error}"
                expected.refused(name, reason=True)
            case Refused():
                expected.refused(name, reason=self._barred)
            case _:
                raise error

    def require_honest(self, error: BaseException | None) -> None:
        """What it said of the state of things is so. Asked when they have been looked at."""
        for domain, expected in self._expected.items():
            if isinstance(error, SnapctlError) and self._observer.operation(domain) is None:
                if error.effect == UNCHANGED or error.effect.startswith("undone:"):
                    expected.claimed(self.client.name, done=False)
                elif COMPLETED.match(error.effect):
                    expected.claimed(self.client.name, done=True)

    def next_step(self, error: BaseException | None) -> re.Match[str] | None:
        """What the owner is told to do, and may do now, so that an operation can be settled."""
        if not (self._undisturbed and isinstance(error, Unfinished)):
            return None
        found = NEXT_STEP.fullmatch(error.hint)
        assert found, f"not a next step: {error.hint}"
        return found
