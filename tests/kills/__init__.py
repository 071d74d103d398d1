"""Kill it anywhere, on real QEMU: nothing is lost, nothing is wrong, and it says so."""

import pytest

pytest.register_assert_rewrite("tests.kills.guest_under_test", "tests.kills.catalogued", "tests.system.client")
