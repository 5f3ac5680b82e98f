"""Results of calls of user functions."""

import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from elastic.core.callables import CallKind, call_kind


def answer(entry: Any = None) -> Any:
    return entry


async def coroutine(entry: Any = None) -> Any:
    return entry


def generator(entry: Any = None) -> Iterator[Any]:
    yield entry


async def async_generator(entry: Any = None) -> AsyncIterator[Any]:
    yield entry


KINDS = {
    answer: CallKind.ANSWER,
    coroutine: CallKind.COROUTINE,
    generator: CallKind.GENERATOR,
    async_generator: CallKind.ASYNC_GENERATOR,
}


def object_with_call(function: Any) -> Any:
    return type("Callable", (), {"__call__": function})()


def bound(function: Any) -> Any:
    return type("Holder", (), {"method": function})().method


def class_method(function: Any) -> Any:
    return type("Holder", (), {"method": classmethod(function)}).method


WRAPPINGS: list[Any] = [
    lambda function: function,
    functools.partial,
    lambda function: functools.partial(functools.partial(function), entry=1),
    object_with_call,
    bound,
    class_method,
    staticmethod,
    functools.cache,
    lambda function: object_with_call(staticmethod(function)),
    lambda function: object_with_call(functools.partialmethod(function)),
    lambda function: functools.partial(object_with_call(functools.cache(bound(function)))),
]


@pytest.mark.parametrize("wrapped", WRAPPINGS)
@pytest.mark.parametrize("function", KINDS)
def test_the_kind_shows_through_every_way_to_pass_a_function_on(function: Any, wrapped: Any) -> None:
    assert call_kind(wrapped(function)) is KINDS[function]


class Meta(type):
    async def __call__(cls, *arguments: Any) -> Any:
        return super().__call__(*arguments)


@pytest.mark.parametrize(
    "function",
    [
        len,
        str.split,
        "text".join,
        int,
        dict,
        Exception,
        functools.wraps(coroutine)(lambda entry: None),
        functools.singledispatch(answer),
        None,
        3,
    ],
)
def test_the_rest_counts_as_plain(function: Any) -> None:
    assert call_kind(function) is CallKind.ANSWER


def test_a_class_whose_metaclass_makes_objects_in_a_coroutine_is_no_plain_function() -> None:
    assert call_kind(Meta("WithAsyncMetaclass", (), {})) is CallKind.COROUTINE


def test_an_endless_chain_of_callable_objects_ends() -> None:
    class Endless:
        pass

    Endless.__call__ = Endless()  # type: ignore[attr-defined]
    assert call_kind(Endless()) is CallKind.ANSWER


@pytest.mark.parametrize("function", KINDS)
def test_a_plain_function_returns_its_result_at_once(function: Any) -> None:
    value = function(3)
    waits = inspect.iscoroutine(value) or inspect.isgenerator(value) or inspect.isasyncgen(value)
    assert waits == (call_kind(function) is not CallKind.ANSWER)
    if inspect.iscoroutine(value):
        value.close()
