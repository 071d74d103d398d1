"""SIGKILL at random times, of any verb and of its recovery, in a tree that grows and shrinks meanwhile."""

from __future__ import annotations

import os
import subprocess
import time
from random import Random

import pytest

from tests.system.client import Result, finish
from tests.waiting import PATIENCE

from . import catalogued
from .guest_under_test import MOST, Attempt, GuestUnderTest
from .owner import Owner

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("SNAPCTL_KILLS", "300"))


class Killer:
    """Kills commands at times drawn evenly from those at which they may be at an operation."""

    def __init__(self, subject: GuestUnderTest, draw: Random) -> None:
        self.subject = subject
        self.draw = draw
        self._took: dict[str, float] = {}  # seconds, by verb, of the last command that was not killed
        self.kill("recover")
        self._idle = self._took["recover"]  # of a command that finds nothing to do

    def kill(self, *arguments: str) -> Result:
        """The first command of each verb is left undisturbed: it shows how long they take."""
        verb = "keep" if any(each.startswith("--keep-current") for each in arguments) else arguments[0]
        due = self.draw.uniform(self._idle, self._took[verb]) if verb in self._took else None
        began = time.monotonic()
        with self.subject.client.start(*arguments) as process:
            try:
                process.wait(PATIENCE if due is None else due)
                self._took[verb] = time.monotonic() - began
            except subprocess.TimeoutExpired:
                assert due is not None, process.output()
                process.kill()
            return self.subject.count(finish(process))

    def recover(self) -> None:
        """If there is something to recover: now and then, and then perhaps again."""
        while catalogued.read(self.subject.client.catalog).unsettled and self.draw.random() < 1 / 2:
            self._took["recover"] = max(self.subject.kill_count.seconds, default=self._idle)
            self.kill("recover")

    def attempt(self) -> Attempt:
        said = catalogued.read(self.subject.client.catalog)
        adding = ["checkpoint", "checkpoint", "keep"] * (len(said.checkpoints) < MOST)
        verb = self.draw.choice(["rollback", "rollback", *adding, *["delete"] * bool(said.leaves)])
        if verb == "checkpoint":
            return self.subject.attempt(verb)
        self.subject.work()
        if verb == "keep":
            return Attempt("rollback", self.draw.choice(said.checkpoints), f"kept-{self.subject.words}")
        return Attempt(verb, self.draw.choice(said.leaves if verb == "delete" else said.checkpoints))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [20, pytest.param(KILLS, marks=[pytest.mark.long, pytest.mark.timeout(7200)])])
def test_killed_at_any_time(subject: GuestUnderTest, seed: str, kills: int) -> None:
    """Before every other recovery the guest's owner does something with it."""
    draw = Random(seed)
    killer, owner = Killer(subject, draw), Owner(subject, draw)
    enough = subject.kill_count.kills + kills
    while subject.kill_count.kills < enough:
        attempt = killer.attempt()
        result = killer.kill(*subject.arguments(attempt))
        if draw.random() < 1 / 2:
            killer.recover()
            subject.settle(attempt, result)
        else:
            with subject.kill_count.watching():
                left = owner.act(subject.possible_words(attempt, None))
            subject.kill_count.acts[left.act] += 1
            killer.recover()
            owner.settle(attempt, result, left)


@pytest.mark.parametrize("most", [3, pytest.param(MOST, marks=pytest.mark.long)])
def test_each_checkpoint_that_was_left_is_whole(subject: GuestUnderTest, most: int) -> None:
    """All of them as far as their files tell, and the newest as the guest tells."""
    subject.client.do("verify", "--deep")
    for name in list(subject.then)[-most - 1 :]:
        subject.client.do("rollback", subject.guest.name, name, "-y")
        subject.require_sound(Attempt("rollback", name), "done")
