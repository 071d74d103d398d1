"""All bad inputs. A bug report that names a new one adds a row."""

from __future__ import annotations

from . import catalogs, configuration, connections, disks, documents, images, names, states
from .case import Row

LISTED = range(1, 89)
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
)
