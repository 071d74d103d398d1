"""Names of checkpoints and tags: the user gives them, so they are checked first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import LONGEST_LINE, UsageError
from orchestrator.model import check_name
from orchestrator.operations.checkpoint.plan import plan_checkpoint
from tests.unit.builders import checkpoint_facts, checkpoint_request

BAD_NAMES = [
    "",
    " ",
    ".",
    "..",
    "../../etc/cron.d/x",
    "/abs/name",
    "nul\0",
    "newline\n",
    "two\nlines",
    "\x1b[31mred",
    "x" * 64,
    "x" * 300,
    "-rf",
    "a;rm -rf ~",
    "$(id)",
    "\u202egnp",
    "größe",
    "e\u0301",
    "\udc80",
    "\U0010ffff" * 60,
    "_hidden",
    "a b",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize("what", ["checkpoint", "tag"])
def test_a_bad_name_or_tag_is_refused(name: str, what: str) -> None:
    request = {"name": name} if what == "checkpoint" else {"tags": ("good", name)}

    with pytest.raises(UsageError) as refused:
        plan_checkpoint(checkpoint_request(**request), checkpoint_facts())

    line = str(refused.value)
    assert refused.value.exit_code == 2
    assert f"is not a valid {what} name; nothing was changed; use 1 to 63 of" in line
    assert line.isprintable()
    assert len(line) <= LONGEST_LINE


@pytest.mark.parametrize("name", ["a", "7", "before-upgrade_2.1", "x" * 63, "20260102-030405-1b9d6bcd"])
def test_a_good_name_is_taken_as_it_is(name: str) -> None:
    assert plan_checkpoint(checkpoint_request(name=name), checkpoint_facts()).labels.name == name


@given(st.text(max_size=70))
def test_a_name_that_is_taken_can_never_be_a_path_or_an_option(name: str) -> None:
    try:
        check_name(name, "checkpoint")
    except UsageError as error:
        assert len(str(error)) <= LONGEST_LINE
        return
    assert 1 <= len(name) <= 63
    assert name.isascii()
    assert not set(name) & set("/\0\n ")
    assert name[0] not in ".-_"
