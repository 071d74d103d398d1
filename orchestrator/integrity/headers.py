"""What a qcow2 header says of an image, and whether a checkpoint may rely on such a one."""

from __future__ import annotations

from posixpath import dirname, join, normpath

from ..formats import qcow2


def header_problem(head: bytes, path: str, backing: str | None, backing_format: str | None) -> str | None:
    """What is wrong with an image at `path` whose first bytes are `head`, and whose backing file should be `backing`.

    None if nothing is; else what follows its name in a sentence.
    """
    try:
        header = qcow2.parse_header(head)
    except qcow2.BadHeader as error:
        return str(error)
    if header.corrupt:
        return "is marked corrupt by QEMU"
    if header.external_data:
        return "keeps its data in another file (data_file), which snapctl cannot check"
    named = backing_name(header.backing, path) if header.backing is not None else None
    if named != (backing and normpath(backing)):
        return f"has the backing file {named or 'none'} in its header, not {backing or 'none'}"
    # Where no format is written libvirt takes a backing file for raw, or not at all.
    if named is not None and (header.backing_format or "raw") != backing_format:
        return f"has a backing file of format {header.backing_format or 'none'} in its header, not {backing_format}"
    return None


def backing_name(name: str, path: str) -> str:
    """The path that a backing file name in an image at `path` means, as libvirt reports it; what is none (`json:…`,
    `nbd:…`) stays."""
    if ":" in name.partition("/")[0]:
        return name
    return normpath(join(dirname(path), name))
