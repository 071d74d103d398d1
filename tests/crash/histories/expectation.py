"""The model: where a domain may stand, as plain values. A call that failed may have happened.

A *standing* is what one can see of a domain from outside: its checkpoints, the one it stands on, the one
that an undo would go back to, its power, and the number its guest has counted up to. As long as nobody
knows how far a client came there are several candidates; an observation leaves those that agree with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    protected: bool = False

    def agrees(self, seen: Mark) -> bool:
        known = (self.counter, self.parent, self.protected) == (seen.counter, seen.parent, seen.protected)
        return known and self.running in (None, seen.running)


@dataclass(frozen=True)
class Standing:
    """`marks` are by name, oldest first. `counter` is that of the disks while the guest is off, None when it
    left none that is its own. `on_overlays`: its disks are ones that snapctl made."""

    marks: Mapping[str, Mark]
    head: str | None
    power: GuestState
    counter: int | None
    kept: str | None
    on_overlays: bool


@dataclass(frozen=True)
class Progress:
    """How many of its acts a client has done, and the power that it may have planned to give back."""

    done: int
    planned: Powers


@dataclass(frozen=True)
class Candidate:
    """One way in which a domain may stand.

    `owed` is the power that an operation left unfinished may still give it when it is settled. `only_copy`: it
    was stopped by the checkpoint that it stands on, and nobody has started it since.
    """

    marks: Mapping[str, Mark]
    head: str | None
    powers: Powers
    counter: int | None
    kept: str | None
    on_overlays: bool
    only_copy: bool = False
    owed: Powers = frozenset()
    progress: Mapping[str, Progress] = field(default_factory=dict)

    def agrees(self, seen: Standing, *, transient: bool) -> bool:
        """Whether it is what was seen. What is off and transient has no disks of its own."""
        no_counter = transient and seen.power is GuestState.OFF
        return (
            (self.head, self.kept, self.on_overlays) == (seen.head, seen.kept, seen.on_overlays)
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
        return replace(
            at,
            marks={**at.marks, self.name: mark},
            head=self.name,
            powers=_after(self.after, at.powers | planned),
            on_overlays=True,
            only_copy=self.after is After.STOP,
        )


@dataclass(frozen=True)
class Rollback:
    name: str | None  # None: the one it stands on
    after: After
    kept: str | None = None  # what the present state was checkpointed as

    def possible(self, at: Candidate) -> bool:
        return (self.name or at.head) in at.marks

    certain = possible

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        name = self.name or at.head or ""
        mark = at.marks[name]
        saved = {None: RUNNING | PAUSED, True: RUNNING, False: PAUSED}[mark.running]
        return replace(
            at,
            head=name,
            powers=_after(self.after, saved),
            counter=mark.counter,
            kept=self.kept,
            on_overlays=True,
            only_copy=False,
        )


@dataclass(frozen=True)
class Undo:
    def possible(self, at: Candidate) -> bool:
        return at.kept is not None

    certain = possible

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        return Rollback(at.kept, After.AS_SAVED).done(at, planned)


@dataclass(frozen=True)
class Delete:
    name: str

    def possible(self, at: Candidate) -> bool:
        return self.name in at.marks and not (self.name == at.head and at.only_copy)

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
        head = parent if at.head == self.name else at.head
        return replace(at, marks=marks, head=head, kept=_unless(self.name, at.kept))


@dataclass(frozen=True)
class Rename:
    name: str
    to: str

    def possible(self, at: Candidate) -> bool:
        return self.name in at.marks and (self.to == self.name or self.to not in at.marks)

    certain = possible

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        def now(name: str | None) -> str | None:
            return self.to if name == self.name else name

        marks = {now(name) or "": replace(mark, parent=now(mark.parent)) for name, mark in at.marks.items()}
        return replace(at, marks=marks, head=now(at.head), kept=now(at.kept))


@dataclass(frozen=True)
class Protect:
    name: str
    protected: bool

    def possible(self, at: Candidate) -> bool:
        return self.name in at.marks

    certain = possible

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        mark = replace(at.marks[self.name], protected=self.protected)
        return replace(at, marks={**at.marks, self.name: mark})


@dataclass(frozen=True)
class Flatten:
    """Nobody can tell that it was done, but from the chains."""

    def possible(self, at: Candidate) -> bool:
        return at.on_overlays and not at.only_copy

    def certain(self, at: Candidate) -> bool:
        """A guest that is off and wrote nothing since its checkpoint looks as if it had not been started."""
        return self.possible(at) and not OFF & (at.powers | at.owed)

    def done(self, at: Candidate, planned: Powers) -> Candidate:
        return at


def _stops_for_good(act: Act) -> bool:
    """Whether a guest that it stopped is left off, as it was, when its client was killed before that was recorded."""
    return isinstance(act, Undo) or (isinstance(act, Rollback) and act.kept is None)


def _unless(gone: str, name: str | None) -> str | None:
    return None if name == gone else name


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


class Intent(Protocol):
    """What a client is about to do with a domain."""

    def following(self, at: Candidate, done: int) -> Sequence[Act]:
        """The acts that may come next when so many are done."""

    def is_over(self, at: Candidate, done: int) -> bool:
        """Whether that may be all."""

    def stale(self) -> Intent:
        """What may become of it when others act before it is carried out, or in the middle of it."""


@dataclass(frozen=True)
class InTurn:
    """These acts, one after the other."""

    acts: tuple[Act, ...] = ()

    def following(self, at: Candidate, done: int) -> Sequence[Act]:
        return self.acts[done : done + 1]

    def is_over(self, at: Candidate, done: int) -> bool:
        return done == len(self.acts)

    def stale(self) -> InTurn:
        return self


@dataclass(frozen=True)
class Prune:
    """All but the newest `last` are deleted, but neither the one that the domain stands on nor one that is protected.

    When others act meanwhile nobody knows what were the newest when that was decided.
    """

    last: int
    is_stale: bool = False

    def following(self, at: Candidate, done: int) -> Sequence[Act]:
        names = [name for name, mark in at.marks.items() if name != at.head and not mark.protected]
        newest = () if self.is_stale else list(at.marks)[-self.last :]
        return [Delete(name) for name in names if name not in newest]

    def is_over(self, at: Candidate, done: int) -> bool:
        return self.is_stale or not self.following(at, done)

    def stale(self) -> Prune:
        return replace(self, is_stale=True)


class Expectation:
    """How one domain may stand, and what its clients are about to do with it."""

    def __init__(self, seen: Standing, *, transient: bool) -> None:
        self.candidates = [
            Candidate(
                seen.marks, seen.head, frozenset({seen.power}), seen.counter, seen.kept, on_overlays=seen.on_overlays
            )
        ]
        self._transient = transient
        self._intents: dict[str, Intent] = {}

    # ------------------------------------------------------------------ clients

    def begin(self, client: str, intent: Intent) -> None:
        self._intents[client] = intent
        self._each(lambda at: replace(at, progress={**at.progress, client: Progress(0, at.powers | at.owed)}))

    def frozen(self, client: str) -> None:
        """The client came as far as it came, and others may act before it goes on."""
        self._intents[client] = self._intents[client].stale()
        self.stopped(client)

    def stopped(self, client: str) -> None:
        """The client came as far as it came: none, some or all of its acts are done."""
        for at in list(self.candidates):
            began = at.progress[client].planned
            left_off = OFF if any(_stops_for_good(act) for act in self._following(client, at)) else frozenset()
            self._replace(at, replace(at, owed=at.owed | began | left_off))
            for reached in self._reached(client, at)[1:]:
                self._add(replace(reached, owed=reached.powers))

    def succeeded(self, client: str) -> None:
        """All its acts are done."""
        reached = [each for at in self.candidates for each in self._reached(client, at)]
        self._keep([at for at in reached if self._is_over(client, at)], f"{client} did what is not possible")

    def refused(self, client: str, *, reason: bool) -> None:
        """None of its acts is done, as they are not all possible; or for another `reason`."""
        kept = [at for at in self.candidates if reason or not self._are_certain(client, at)]
        self._keep(kept, f"{client} was refused what is possible")

    def claimed(self, client: str, *, done: bool) -> None:
        """The client said that all of its acts are done, or that none of them is."""
        kept = [at for at in self.candidates if (self._is_over(client, at) if done else not at.progress[client].done)]
        self._keep(kept, f"{client} was told that everything or nothing was done")

    def ended(self, client: str) -> None:
        """The client has no more to do with it."""
        del self._intents[client]
        self._each(lambda at: replace(at, progress={who: p for who, p in at.progress.items() if who != client}))

    def _is_over(self, client: str, at: Candidate) -> bool:
        return self._intents[client].is_over(at, at.progress[client].done)

    def _following(self, client: str, at: Candidate) -> Sequence[Act]:
        return self._intents[client].following(at, at.progress[client].done)

    def _reached(self, client: str, at: Candidate) -> list[Candidate]:
        """Where the domain may stand after none, some or all of the client's acts."""
        reached = [at]
        for each in reached:  # which grows meanwhile
            then = [self._advanced(client, each, act) for act in self._following(client, each) if act.possible(each)]
            reached += [one for one in then if one not in reached]
        return reached

    @staticmethod
    def _advanced(client: str, at: Candidate, act: Act) -> Candidate:
        progress = at.progress[client]
        then = act.done(at, progress.planned)
        return replace(then, progress={**at.progress, client: Progress(progress.done + 1, then.powers)})

    def _are_certain(self, client: str, at: Candidate) -> bool:
        while following := self._following(client, at):
            act = following[0]
            if not act.certain(at):
                return False
            at = self._advanced(client, at, act)
        return True

    # ------------------------------------------------------------------ owners

    def counted(self, times: int) -> None:
        self._each(lambda at: replace(at, counter=(at.counter or 0) + times))

    def powered(self, power: GuestState) -> None:
        """Its owner has started, stopped, suspended or resumed it."""
        started = power is GuestState.RUNNING
        self._each(lambda at: replace(at, powers=frozenset({power}), only_copy=at.only_copy and not started))

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
