"""For all suites: the session's own hypervisor in a box, witness guests in it, and figures at the end."""

pytest_plugins = ["tests.box.fixtures", "tests.figures"]
