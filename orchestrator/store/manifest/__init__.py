"""The manifest: what an operation's directory says of itself, so that the store can do without its catalog.

Pure. `manifest.json` is written when the directory is made (whose it is, and which overlays it is to
hold) and, by a checkpoint, again when everything about the checkpoint is known. No secret is in it:
the domain XML is in the memory image and is recorded here only as a digest.

values    what a manifest says, and its bytes
reading   bytes to values, believing none of them
"""

from .reading import BadManifest, decode
from .values import (
    LONGEST,
    SCHEMA,
    Manifest,
    Record,
    digest,
    encode,
    on_host,
    with_checkpoint,
    with_collapsed,
    without_checkpoint,
)

__all__ = [
    "LONGEST",
    "SCHEMA",
    "BadManifest",
    "Manifest",
    "Record",
    "decode",
    "digest",
    "encode",
    "on_host",
    "with_checkpoint",
    "with_collapsed",
    "without_checkpoint",
]
