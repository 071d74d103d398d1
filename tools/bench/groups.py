"""A group of rows: competitors at the same work, and what snapctl aims at there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tools.bench.aims import Aim
from tools.bench.guests import Site
from tools.bench.rounds import Competitor


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    reference: str | Callable[[str], str]  # the row that ratios are to, or which one it is for each row
    competitors: Callable[[Site], AbstractContextManager[Sequence[Competitor]]]  # made, and cleared away after
    aims: Sequence[Aim]
    rounds: int | None = None  # at most so many, where a round takes long
