"""Several things done one after the other, of which none is kept from its turn by one that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...errors import SnapctlError, is_interrupt, with_effect


class Turns:
    """`failure` is the first error so far. An interrupt ends all."""

    def __init__(self, failure: SnapctlError | None = None) -> None:
        self.failure = failure

    @contextmanager
    def turn(self) -> Iterator[None]:
        try:
            yield
        except SnapctlError as error:
            if is_interrupt(error):
                raise
            self.failure = self.failure or error

    def end(self, *, done: str, what: Sequence[str]) -> None:
        """Raise the first error, if there was one, with what was done all the same."""
        if self.failure is not None:
            with with_effect(f"{done}: {', '.join(what)}" if what else ""):
                raise self.failure
