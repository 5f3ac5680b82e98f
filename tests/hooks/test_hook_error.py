"""Errors of hooks cross processes."""

import inspect
import pickle

from elastic.hooks import errors
from elastic.hooks.errors import HookError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, HookError)]


def test_an_error_of_a_hook_comes_back_from_another_process_with_the_same_text() -> None:
    assert len(CLASSES) >= 6
    for kind in CLASSES:
        parameters = [p for p in inspect.signature(kind.__init__).parameters.values() if p.annotation in (int, str)]
        error = kind(*[7 if p.annotation is int else f"some {p.name}" for p in parameters])
        twice = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
        assert type(twice) is kind
        assert (str(twice), twice.__dict__) == (str(error), error.__dict__)
        assert kind.__name__ in (errors.__doc__ or "")
