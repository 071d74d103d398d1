"""For all suites: the session's own hypervisor in a box, witness guests in it, limits of time, figures."""

pytest_plugins = ["tests.box.fixtures", "tests.figures", "tests.timeouts"]
