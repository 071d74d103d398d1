"""For all suites: the session's own hypervisor in a box, witness guests in it, limits of time, figures."""

import signal

pytest_plugins = ["tests.box.fixtures", "tests.figures", "tests.parallel", "tests.timeouts"]

# A shell starts what is to run in the background with SIGINT ignored, and children inherit that: a test that sends a
# command Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
# So does nohup with SIGHUP. A handler that does nothing is as good for this process, and is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
