"""Each planted bug is caught by the tests named for it, which pass without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .bugs import BUGS, Bug
from .tree_copy import FAILED, PACKAGES, PASSED, ROOT, TreeCopy


def test_planted_bugs_are_distinct_and_enough() -> None:
    assert len({(bug.file, bug.old, bug.new) for bug in BUGS}) == len(BUGS) >= 15


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """The product still has, once, what the bug is to replace."""
    assert (ROOT / bug.file).read_text(encoding="utf-8").count(bug.old) == 1
    assert bug.old != bug.new
    for test in bug.tests:
        assert (ROOT / test.partition("::")[0]).is_file()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> TreeCopy:
    return TreeCopy(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def caught(figure: Callable[[str], None]) -> Iterator[list[Bug]]:
    caught: list[Bug] = []
    yield caught
    figure(f"planted bugs: {len(caught)} of {len(BUGS)} caught")


@pytest.mark.long
def test_the_copy_is_what_is_tested(copy: TreeCopy) -> None:
    origins = copy.origins()
    assert len(origins) == len(PACKAGES)
    for origin in origins:
        assert origin.is_relative_to(copy.directory), origin


@pytest.mark.long
def test_planted_tests_pass_without_a_bug(copy: TreeCopy) -> None:
    done = copy.test(sorted({test for bug in BUGS for test in bug.tests}))
    assert done.returncode == PASSED, done.stdout


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_bug_is_caught(copy: TreeCopy, caught: list[Bug], bug: Bug) -> None:
    with copy.planted(bug):
        done = copy.test(bug.tests)
    assert done.returncode == FAILED, f"{bug} was not caught:\n{done.stdout}{done.stderr}"
    caught.append(bug)
