"""Values that are what they are, and never templates or names of files."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: What Jinja runs in a text.
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
#: More than one word, and so more than a name.
_PHRASE = re.compile(r"\w.*\W|\W.*\w", re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class Literal:
    """A value of a template field that is taken as it is."""

    value: Any

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return f"literal({self.value!r})"


def literal(value: Any) -> Any:
    """Return a value for a template field that is neither rendered nor read from a file.

        BashOperator(task_id="tell", bash_command='echo "$TEXT"', env={"TEXT": literal("{{ not a template }}")})

    Args:
        value: Anything: `execute` finds it as it is.
    """
    return Literal(value)


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts that lie in a value: itself, or in its lists, sets and dicts, with keys, and in its bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from texts_in(name)
            yield from texts_in(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from texts_in(one)


class ForeignTexts:
    """The texts that other tasks passed on and the constructor of a mapped copy was given: data, not templates.

    A constructor may put them where it likes, as they are or as parts of other texts. As they are they are known by
    their identity. A text that is not as the author wrote it is no template where one of them may be code in it: one
    that has a brace, wherever it went, or one of more than a word between the braces of the text.

    Args:
        values: What other tasks passed on.
        written: What the author of the DAG gave to the constructor.
    """

    def __init__(self, values: Any, written: Any) -> None:
        # Kept, because an identity means something only as long as its object is there.
        self._texts = list(texts_in(values))
        self._identities = {id(text) for text in self._texts}
        self._has_brace = any("{" in text or "}" in text for text in self._texts)
        self._phrases = {phrase for phrase in map(str.strip, self._texts) if _PHRASE.search(phrase)}
        self._written = set(texts_in(written)) if self._has_brace or self._phrases else set()

    def holds(self, text: str) -> bool:
        """Say whether a text is one of them."""
        return id(text) in self._identities

    def may_be_in(self, text: str) -> bool:
        """Say whether one of them may be code in a text."""
        if text in self._written:
            return False
        return self._has_brace or any(one in code for code in _CODE.findall(text) for one in self._phrases)
