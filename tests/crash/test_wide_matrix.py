"""A client is killed, somebody acts or time passes, some verb comes next: nothing is lost, and there is a way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import process_time

import pytest

from tests.crash.matrix.acts import ACTS
from tests.crash.matrix.play import Combination, Prepared, play
from tests.crash.matrix.verbs import NEXT, RECOVER, VERBS, Verb

Prepare = Callable[[Verb], Prepared]
PLACES = 4
"""How many calls the short run tries before it takes it that an act cannot happen after any."""


@dataclass
class MatrixCount:
    """The combinations that there were, by act, and the CPU time of all."""

    began: float = field(default_factory=process_time)
    acts: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        seconds = process_time() - self.began
        each = ", ".join(f"{act} {self.acts[act.name]}" for act in ACTS)
        return f"wide matrix: {self.acts.total()} combinations in {seconds:.0f} s of CPU ({each})"


@pytest.fixture(scope="module")
def count(figure: Callable[[str], None]) -> Iterator[MatrixCount]:
    count = MatrixCount()
    yield count
    figure(count.line())


@pytest.fixture(scope="module")
def prepare(quick_directory: Path) -> Iterator[Prepare]:
    """Each verb is prepared once."""
    made: dict[Verb, Prepared] = {}

    def prepare(verb: Verb) -> Prepared:
        if verb not in made:
            made[verb] = Prepared.of(verb, quick_directory / f"wide, {verb}.sqlite")
        return made[verb]

    yield prepare
    for each in made.values():
        each.host.close()


def try_out(prepared: Prepared, combination: Combination, count: MatrixCount, draw: Random) -> bool:
    """Whether the act could happen there. What does not hold is raised."""
    try:
        applied = play(prepared, combination, draw)
    except BaseException as error:
        error.add_note(prepared.told(combination))
        raise
    count.acts[combination.act.name] += applied
    return applied


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_recover_each_act_after_some_kill_loses_nothing(
    prepare: Prepare, verb: Verb, count: MatrixCount, seed: str
) -> None:
    """Where it can happen: many can only while the guest runs, or while it is off."""
    prepared = prepare(verb)
    for act in ACTS:
        draw = Random(f"{seed}, {verb}, {act}")
        for where in draw.sample(prepared.changing, PLACES):
            if try_out(prepared, Combination(where, act, draw.choice(NEXT)), count, draw):
                break


@pytest.mark.long
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_recover_each_act_after_each_kill_loses_nothing(
    prepare: Prepare, verb: Verb, count: MatrixCount, seed: str
) -> None:
    """Each is met by `recover`, and by another verb that is drawn."""
    prepared = prepare(verb)
    for act in ACTS:
        for where in prepared.changing:
            draw = Random(f"{seed}, {verb}, {act}, {where}")
            for following in (RECOVER, draw.choice(NEXT[1:])):
                try_out(prepared, Combination(where, act, following), count, draw)
