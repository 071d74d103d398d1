"""The model: where a domain may stand, as plain values. A call that failed may have happened.

A *standing* is what one can see of a domain from outside: its checkpoints, the one it stands on, its
power, and the number its guest has counted up to. As long as nobody knows how far a client came there
are several candidates; an observation leaves those that agree with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from orchestrator.model import After, GuestState

Powers = frozenset[GuestState]

RUNNING: Powers = frozenset({GuestState.RUNNING})
PAUSED: Powers = frozenset({GuestState.PAUSED})
OFF: Powers = frozenset({GuestState.OFF})


@dataclass(frozen=True)
class Mark:
    """A checkpoint: what its guest had counted up to, and whether it ran (None: that cannot be known)."""

    counter: int
    parent: str | None
    running: bool | None

    def agrees(self, seen: Mark) -> bool:
        known = (self.counter, self.parent) == (seen.counter, seen.parent)
        return known and self.running in (None, seen.running)


@dataclass(frozen=True)
class Standing:
    """`counter` is that of the disks while the guest is off, None when it left none that is its own."""

    marks: Mapping[str, Mark]
    head: str | None
    power: GuestState
    counter: int | None


@dataclass(frozen=True)
class Progress:
    """How many of its acts a client has done, and the power that it may have planned to give back."""

    done: int
    planned: Powers


@dataclass(frozen=True)
class Candidate:
    """One way in which a domain may stand.

    `owed` is the power that an operation left unfinished may still give it when it is settled.
    """

    marks: Mapping[str, Mark]
    head: str | None
    powers: Powers
    counter: int | None
    owed: Powers = frozenset()
    progress: Mapping[str, Progress] = field(default_factory=dict)

    def agrees(self, seen: Standing, *, transient: bool) -> bool:
        """Whether it is what was seen. What is off and transient has no disks of its own."""
        no_counter = transient and seen.power is GuestState.OFF
        return (
            self.head == seen.head
            and self.marks.keys() == seen.marks.keys()
            and all(mark.agrees(seen.marks[name]) for name, mark in self.marks.items())
            and seen.power in self.powers | self.owed
            and (no_counter or self.counter == seen.counter)
        )


class Act(Protocol):
    """One operation of a client, as its user understands it."""

    def possible(self, at: Candidate) -> bool: ...
    def certain(self, at: Candidate) -> bool:
        """Whether it is possible whatever the power of the domain is, as far as that is not known."""

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        """Where the domain stands afterwards. `planned` may be its power as it was when it was planned."""


@dataclass(frozen=True)
class Checkpoint:
    name: str
    after: After

    def possible(self, at: Candidate) -> bool:
        return self.name not in at.marks and at.powers | at.owed != OFF

    def certain(self, at: Candidate) -> bool:
        return self.name not in at.marks and not OFF & (at.powers | at.owed)

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        assert at.counter is not None, "a guest that is on has counted"
        running = None if len(at.powers) > 1 else GuestState.RUNNING in at.powers
        mark = Mark(at.counter, at.head, running)
        powers = _after(self.after, at.powers | planned)
        return replace(at, marks={**at.marks, self.name: mark}, head=self.name, powers=powers)


@dataclass(frozen=True)
class Rollback:
    name: str | None  # None: the one it stands on
    after: After

    def possible(self, at: Candidate) -> bool:
        return (self.name or at.head) in at.marks

    certain = possible

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        name = self.name or at.head or ""
        mark = at.marks[name]
        saved = {None: RUNNING | PAUSED, True: RUNNING, False: PAUSED}[mark.running]
        powers = _after(self.after, saved)
        return replace(at, head=name, powers=powers, counter=mark.counter)


@dataclass(frozen=True)
class Delete:
    name: str

    def possible(self, at: Candidate) -> bool:
        return self.name in at.marks

    def certain(self, at: Candidate) -> bool:
        """What a domain stands on that is off may be the only copy of it."""
        return self.name in at.marks and not (self.name == at.head and OFF & (at.powers | at.owed))

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        """What descended from it descends from its parent."""
        parent = at.marks[self.name].parent
        marks = {
            name: replace(mark, parent=parent) if mark.parent == self.name else mark
            for name, mark in at.marks.items()
            if name != self.name
        }
        return replace(at, marks=marks, head=parent if at.head == self.name else at.head)


def _after(after: After, powers: Powers) -> Powers:
    match after:
        case After.AS_SAVED:
            return powers - OFF
        case After.RESUME:
            return RUNNING
        case After.PAUSE:
            return PAUSED
        case After.STOP:
            return OFF


class Expectation:
    """How one domain may stand, and what its clients are about to do with it."""

    def __init__(self, seen: Standing, *, transient: bool) -> None:
        self.candidates = [Candidate(seen.marks, seen.head, frozenset({seen.power}), seen.counter)]
        self._transient = transient
        self._acts: dict[str, tuple[Act, ...]] = {}

    # ------------------------------------------------------------------ clients

    def begin(self, client: str, acts: Iterable[Act]) -> None:
        self._acts[client] = tuple(acts)
        self._each(lambda at: replace(at, progress={**at.progress, client: Progress(0, at.powers | at.owed)}))

    def stopped(self, client: str) -> None:
        """The client came as far as it came: none, some or all of its acts are done."""
        for at in list(self.candidates):
            began = at.progress[client].planned
            self._replace(at, replace(at, owed=at.owed | began))
            while at.progress[client].done < len(self._acts[client]) and (following := self._advanced(client, at)):
                at = following
                self._add(replace(at, owed=at.powers))

    def succeeded(self, client: str) -> None:
        """All its acts are done."""
        whole = []
        for at in self.candidates:
            reached: Candidate | None = at
            while reached is not None and reached.progress[client].done < len(self._acts[client]):
                reached = self._advanced(client, reached)
            if reached is not None:
                whole.append(reached)
        self._keep(whole, f"{client} did what is not possible")

    def refused(self, client: str, *, reason: bool) -> None:
        """None of its acts is done, as they are not all possible; or for another `reason`."""
        kept = [at for at in self.candidates if reason or not self._are_certain(client, at)]
        self._keep(kept, f"{client} was refused what is possible")

    def claimed(self, client: str, *, done: bool) -> None:
        """The client said that all of its acts are done, or that none of them is."""
        wanted = len(self._acts[client]) if done else 0
        kept = [at for at in self.candidates if at.progress[client].done == wanted]
        self._keep(kept, f"{client} was told that everything or nothing was done")

    def ended(self, client: str) -> None:
        """The client has no more to do with it."""
        del self._acts[client]
        self._each(lambda at: replace(at, progress={who: p for who, p in at.progress.items() if who != client}))

    def _advanced(self, client: str, at: Candidate) -> Candidate | None:
        progress = at.progress[client]
        act = self._acts[client][progress.done]
        if not act.possible(at):
            return None
        then = act.done(at, progress.planned)
        return replace(then, progress={**at.progress, client: Progress(progress.done + 1, then.powers)})

    def _are_certain(self, client: str, at: Candidate) -> bool:
        reached: Candidate | None = at
        for act in self._acts[client]:
            if reached is None or not act.certain(reached):
                return False
            reached = self._advanced(client, reached)
        return True

    # ------------------------------------------------------------------ owners

    def counted(self, times: int) -> None:
        self._each(lambda at: replace(at, counter=(at.counter or 0) + times))

    def powered(self, power: GuestState) -> None:
        """Its owner has started, stopped, suspended or resumed it."""
        self._each(lambda at: replace(at, powers=frozenset({power})))

    # ------------------------------------------------------------------ what is seen

    def settle(self, seen: Standing) -> None:
        """Keep the candidates that are what was seen while no operation was under way."""
        kept = [at for at in self.candidates if at.agrees(seen, transient=self._transient)]
        self._keep(kept, f"it stands as nobody expects: {seen}")
        powers = frozenset({seen.power})
        self._each(lambda at: replace(at, marks=seen.marks, powers=powers, counter=seen.counter, owed=frozenset()))

    # ------------------------------------------------------------------

    def _keep(self, kept: list[Candidate], otherwise: str) -> None:
        listed = "\n    ".join(map(str, self.candidates))
        assert kept, f"{otherwise}\nexpected one of\n    {listed}"
        self.candidates = kept

    def _each(self, change: Callable[[Candidate], Candidate]) -> None:
        changed, self.candidates = [change(at) for at in self.candidates], []
        for at in changed:
            self._add(at)

    def _add(self, at: Candidate) -> None:
        if at not in self.candidates:
            self.candidates.append(at)

    def _replace(self, old: Candidate, new: Candidate) -> None:
        self.candidates[self.candidates.index(old)] = new
