"""One hypervisor: its guests and its files, through one connection."""

from __future__ import annotations

from typing import Protocol

from ..model import Host
from .guests import Domains
from .storage import Storage


class Hypervisor(Protocol):
    @property
    def host(self) -> Host: ...
    @property
    def domains(self) -> Domains: ...
    @property
    def storage(self) -> Storage: ...
    def close(self) -> None: ...
