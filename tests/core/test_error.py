"""Errors cross processes."""

import inspect
import pickle

import pytest

from elastic.core import errors
from elastic.core.errors import ElasticError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, ElasticError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_from_another_process_with_the_same_text(kind: type[ElasticError]) -> None:
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    values = [7 if p.annotation in (int, float) else f"some {p.name}" for p in named] or ["what happened"]
    error = kind(*values)
    twice = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    assert type(twice) is kind
    assert str(twice) == str(error)
    assert twice.__dict__ == error.__dict__
    assert len(CLASSES) >= 20


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in drawn] == []


def test_a_failed_step_names_its_run_before_the_period_of_the_reason() -> None:
    assert str(errors.StepFailedError("r1", "the file is a zip archive; unpack it.")) == (
        "the file is a zip archive; unpack it (run r1)"
    )
