"""Tests on real guests, run by a real libvirt in a box."""

import pytest

pytest.register_assert_rewrite("tests.system.client", "tests.system.moments", "tests.system.host_state")
