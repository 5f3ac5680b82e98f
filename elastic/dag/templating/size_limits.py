"""How much a template may make: sizes are known before a text is made, because making it is what does the harm."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Characters of one text, parts and characters of one list with all that lies in it, and bits of one number.
LARGEST = 1_000_000

#: Characters and parts that all templates of one attempt make, those that they throw away as well.
_ALTOGETHER = 50_000_000

#: Digits behind the point, and blanks before a line of JSON, that anybody wants to have.
_SMALL = 1000

#: Fields of a format, the numbers in them, and a width that itself comes from an argument: `{:{width}}`.
_FIELDS = re.compile(r"\{[^{}]*\}|%[-+ #0-9.*]*")
_NUMBERS = re.compile(r"\d+")
_NESTED_FORMAT = re.compile(r"\{[^{}]*\{")


class TemplateOutputTooLongError(ValueError):
    """A template makes more than anybody wants to have."""


class Allowance:
    """Counts what the templates of one attempt make, and refuses what is too much."""

    def __init__(self) -> None:
        self._left = _ALTOGETHER

    def kept(self, value: Any) -> Any:
        """Return a value that was made, after its size was counted.

        Raises:
            TooLongError: It is too large, or too much was made before.
        """
        if isinstance(value, str | bytes | list | tuple | dict | set | frozenset):
            self.take(_weight(value))
        return value

    def take(self, size: int) -> None:
        """Allow for something of this size.

        Raises:
            TooLongError: It is too large, or too much was made before.
        """
        if size > LARGEST:
            raise TemplateOutputTooLongError("the text or list becomes too long")
        self._left -= size
        if self._left < 0:
            raise TemplateOutputTooLongError("the templates of the attempt make too much altogether")

    def joined(self, parts: Iterable[Any], between: str = "") -> str:
        """Join the texts of values."""
        texts, size = [], 0
        for part in parts:
            texts.append(part if isinstance(part, str) else str(part))
            size += len(texts[-1]) + len(between)
            if size > LARGEST + len(between):
                raise TemplateOutputTooLongError("the text becomes too long")
        self.take(size)
        return between.join(texts)

    def operation(self, operator: str, left: Any, right: Any) -> None:
        """Allow for the result of an operator."""
        if operator == "**" and _bits(left) * abs(_number(right)) > LARGEST:
            raise TemplateOutputTooLongError("the power is too large")
        if operator == "*":
            if _bits(left) + _bits(right) > LARGEST:
                raise TemplateOutputTooLongError("the product is too large")
            size = max(_size(left) * abs(_number(right)), _size(right) * abs(_number(left)))
            if size > LARGEST:
                raise TemplateOutputTooLongError("the repetition is too long")
            self.take(size)
        if operator == "+":
            self.take(_size(left) + _size(right))

    def method(self, name: str, value: Any, given: list[Any]) -> None:
        """Allow for the result of a method of a text, a number or a list."""
        if name in _COUNTING and any(abs(_number(one)) > LARGEST for one in given):
            raise TemplateOutputTooLongError("the text or list becomes too long")
        bound = _BOUNDS.get(name)
        if bound is not None:
            self.take(bound(value, *given))

    def filter(self, name: str, value: Any, given: list[Any]) -> None:
        """Allow for the result of a filter."""
        if name in ("round", "tojson") and any(abs(_number(one)) > _SMALL for one in given):
            raise TemplateOutputTooLongError(f"{name} takes numbers up to {_SMALL}")
        if name == "sum" and any(not isinstance(one, int | float | str | None) for one in given):
            raise TemplateOutputTooLongError("sum adds up numbers only")
        self.method(name, value, given)

    def formatted(self, text: str, given: list[Any]) -> None:
        """Allow for the result of `format`, or of the filter of this name."""
        if _NESTED_FORMAT.search(text.replace("{{", "").replace("}}", "")):
            raise TemplateOutputTooLongError("the widths of a format are numbers in its text")
        fields = _FIELDS.findall(text)
        widths = sum(min(int(number[:9]), LARGEST + 1) for field in fields for number in _NUMBERS.findall(field))
        stars = sum(field.count("*") for field in fields if field.startswith("%"))
        widest = max([abs(_number(one)) for one in given], default=0)
        self.take(len(text) + widths + stars * widest + len(fields) * max(map(_text_size, given), default=0))


def _weight(value: Any) -> int:
    """Return the length of a text, or of a list all parts and the lengths of texts, as often as each is in it."""
    if isinstance(value, str | bytes):
        return len(value)
    total, open_ones = 0, [value]
    while open_ones:
        one = open_ones.pop()
        total += 1
        if isinstance(one, str | bytes):
            total += len(one)
        elif isinstance(one, dict):
            open_ones.extend(one.keys())
            open_ones.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            open_ones.extend(one)
        if total + len(open_ones) > LARGEST:
            return LARGEST + 1
    return total


def _size(value: Any) -> int:
    return _weight(value) if isinstance(value, str | bytes | list | tuple) else 0


def _text_size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(str(value))


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _padded(value: Any, width: Any = 0, *_: Any) -> int:
    return max(_text_size(value), _number(width))


def _expanded(value: Any, width: Any = 8, *_: Any) -> int:
    tab = b"\t" if isinstance(value, bytes) else "\t"
    return len(value) + int(value.count(tab)) * abs(_number(width))


def _replaced(value: Any, old: Any = "", new: Any = "", *_: Any) -> int:
    text = value if isinstance(value, str | bytes) else str(value)
    if not isinstance(old, type(text)) or not isinstance(new, type(text)):
        text, old, new = str(value), str(old), str(new)
    return len(text) + text.count(old) * max(0, len(new) - len(old))


def _indented(value: Any, width: Any = 4, *_: Any) -> int:
    text = str(value)
    return len(text) + (text.count("\n") + 1) * (len(width) if isinstance(width, str) else abs(_number(width)))


def _wrapped(value: Any, width: Any = 79, breaks: Any = True, between: Any = None, *_: Any) -> int:
    return len(str(value)) * (1 + (len(between) if isinstance(between, str) else 1))


def _linked(value: Any, *given: Any) -> int:
    text = str(value)
    return 4 * len(text) + (text.count(" ") + 1) * (64 + sum(map(_text_size, given)))


def _attributes(value: Any, *_: Any) -> int:
    return sum(6 * _text_size(one) for pair in value.items() for one in pair) if isinstance(value, Mapping) else 0


#: Methods and filters whose numbers say how long what they make becomes.
_COUNTING = frozenset(
    ("center", "ljust", "rjust", "zfill", "expandtabs", "indent", "wordwrap", "batch", "slice", "urlize", "to_bytes")
)

#: By the name of a method or filter: how long what it makes may be. What is not here makes no more than it is given.
_BOUNDS: Mapping[str, Callable[..., int]] = {
    "center": _padded,
    "ljust": _padded,
    "rjust": _padded,
    "zfill": _padded,
    "expandtabs": _expanded,
    "replace": _replaced,
    "indent": _indented,
    "wordwrap": _wrapped,
    "urlize": _linked,
    "xmlattr": _attributes,
}
