"""An in-memory hypervisor that behaves as libvirt was measured to behave.

`World` is what outlives every client: files, machines, the daemon. `TwinHypervisor` is one client's
connection to it and implements `orchestrator.ports.Hypervisor`. The contract suite holds both this twin and
the real thing to the same promises; F1 … F9 in comments are the facts of libvirt that it shares:

F1  restoring memory onto storage that moved on succeeds without a word
F2  a restore from an image of which bits were flipped, or the last bytes cut off, succeeds without a word
F3  a save overwrites what is at its path; when it then fails, the old image is gone
F4  a save goes on when the client that asked for it dies
F5  a daemon killed in mid-save lets the guest go on, and leaves a partial image
F6  a save that runs out of space removes its file and lets the guest go on
F7  a guest whose overlay runs out of space is paused (I/O error)
F8  a restore onto other disks leaves the persistent definition alone
F9  a restore onto a layer that somebody changed succeeds without a word; with its time put back, only reading it tells
"""

from .guest import Guest
from .hypervisor import TwinHypervisor
from .machine import Machine
from .world import World

__all__ = ["Guest", "Machine", "TwinHypervisor", "World"]
