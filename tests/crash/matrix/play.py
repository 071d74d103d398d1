"""One combination, played: the verb under a kill, the act, the verb that comes next, and the oracle."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from orchestrator.model import Checkpoint
from tests.crash.faults import EFFECTS, Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.matrix.acts import Act, time_shifted
from tests.crash.matrix.oracle import Oracle
from tests.crash.matrix.verbs import Next, Verb
from tests.crash.matrix.watched import MatrixHost


@dataclass(frozen=True)
class Combination:
    """The client is killed after the call of that number."""

    where: int
    act: Act
    following: Next


@dataclass(frozen=True)
class Prepared:
    """A verb, its host as it is before, the calls that it makes when all goes well, and the checkpoints there are."""

    verb: Verb
    host: MatrixHost
    calls: list[str]
    checkpoints: list[Checkpoint]

    @staticmethod
    def of(verb: Verb, catalog: Path) -> Prepared:
        host = verb.prepare(catalog)
        checkpoints, injector = host.checkpoints(), CallInjector()
        verb.act(host.session(injector))
        return Prepared(verb, host, injector.calls, checkpoints)

    @property
    def changing(self) -> list[int]:
        """The calls that change something: a kill after one that only looks leaves what the last of these left."""
        return [number for number, name in enumerate(self.calls) if name in EFFECTS]

    def number(self, call: Call) -> int:
        return [number for number, name in enumerate(self.calls) if name == call.name][call.nth - 1]

    def told(self, combination: Combination) -> str:
        where, calls = combination.where, self.calls
        return (
            f"{self.verb}, killed after call {where} ({calls[where]}) of {len(calls)}; {combination.act}; "
            f"then {combination.following}"
        )


def play(prepared: Prepared, combination: Combination, draw: Random) -> bool:
    """Whether the act could happen there. Raises `Violation` for what does not hold."""
    host, act = prepared.host, combination.act
    host.put_back()
    oracle = Oracle(host, prepared.verb, prepared.checkpoints)
    with suppress(Killed):
        prepared.verb.act(host.session(CallInjector(Fault(combination.where, Kind.KILLED))))
    host.expire_leases()
    if not act.applies(host):
        return False
    files = host.sources()
    made = act.do(host, draw)
    oracle.acted(made, act.quiet, files)
    with time_shifted(made.shift):
        oracle.settle(combination.following)
        oracle.require_restorable(draw)
    return True
