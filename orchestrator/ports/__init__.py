"""What the inside needs of the world, as interfaces: the one door to the hypervisor, and the catalog.

`orchestrator.hypervisor` implements `Domains` and `Storage` over libvirt; the tests' in-memory twin
implements them over dictionaries; one contract suite runs on both. Every path is a name in the
hypervisor's file system. Every method of theirs may raise a `HypervisorError`; after one the effect
is *unknown*: the caller observes, then acts. `NotFound` says that what was named does not exist, so
that nothing happened.

guests, storage, hypervisor  libvirt
catalog, journal             the SQL database
progress                     who watches a long step
"""

from .catalog import Catalog
from .guests import Domains
from .hypervisor import Hypervisor
from .journal import Evidence, OpenOperation
from .progress import Progress, silent
from .storage import Storage

__all__ = [
    "Catalog",
    "Domains",
    "Evidence",
    "Hypervisor",
    "OpenOperation",
    "Progress",
    "Storage",
    "silent",
]
