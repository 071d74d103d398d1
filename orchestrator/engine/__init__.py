"""How any operation runs: its story, the run under a lease, recovery, and the fence around the hypervisor."""
