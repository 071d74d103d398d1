"""Histories that Hypothesis draws: some, always the same ones, in each run; many others in the long one."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.crash.histories.generator import GeneratedHistory

SAME_EACH_TIME = 20
Figure = Callable[[str], None]


def play(histories: int, steps: int, drawn_with: str | int, figure: Figure) -> None:
    chosen = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    before, began = GeneratedHistory.played.copy(), process_time()
    try:
        run_state_machine_as_test(seed(drawn_with)(GeneratedHistory), settings=chosen)
    finally:
        played = GeneratedHistory.played - before
        figure(
            f"histories: {played['finish']} of at most {steps} steps, seed {drawn_with}: "
            f"{played.total()} steps in {process_time() - began:.0f} s of CPU "
            f"({', '.join(f'{count} {step}' for step, count in played.most_common())})"
        )


@pytest.mark.timeout(600)  # 30 s; but 430 s were measured when one failed: Hypothesis then looks for a shorter one
def test_histories(figure: Figure) -> None:
    play(40, 30, SAME_EACH_TIME, figure)


@pytest.mark.long
@pytest.mark.timeout(7200)  # some 75,000 steps, of which 1000 were measured to take 25 s
def test_many_histories(figure: Figure, seed: str) -> None:
    play(2000, 50, seed, figure)
