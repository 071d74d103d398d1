"""The first step of an operation that makes overlays: its directory, with a manifest, and the overlays in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...engine.story import Step
from ...ports import Evidence, Hypervisor
from ...store.manifest import Manifest
from ...store.workspace import discard_overlays, make_overlays, see_overlays


def prepared(
    hypervisor: Hypervisor,
    directory: str,
    manifest: Manifest,
    results: Mapping[str, Any],
    and_then: Callable[[], Evidence] = dict,
) -> Step:
    """The guest does not notice it. Its evidence, `overlay_lengths`, later shows whether a guest wrote to them;
    `and_then` is asked last for what else is to be recorded."""

    def make() -> None:
        make_overlays(hypervisor, directory, manifest)

    def look() -> Evidence | None:
        seen = see_overlays(hypervisor, directory, manifest)
        return None if seen is None else {**seen, **and_then()}

    def undo() -> None:
        discard_overlays(hypervisor, manifest.domain_uuid, directory, manifest, results.get("overlay_lengths", {}))

    return Step("prepared", make, look, undo)
