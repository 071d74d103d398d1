"""Hypothesis chooses the steps. What is drawn is reduced to what is possible just then, so that no step is wasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from orchestrator.model import After, GuestState
from tests.crash.faults import IN_HISTORIES, Fault, Kind
from tests.crash.histories.domains import DOMAINS, TRANSIENT
from tests.crash.histories.script import Script, new_history

NAMES = ("a", "b", "c", "d", "e", "f")
MOST_CALLS = 75
"""A verb makes about so many calls; keeping the present state makes twice as many."""

numbers = st.integers(0, 11)
UNDO = 11
"""The number that stands for going back to what the last rollback kept."""
domains = st.sampled_from(DOMAINS)
faults = st.one_of(
    st.none(),
    st.builds(Fault, where=st.integers(0, MOST_CALLS), kind=st.sampled_from(IN_HISTORIES)),
    st.builds(Fault, where=st.integers(0, MOST_CALLS), kind=st.just(Kind.FROZEN)),
)

T = TypeVar("T")


def pick(some: Sequence[T], number: int) -> T:
    return some[number % len(some)]


class GeneratedHistory(RuleBasedStateMachine):
    """One random history. `played` counts the steps of all of them by kind."""

    played: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.history = self._stack.enter_context(new_history())
        self._script = Script(self.history)

    def play(self, step: str, *arguments: Any) -> None:
        self.played[step] += 1
        try:
            self._script.play(step, *arguments)
        except BaseException:
            note(self._script.text)
            raise

    def teardown(self) -> None:
        with self._stack:
            self.play("finish")

    # ------------------------------------------------------------------ owners and the world

    @rule(domain=domains, times=st.integers(1, 3))
    def work(self, domain: str, times: int) -> None:
        if self.history.power(domain) is GuestState.RUNNING:
            self.play("work", domain, times)

    @rule(domain=domains, number=numbers)
    def power(self, domain: str, number: int) -> None:
        match self.history.power(domain):
            case GuestState.RUNNING:
                self.play(pick(("shut_down", "suspend", "kill_qemu"), number), domain)
            case GuestState.PAUSED:
                self.play(pick(("resume", "kill_qemu"), number), domain)
            case GuestState.BUSY:
                self.play("kill_qemu", domain)
            case _ if domain != TRANSIENT:
                self.play("start", domain)
            case _:
                """A transient domain that is off is none: a rollback brings it back."""

    @rule(domain=domains, number=numbers)
    def surroundings(self, domain: str, number: int) -> None:
        if self.history.observer.helpers and number % 3 == 0:
            self.play("kill_helpers")
        elif number % 2 or not self.history.observer.machine(domain):
            self.play("restart_daemon")
        else:
            self.play("managed_save", domain, number % 4 == 0)

    # ------------------------------------------------------------------ clients

    # Hypothesis draws the arguments of a rule in the order of their names: a new name is another set of histories.

    free = precondition(lambda self: bool(self.history.free))
    frozen = precondition(lambda self: bool(self.history.frozen))

    def _free(self, number: int) -> str:
        return pick(self.history.free, number)

    @free
    @rule(who=numbers, domain=domains, name=st.sampled_from(NAMES), after=st.sampled_from(After), to_inject=faults)
    def checkpoint(self, who: int, domain: str, name: str, after: After, to_inject: Fault | None) -> None:
        self.play("checkpoint", self._free(who), domain, name, after, to_inject)

    @free
    @rule(
        who=numbers,
        domain=domains,
        number=st.none() | numbers,
        after=st.sampled_from([After.AS_SAVED, After.RESUME, After.PAUSE]),
        keep=st.none() | st.sampled_from(NAMES),
        to_inject=faults,
    )
    def rollback(
        self, who: int, domain: str, number: int | None, after: After, keep: str | None, to_inject: Fault | None
    ) -> None:
        if number == UNDO:
            self.play("undo", self._free(who), domain, to_inject)
            return
        names = self.history.names(domain)
        name = pick(names, number) if names and number is not None else None
        self.play("rollback", self._free(who), domain, name, after, keep if name else None, to_inject)

    @free
    @rule(who=numbers, domain=domains, some=st.lists(numbers, min_size=1, max_size=2), to_inject=faults)
    def delete(self, who: int, domain: str, some: list[int], to_inject: Fault | None) -> None:
        names = self.history.names(domain) or NAMES
        self.play("delete", self._free(who), domain, [pick(names, number) for number in some], to_inject)

    @free
    @rule(who=numbers, domain=domains, last=st.integers(1, 3), to_inject=faults)
    def prune(self, who: int, domain: str, last: int, to_inject: Fault | None) -> None:
        self.play("prune", self._free(who), domain, last, to_inject)

    @free
    @rule(
        who=numbers,
        domain=domains,
        number=numbers,
        change=st.sampled_from(NAMES) | st.booleans(),
        to_inject=faults,
    )
    def edit(self, who: int, domain: str, number: int, change: str | bool, to_inject: Fault | None) -> None:
        name = pick(self.history.names(domain) or NAMES, number)
        step = "rename" if isinstance(change, str) else "protect"
        self.play(step, self._free(who), domain, name, change, to_inject)

    @free
    @rule(who=numbers, domain=domains, verb=st.sampled_from(["collapse", "flatten"]), to_inject=faults)
    def shorten(self, who: int, domain: str, verb: str, to_inject: Fault | None) -> None:
        self.play(verb, self._free(who), domain, to_inject)

    @free
    @rule(who=numbers, domain=st.none() | domains, to_inject=faults)
    def recover(self, who: int, domain: str | None, to_inject: Fault | None) -> None:
        self.play("recover", self._free(who), domain, to_inject)

    @free
    @rule(who=numbers, deep=st.booleans(), to_inject=faults)
    def verify(self, who: int, deep: bool, to_inject: Fault | None) -> None:
        self.play("verify", self._free(who), deep, to_inject)

    @free
    @rule(who=numbers, to_inject=faults)
    def clean(self, who: int, to_inject: Fault | None) -> None:
        self.play("clean", self._free(who), to_inject)

    @frozen
    @rule(who=numbers, to_inject=faults)
    def thaw(self, who: int, to_inject: Fault | None) -> None:
        self.play("thaw", pick(self.history.frozen, who), to_inject)

    @frozen
    @rule(who=numbers)
    def kill(self, who: int) -> None:
        self.play("kill", pick(self.history.frozen, who))

    @frozen
    @rule()
    def expire(self) -> None:
        self.play("expire")
