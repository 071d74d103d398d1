"""Fixtures for all suites: the session's own hypervisor in a box, and witness guests in it."""

pytest_plugins = ["tests.box.fixtures"]
