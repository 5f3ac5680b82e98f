"""Names that DAG files import: where users expect them, without unused heavy modules."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = ("elastic.dag", "elastic.operators", "elastic.hooks", "elastic.executors")


def test_the_names_that_a_user_guesses_are_there_and_bring_nothing_heavy() -> None:
    code = """
import sys
from elastic import DAG
from elastic.operators import BaseOperator, BashOperator, EmptyOperator, FlowOperator, PythonOperator
heavy = {"ray", "sqlalchemy", "jinja2", "pandas", "polars", "cryptography", "alembic"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
with DAG("etl", start_date="2016-02-22") as dag:
    BashOperator(task_id="a", bash_command="echo {{ ds }}") >> EmptyOperator(task_id="b")
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from elastic.hooks import DuckDbHook, MySqlHook, PostgresHook, SqlHook, SqliteHook
from elastic.operators import DummyOperator, SqlOperator, dag, task
assert not (heavy - {"sqlalchemy"}) & set(sys.modules)
assert DummyOperator is EmptyOperator
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_package_leads_somewhere_and_no_other_does(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        found = getattr(module, name)
        assert getattr(found, "__name__", name) == name
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nonsense'"):
        _ = module.Nonsense
