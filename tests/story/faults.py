"""Faults at every call: a port wrapped so that its n-th call fails, or is the last one ever made.

Nothing is known here of what the calls mean. A run without a fault counts the calls; then each of
them gets each kind of fault in turn, before its effect and after it. Faults at the named points of
a story are in `tests.story.strikes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from orchestrator.errors import CatalogError, HypervisorError


class Killed(BaseException):
    """SIGKILL: nobody catches it, nothing after it happens."""


class Fate(Protocol):
    """What befalls one client: it is told of each point that the client reaches, and makes its calls."""

    def reach(self, point: str) -> None: ...
    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any: ...


class Kind(StrEnum):
    KILLED = "killed after"  # which is just before the next call
    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"
    ERROR_FOREVER = "error from here on"
    INTERRUPT_AFTER = "Ctrl-C after"

    @property
    def after(self) -> bool:
        return self in (Kind.KILLED, Kind.ERROR_AFTER, Kind.INTERRUPT_AFTER)


@dataclass
class Faults:
    """What happens at which call: the one numbered `at`, or the `times`-th of the name `after`.

    `calls` grows by the name of each call that was begun.
    """

    at: int | None = None
    after: str | None = None
    times: int = 1
    kind: Kind | None = None
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    def reach(self, point: str) -> None:
        """These strike at calls."""

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if self.dead:
            raise Killed  # a dead process calls nothing
        self.calls.append(name)
        number = len(self.calls) - 1
        if name == self.after and self.calls.count(name) == self.times:
            self.at = number
        hit = number == self.at or (self.kind is Kind.ERROR_FOREVER and self.at is not None and number >= self.at)
        if hit and self.kind is not None and not self.kind.after:
            self._strike(self.kind, name, port_error)
        try:
            result = act()
        except Exception:
            if hit and self.kind is Kind.KILLED:  # and so never hears that it failed
                self._strike(self.kind, name, port_error)
            raise
        if hit and self.kind is not None:
            self._strike(self.kind, name, port_error)
        return result

    def _strike(self, kind: Kind, name: str, port_error: type[Exception]) -> None:
        if kind is Kind.KILLED:
            self.dead = True
            raise Killed
        if kind is Kind.INTERRUPT_AFTER:
            raise KeyboardInterrupt
        raise port_error(f"injected at {name}")


class Faulty:
    """A port whose methods, and those of its parts, are called by a client's fate."""

    PARTS = ("domains", "storage")
    UNTOUCHED = ("host", "close_connection", "check", "release")
    OPENING = ("open_operation", "take_over")

    def __init__(self, target: Any, fate: Fate, error: type[Exception]) -> None:
        self._target = target
        self._fate = fate
        self._error = error

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if name in self.PARTS:
            return Faulty(attribute, self._fate, self._error)
        if name in self.UNTOUCHED or not callable(attribute):
            return attribute
        if name == "deciding":
            return lambda: self._deciding(attribute())
        return lambda *args, **kwargs: self._part(
            name, self._fate.call(name, self._error, lambda: attribute(*args, **kwargs))
        )

    def _part(self, name: str, result: Any) -> Any:
        """An open operation is a part of the catalog, too."""
        return Faulty(result, self._fate, self._error) if name in self.OPENING else result

    @contextmanager
    def _deciding(self, transaction: AbstractContextManager[None]) -> Iterator[None]:
        """The call that may fail, or be the last one, is the end of the transaction."""
        ended = False

        def commit() -> None:
            nonlocal ended
            ended = True
            transaction.__exit__(None, None, None)

        transaction.__enter__()
        try:
            yield
            self._fate.call("deciding", self._error, commit)
        except BaseException as error:
            if not ended:
                with suppress(type(error)):
                    transaction.__exit__(type(error), error, error.__traceback__)
            raise


def faulty_hypervisor(target: Any, fate: Fate) -> Any:
    return Faulty(target, fate, HypervisorError)


def faulty_catalog(target: Any, fate: Fate) -> Any:
    return Faulty(target, fate, CatalogError)
