"""One suite for everything behind `orchestrator.ports.Hypervisor`: the in-memory twin and the real thing in a box."""
