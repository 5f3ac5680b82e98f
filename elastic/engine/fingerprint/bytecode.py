"""Bytecode of user code, without locations, docstrings and unused constants."""

import dis
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

# See the module `dis`. Some operations shift the index of a name, because the low bits are a flag.
_CONSTANT, _NAMED = frozenset(dis.hasconst), frozenset(dis.hasname)
_EXTENDED, _CACHE = dis.opmap["EXTENDED_ARG"], dis.opmap["CACHE"]
_SHIFTS = {"LOAD_GLOBAL": 1}
if sys.version_info >= (3, 12):
    _SHIFTS |= {"LOAD_ATTR": 1, "LOAD_SUPER_ATTR": 2}
_NAME_SHIFT = {dis.opmap[name]: shift for name, shift in _SHIFTS.items() if name in dis.opmap}
_GLOBAL = frozenset(dis.opmap[name] for name in ("LOAD_GLOBAL", "LOAD_NAME"))
_STORED = frozenset(dis.opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL"))
_STORE_NAME = dis.opmap["STORE_NAME"]
#: Names that Python itself stores in the body of a class.
_IMPLICIT_CLASS_NAMES = {"__doc__", "__qualname__", "__firstlineno__", "__static_attributes__"}
#: Flags of argument kinds, generators and coroutines; not of docstrings, nesting and future statements.
FLAGS = 0x0F | 0x20 | 0x80 | 0x100 | 0x200


class Instructions:
    """Instructions of a code object, with constants and names in the order of their first use."""

    def __init__(self, code: CodeType) -> None:
        #: operation and argument of each instruction
        self.listed: list[tuple[int, int]] = []
        self.names: list[str] = []
        self.constants: list[Any] = []
        #: names that are read from the module, and those that are written there
        self.globals: list[str] = []
        self.stored: set[str] = set()
        found = list(_instructions(code.co_code))
        names: dict[int, int] = {}
        constants: dict[int, int] = {}
        skipped = False
        for (operation, argument), following in zip(found, [*found[1:], (_CACHE, 0)], strict=True):
            if skipped:
                skipped = False
            elif (
                operation in _CONSTANT
                and following[0] == _STORE_NAME
                and code.co_names[following[1]] in _IMPLICIT_CLASS_NAMES
            ):
                skipped = True
            elif operation in _CONSTANT:
                if argument not in constants:
                    self.constants.append(code.co_consts[argument])
                self.listed.append((operation, constants.setdefault(argument, len(constants))))
            elif operation in _NAMED:
                self._take_name(operation, argument, code.co_names, names)
            else:
                self.listed.append((operation, argument))

    def _take_name(self, operation: int, argument: int, all_names: tuple[str, ...], names: dict[int, int]) -> None:
        shift = _NAME_SHIFT.get(operation, 0)
        index, low = argument >> shift, argument & ((1 << shift) - 1)
        name = all_names[index]
        if index not in names:
            self.names.append(name)
        self.listed.append((operation, names.setdefault(index, len(names)) << shift | low))
        if operation in _GLOBAL:
            self.globals.append(name)
        elif operation in _STORED:
            self.stored.add(name)


def _instructions(raw: bytes) -> Iterator[tuple[int, int]]:
    high = 0
    for at in range(0, len(raw), 2):
        operation, argument = raw[at], raw[at + 1] | high
        high = 0
        if operation == _EXTENDED:
            high = argument << 8
        elif operation != _CACHE:
            yield operation, argument


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all code nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)
