"""House style: archaic and vague words are banned from docstrings, comments and messages."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Banned words and phrases. Each has a plain replacement: the actor's name, "the user", "must", "large", "no longer".
BANNED = (
    "whoever", "somebody", "nobody", "any more", "borne", "befall", "befalls", "come of", "came of", "at hand", "shall",
    "is to be", "are to be", "dear", "great", "is told", "are told", "as it stands", "throws dice", "a text", "a rest",
    "anew", "told", "tells", "so many",
)  # fmt: skip

#: Words that a package still uses. Remove a word from here with its last use.
STILL_USED: dict[str, tuple[str, ...]] = {
    "elastic/testing": ("nobody",),  # the user account of that name
}

PACKAGES = [
    "elastic",
    *sorted(
        f"elastic/{path.parent.name}" for path in ROOT.glob("elastic/*/__init__.py") if not path.parent.is_symlink()
    ),
    "stages",
    "aggregators",
    "persistence",
]


def prose_of(path: Path) -> list[tuple[int, str]]:
    """Return the line and the text of every string and comment of a module."""
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return [(token.start[0], " ".join(token.string.lower().split())) for token in tokens if token.type in kinds]


def found_in(package: str, words: tuple[str, ...]) -> list[str]:
    """Return the place and the word of every use in a package; for `elastic` itself, only in its own modules."""
    folder = ROOT / package
    paths = folder.glob("*.py") if package == "elastic" else folder.rglob("*.py")
    return [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in sorted(paths)
        for line, text in prose_of(path)
        for word in words
        if re.search(rf"\b{re.escape(word)}\b", text)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_uses_no_banned_word(package: str) -> None:
    words = tuple(word for word in BANNED if word not in STILL_USED.get(package, ()))
    assert found_in(package, words) == []


def test_the_lint_sees_strings_comments_and_docstrings(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text('"""Nobody\n    knows."""\nx = f"whoever {1} is"  # it shall\n')
    assert [text for _, text in prose_of(path) if re.search("nobody|whoever|shall", text)] != []
    assert len(prose_of(path)) >= 3
