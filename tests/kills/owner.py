"""The guest's owner, who does something with it between the kill of a client and the recovery.

What it holds then is his: no recovery takes it away, gives it another memory, or starts, stops or resumes what he left
otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import libvirt

from tests.box.connection import connect
from tests.system.client import Result
from tests.waiting import wait_until

from . import catalogued
from .guest_under_test import Attempt, GuestUnderTest, fate_of

RUNNING, PAUSED, OFF = libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_SHUTOFF
WAYS_OUT = 3
"""How many messages in a row may say what to do, until the recovery has nothing more to say."""


@dataclass(frozen=True)
class Left:
    """How he leaves it. `worked` says that the guest wrote meanwhile, so that its state is his and no operation's."""

    act: str
    state: int
    managed_save: bool
    worked: bool


class Owner:
    def __init__(self, subject: GuestUnderTest, draw: Random) -> None:
        self._subject = subject
        self._draw = draw

    # ------------------------------------------------------------------ what he does

    def act(self, possible: set[str]) -> Left:
        """Do something that can be done with it as it is; `possible` is what it may hold before."""
        acts: dict[int, dict[str, Callable[[set[str]], bool]]] = {
            RUNNING: {
                "write": self._write,
                "shut off": self._shut_off,
                "managed save": self._managed_save,
                "pause": self._pause,
                "reboot": self._reboot,
            },
            PAUSED: {"shut off": self._destroy, "managed save": self._suspend_to_disk, "resume": self._resume},
            OFF: {"start": self._start, "start and shut off": self._start_and_shut_off},
        }
        able = {"nothing": lambda possible: False, **acts[self._state()]}
        act = self._draw.choice(list(able))
        worked = able[act](possible)
        with self._domain() as domain:
            return Left(act, domain.state()[0], bool(domain.hasManagedSaveImage()), worked)

    def _write(self, possible: set[str]) -> bool:
        self._subject.require_guest(possible)
        self._subject.go_on_working()
        return True

    def _shut_off(self, possible: set[str]) -> bool:
        self._write(possible)
        with self._domain() as domain:
            if self._draw.random() < 1 / 2:
                domain.destroy()
            else:
                domain.shutdown()
        wait_until(lambda: self._state() == OFF, what="the guest's shutdown")
        return True

    def _managed_save(self, possible: set[str]) -> bool:
        self._write(possible)
        return self._suspend_to_disk(possible) or True

    def _suspend_to_disk(self, possible: set[str]) -> bool:
        with self._domain() as domain:
            domain.managedSave(0)
        return False

    def _pause(self, possible: set[str]) -> bool:
        self._write(possible)
        with self._domain() as domain:
            domain.suspend()
        return True

    def _reboot(self, possible: set[str]) -> bool:
        self._write(possible)
        with self._domain() as domain:
            domain.reset()
        self._subject.booted({self._subject.words})
        self._subject.begin_anew()
        return True

    def _destroy(self, possible: set[str]) -> bool:
        with self._domain() as domain:
            domain.destroy()
        return False

    def _resume(self, possible: set[str]) -> bool:
        with self._domain() as domain:
            domain.resume()
        return self._write(possible)

    def _start(self, possible: set[str]) -> bool:
        """A cold boot: what its memory held is gone by that, unless it is in an image."""
        with self._domain() as domain:
            domain.create()
        self._subject.booted(possible)
        self._subject.begin_anew()
        return True

    def _start_and_shut_off(self, possible: set[str]) -> bool:
        self._start(possible)
        return self._shut_off({self._subject.words})

    # ------------------------------------------------------------------ afterwards

    def settle(self, attempt: Attempt, result: Result, left: Left) -> None:
        """Recover; then he finds everything as he left it."""
        subject = self._subject
        with subject.kill_count.watching():
            possible = {subject.words} if left.worked else subject.possible_words(attempt, None)
            fate = fate_of(result, self._recovered(left, possible))
            said = catalogued.read(subject.client.catalog)
            assert said.unsettled == []
            subject.require_checkpoints(said, attempt, fate)
            subject.require_files(said)
            possible = {subject.words} if left.worked else subject.possible_words(attempt, fate)
            self._require_as_left(left, possible)
            subject.require_head(said)

    def _recovered(self, left: Left, possible: set[str]) -> list[dict[str, Any]]:
        """What was, when at last nothing is left to recover."""
        for _ in range(WAYS_OUT):
            done = self._subject.client.run("-o", "json", "recover")
            if done.code == 0:
                recovered: list[dict[str, Any]] = done.json
                return recovered
            self._take_way_out(json.loads(done.stderr), left, possible)
        raise AssertionError(f"{left}: nothing leads out: {done}")

    def _take_way_out(self, error: dict[str, Any], left: Left, possible: set[str]) -> None:
        """Do what the message says. Other ways out than starting or stopping the guest go here.

        What it is started from may be a managed-save image, of a guest that was rolled back by then.
        """
        assert error["exit_code"] in (6, 7), error
        with self._domain() as domain:
            if re.search(r"virsh( -c \S+)? destroy", error["hint"]):
                domain.destroy()
                return
        assert re.search(r"virsh( -c \S+)? start", error["hint"]) and self._state() == OFF, (error, left)
        self._bring_up(possible | {self._subject.words})

    def _require_as_left(self, left: Left, possible: set[str]) -> None:
        state = self._state()
        if left.worked:
            with self._domain() as domain:
                managed_save = bool(domain.hasManagedSaveImage())
            as_left = (state, managed_save) == (left.state, left.managed_save)
            assert as_left or (left.state == OFF and state == RUNNING), f"{left}: it is {state}, {managed_save}"
        if state == OFF:
            self._bring_up(possible)
        elif state == PAUSED:
            with self._domain() as domain:
                domain.resume()
        self._subject.require_guest(possible | {self._subject.words} if state == OFF else possible)

    def _bring_up(self, possible: set[str]) -> None:
        """virsh start: either it is the boot of before, out of its managed-save image, or it begins anew."""
        with self._domain() as domain:
            suspended = bool(domain.hasManagedSaveImage())
            domain.create()
        if suspended:
            if self._state() == PAUSED:
                with self._domain() as domain:
                    domain.resume()
            self._subject.guest.wait_for_shell()
            self._subject.require_guest(possible)
        else:
            self._subject.booted(possible)
            self._subject.begin_anew()

    # ------------------------------------------------------------------

    def _state(self) -> int:
        """When no job of libvirt's holds it any more: a save goes on when its client is gone."""

        def state() -> int | None:
            with self._domain() as domain:
                return None if _has_job(domain) else domain.state()[0]

        return wait_until(state, what="the end of a job")

    @contextmanager
    def _domain(self) -> Iterator[Any]:
        with connect(self._subject.box.uri) as connection:
            yield connection.lookupByName(self._subject.guest.name)


def _has_job(domain: Any) -> bool:
    try:
        return bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
        return False  # it is off: a job, such as a save, may have ended with it
