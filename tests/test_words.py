"""The words that an operator never reads: those that docs/glossary.md keeps out of messages and help.

Read from the source: all string constants of the product but docstrings, and the docstrings of the command's verbs,
which are their help.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "orchestrator").rglob("*.py"))

BANNED = (
    *("somebody", "nobody", "anybody", "everybody", "meanwhile", "anew", "amiss"),
    *("stand", "stands", "stood", "standing"),
    *("mend", "mends", "mended", "told", "tell", "tells", "telling"),
    *("drops", "stays", "spares", "pull", "pulled", "pulling"),
    *("look at", "looked at", "see to", "nowhere", "whatever"),
    *("go on", "goes on", "went on", "went off", "has got", "came to be", "way back", "way out", "let it"),
    *("what became of", "becomes of", "what it became", "let go", "take it down", "give up", "put back", "put it back"),
    *("under way", "foreign pen", "you are here", "take another", "any more", "is off", "wake"),
)
WORDS = re.compile(rf"\b(?:{'|'.join(map(re.escape, BANNED))})\b", re.IGNORECASE)


class Hit(NamedTuple):
    line: int
    word: str
    text: str


def hits(source: str) -> Iterator[Hit]:
    """The banned words in what a user may read: constants with a blank in them (others are keys and names), and
    the help of commands."""
    tree = ast.parse(source)
    helps = {id(_docstring(node)) for node in ast.walk(tree) if _is_command(node)}
    unread = {id(each) for node in ast.walk(tree) for each in _unread(node)} - helps
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in unread:
            for found in WORDS.finditer(node.value):
                if " " in node.value:
                    yield Hit(node.lineno, found.group(), node.value)


def _unread(node: ast.AST) -> Iterator[ast.Constant]:
    """String statements: docstrings, and those below a constant or a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value


def _docstring(node: ast.AST) -> ast.Constant | None:
    first = node.body[0] if isinstance(node, ast.FunctionDef) else None
    return first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None


def _is_command(node: ast.AST) -> bool:
    """Whether a function is decorated as `click.command(…)`, `click.group(…)` or `<group>.command(…)`."""
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in ("command", "group")
        for each in node.decorator_list
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_have_no_banned_word(path: Path) -> None:
    found = [f"{path.name}:{hit.line}: {hit.word!r} in {hit.text!r}" for hit in hits(path.read_text())]
    assert found == [], "see docs/glossary.md for the word to write"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('raise Refused("somebody is at web01")', ["somebody"]),
        ('raise Refused(f"{name} stands on {x}", hint=f"mend {x}")', ["stands", "mend"]),
        ('advice("directories", "look at " + path)', ["look at"]),
        ('hint = "Nobody knows " "of {x} meanwhile"', ["Nobody", "meanwhile"]),
        ('@click.command()\ndef verb():\n    """Tell what waits."""', ["Tell"]),
        ('@catalog.command(epilog=x)\ndef verb():\n    """What it was told."""', ["told"]),
        ('option("--after", help="What becomes of it.")', ["becomes of"]),
    ],
)
def test_hits_banned_word_is_found(source: str, words: list[str]) -> None:
    assert [hit.word for hit in hits(source)] == words


@pytest.mark.parametrize(
    "source",
    [
        '"""Somebody reads this module."""',
        'def f():\n    """Nobody does."""',
        'X = 1\n"""What nobody reads."""',
        "x = 1  # somebody",
        'fields["told"] = value',
        'raise Refused("outstanding work of a thousand")',
    ],
)
def test_hits_ignores_docstrings_comments_keys_and_parts_of_words(source: str) -> None:
    assert list(hits(source)) == []
