"""Errors of DAGs cross processes."""

import inspect
import pickle

import pytest

from elastic.core.errors import ElasticError
from elastic.dag import errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_of_a_dag_comes_back_from_another_process_with_the_same_text(kind: type[ElasticError]) -> None:
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    values = [7.0 if p.annotation is float else f"some {p.name}" for p in named] or ["what happened"]
    error = kind(*values)
    twice = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    assert type(twice) is kind
    assert str(twice) == str(error)
    assert twice.__dict__ == error.__dict__
    assert issubclass(kind, ElasticError)


def test_the_tree_in_the_docstring_names_every_error_of_dags() -> None:
    assert len(CLASSES) >= 25
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in (errors.__doc__ or "")] == []
