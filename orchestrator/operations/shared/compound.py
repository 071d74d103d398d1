"""Plans of several operations, such as a delete with the collapses after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from ...engine.runner import Runner
from ...engine.story import Plan
from .site import Site

R = TypeVar("R")


class Compound(ABC, Generic[R]):
    """What a verb will do in several operations, as a value. What it shows is what it carries out, or refuses to."""

    @property
    @abstractmethod
    def shown(self) -> Sequence[Plan]:
        """What `--dry-run` prints, in order."""

    @abstractmethod
    def execute(self, site: Site, runner: Runner) -> R:
        """Raises `Refused` when the world is no longer what was planned for."""
