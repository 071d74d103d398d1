"""What it was measured on: figures mean nothing without that."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.model import Host


def facts(host: Host) -> str:
    """One line: date, processor, cores, load, versions."""
    parts = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}",
        f"libvirt {host.libvirt_version}",
        f"QEMU {host.qemu_version} (software emulation)",
        f"Python {platform.python_version()}",
    )
    return "; ".join(parts)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()
