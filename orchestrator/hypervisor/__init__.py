"""The one door to the hypervisor, over libvirt. Nothing else in snapctl imports libvirt.

Nothing here opens, creates, renames or deletes a file by path: every effect is a call of the domain
API, the storage pool and volume API, or a stream, so that the client can be on any machine and any user.
"""

from .hypervisor import LibvirtHypervisor, connect

__all__ = ["LibvirtHypervisor", "connect"]
