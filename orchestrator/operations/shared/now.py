"""What a guest is doing now, for each message of an operation that did not come to its end."""

from __future__ import annotations

from ...errors import SnapctlError
from ...ports import Hypervisor


def doing_now(hypervisor: Hypervisor, domain_uuid: str, name: str) -> str:
    """`web01 is shut off`. `name` is what it was called when the operation began."""
    try:
        domain = hypervisor.domains.get(domain_uuid)
    except SnapctlError:
        return f"cannot determine whether {name} is running"
    if domain is None:
        return f"{name} is not defined"
    return f"{name} is {domain.state}" if domain.name == name else f"{name} (now {domain.name}) is {domain.state}"
