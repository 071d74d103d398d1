"""The first step of an operation that makes overlays: its directory, with a manifest, and the overlays in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...engine.story import Step
from ...errors import IntegrityError
from ...integrity.file_users import find_users
from ...ports import Catalog, Evidence, Hypervisor
from ...store.manifest import Manifest
from ...store.workspace import discard_overlays, make_overlays, see_overlays


def prepared(
    hypervisor: Hypervisor,
    catalog: Catalog,
    directory: str,
    described: Callable[[], Manifest],
    results: Mapping[str, Any],
    and_then: Callable[[], Evidence] = dict,
) -> Step:
    """The guest does not notice it. Its evidence, `overlay_lengths`, later shows whether a guest wrote to them;
    `described` gives the manifest, for which it asks the catalog, and `and_then` is asked last for what else is to be
    recorded."""

    def make() -> None:
        make_overlays(hypervisor, directory, described())

    def look() -> Evidence | None:
        seen = see_overlays(hypervisor, directory, described())
        return None if seen is None else {**seen, **and_then()}

    def undo() -> None:
        manifest = described()
        besides = (manifest.domain_uuid, manifest.operation_id)
        paths = [overlay.path for overlay in manifest.overlays]
        for path, user in find_users(hypervisor, catalog, paths, besides=besides).items():
            raise IntegrityError(f"the new overlay {path} cannot be removed: {user}", effect="it was not changed")
        discard_overlays(hypervisor, manifest.domain_uuid, directory, manifest, results.get("overlay_lengths", {}))

    return Step("prepared", make, look, undo)
