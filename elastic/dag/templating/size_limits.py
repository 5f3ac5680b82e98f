"""Size limits of templates, checked before a string is created, because creating it would exhaust the memory."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Maximum size of one value: characters of a string, items and characters of a nested list, bits of a number.
MAX_SIZE = 1_000_000

#: Maximum total size of all values that the templates of one attempt create, including temporary ones.
_MAX_TOTAL_SIZE = 50_000_000

#: Maximum number of digits after the decimal point, and of spaces before a line of JSON.
_MAX_PRECISION = 1000

#: Fields of a format string, numbers in them, and a width that is itself an argument: `{:{width}}`.
_FIELDS = re.compile(r"\{[^{}]*\}|%[-+ #0-9.*]*")
_NUMBERS = re.compile(r"\d+")
_NESTED_FORMAT = re.compile(r"\{[^{}]*\{")


class TemplateOutputTooLongError(ValueError):
    """A template exceeds a size limit."""


class SizeBudget:
    """Total size that the templates of one attempt may create."""

    def __init__(self) -> None:
        self._remaining = _MAX_TOTAL_SIZE

    def counted(self, value: Any) -> Any:
        """Return a new value after counting its size.

        Raises:
            TemplateOutputTooLongError: The value is too large, or the budget is spent.
        """
        if isinstance(value, str | bytes | list | tuple | dict | set | frozenset):
            self.spend(_weight(value))
        return value

    def spend(self, size: int) -> None:
        """Subtract a size from the budget.

        Raises:
            TemplateOutputTooLongError: The size is too large, or the budget is spent.
        """
        if size > MAX_SIZE:
            raise TemplateOutputTooLongError("a string or list is too long")
        self._remaining -= size
        if self._remaining < 0:
            raise TemplateOutputTooLongError("the templates of the attempt create too much data in total")

    def join(self, parts: Iterable[Any], separator: str = "") -> str:
        """Join the string forms of values."""
        texts, size = [], 0
        for part in parts:
            texts.append(part if isinstance(part, str) else str(part))
            size += len(texts[-1]) + len(separator)
            if size > MAX_SIZE + len(separator):
                raise TemplateOutputTooLongError("a string is too long")
        self.spend(size)
        return separator.join(texts)

    def check_operation(self, operator: str, left: Any, right: Any) -> None:
        """Count the result of an operator before it is computed."""
        if operator == "**" and _bits(left) * abs(_number(right)) > MAX_SIZE:
            raise TemplateOutputTooLongError("a power is too large")
        if operator == "*":
            if _bits(left) + _bits(right) > MAX_SIZE:
                raise TemplateOutputTooLongError("a product is too large")
            size = max(_size(left) * abs(_number(right)), _size(right) * abs(_number(left)))
            if size > MAX_SIZE:
                raise TemplateOutputTooLongError("a repetition is too long")
            self.spend(size)
        if operator == "+":
            self.spend(_size(left) + _size(right))

    def check_method(self, name: str, value: Any, given: list[Any]) -> None:
        """Count the result of a method of a string, a number or a list before it is called."""
        if name in _SIZED_BY_ARGUMENT and any(abs(_number(one)) > MAX_SIZE for one in given):
            raise TemplateOutputTooLongError("a string or list is too long")
        bound = _BOUNDS.get(name)
        if bound is not None:
            self.spend(bound(value, *given))

    def check_filter(self, name: str, value: Any, given: list[Any]) -> None:
        """Count the result of a filter before it is called."""
        if name in ("round", "tojson") and any(abs(_number(one)) > _MAX_PRECISION for one in given):
            raise TemplateOutputTooLongError(f"{name} accepts numbers up to {_MAX_PRECISION}")
        if name == "sum" and any(not isinstance(one, int | float | str | None) for one in given):
            raise TemplateOutputTooLongError("sum accepts numbers only")
        self.check_method(name, value, given)

    def check_format(self, text: str, given: list[Any]) -> None:
        """Count the result of `format`, or of the filter of this name, before it is called."""
        if _NESTED_FORMAT.search(text.replace("{{", "").replace("}}", "")):
            raise TemplateOutputTooLongError("widths in a format string must be numbers")
        fields = _FIELDS.findall(text)
        widths = sum(min(int(number[:9]), MAX_SIZE + 1) for field in fields for number in _NUMBERS.findall(field))
        stars = sum(field.count("*") for field in fields if field.startswith("%"))
        widest = max([abs(_number(one)) for one in given], default=0)
        self.spend(len(text) + widths + stars * widest + len(fields) * max(map(_text_size, given), default=0))


def _weight(value: Any) -> int:
    """Return the length of a string, or the number of all nested items of a collection plus the lengths of strings."""
    if isinstance(value, str | bytes):
        return len(value)
    total, pending = 0, [value]
    while pending:
        one = pending.pop()
        total += 1
        if isinstance(one, str | bytes):
            total += len(one)
        elif isinstance(one, dict):
            pending.extend(one.keys())
            pending.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            pending.extend(one)
        if total + len(pending) > MAX_SIZE:
            return MAX_SIZE + 1
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


#: Methods and filters whose numeric arguments determine the size of the result.
_SIZED_BY_ARGUMENT = frozenset(
    ("center", "ljust", "rjust", "zfill", "expandtabs", "indent", "wordwrap", "batch", "slice", "urlize", "to_bytes")
)

#: Upper bound of the result size by method or filter. The results of all others are not larger than their input.
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
