"""The real command, but its streams move 1 MiB a second, so that something can happen in the middle of them.

python -P slowly.py [ARGUMENT]…
"""

from __future__ import annotations

import sys
from typing import Any

import libvirt

from orchestrator.cli import main

MIB_PER_SECOND = 1

_rebase = libvirt.virDomain.blockRebase


def _rebase_slowly(domain: Any, disk: str, base: str | None, _bandwidth: int, flags: int) -> Any:
    return _rebase(domain, disk, base, MIB_PER_SECOND, flags)


if __name__ == "__main__":
    libvirt.virDomain.blockRebase = _rebase_slowly
    sys.exit(main(sys.argv[1:]))
