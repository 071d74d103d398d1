"""All bad inputs. A bug report that names a new one adds a row."""

from __future__ import annotations

from . import catalogs, configuration, connections, disks, documents, hosts, images, names, states
from .case import Row

LISTED = range(1, 91)
"""The numbers of the list in docs/bad-inputs.md."""

TABLE: tuple[Row, ...] = (
    *names.CASES,
    *states.CASES,
    *connections.CASES,
    *configuration.CASES,
    *documents.CASES,
    *disks.CASES,
    *images.CASES,
    *catalogs.CASES,
    *hosts.CASES,
)
