"""Values of template fields that are neither rendered nor read from files."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Jinja code in a string.
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
#: More than one word, so not just a name.
_PHRASE = re.compile(r"\w.*\W|\W.*\w", re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class Literal:
    """Value of a template field that is used unchanged."""

    value: Any

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return f"literal({self.value!r})"


def literal(value: Any) -> Any:
    """Return a value for a template field that is neither rendered nor read from a file.

        BashOperator(task_id="print", bash_command='echo "$TEXT"', env={"TEXT": literal("{{ not a template }}")})

    Args:
        value: Any value; `execute` receives it unchanged.
    """
    return Literal(value)


def strings_in(value: Any) -> Iterator[str]:
    """Yield all strings in a value, also in nested lists, sets and dicts (with keys), and in bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from strings_in(name)
            yield from strings_in(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from strings_in(one)


class ForeignTexts:
    """Strings that other tasks pushed to the constructor of a mapped copy: data, never templates.

    A constructor may store them unchanged, or as parts of other strings. Unchanged ones are recognized by identity. Any
    other string that the author did not write is not rendered if a pushed string may be code in it. That is possible if
    a pushed string contains a brace, or if one of several words occurs between the braces of the string.

    Args:
        values: Values that other tasks pushed.
        written: Values that the author of the DAG gave to the constructor.
    """

    def __init__(self, values: Any, written: Any) -> None:
        # Referenced, because an id() is unique only while its object exists.
        self._strings = list(strings_in(values))
        self._identities = {id(string) for string in self._strings}
        self._has_brace = any("{" in string or "}" in string for string in self._strings)
        self._phrases = {phrase for phrase in map(str.strip, self._strings) if _PHRASE.search(phrase)}
        self._written = set(strings_in(written)) if self._has_brace or self._phrases else set()

    def contains(self, string: str) -> bool:
        """Return whether a string is one of the pushed ones."""
        return id(string) in self._identities

    def may_be_code_in(self, string: str) -> bool:
        """Return whether a pushed string may be code in another string."""
        if string in self._written:
            return False
        return self._has_brace or any(one in code for code in _CODE.findall(string) for one in self._phrases)
