"""The names that `import elastic` and its lazy packages offer."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import elastic
import elastic.dag
import elastic.executors
import elastic.hooks
import elastic.operators

PACKAGES = [elastic, elastic.dag, elastic.executors, elastic.hooks, elastic.operators]
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.__name__))


def names_for_the_type_checker(package: ModuleType) -> set[tuple[str, str]]:
    """Return `(module, name)` of every import under TYPE_CHECKING."""
    source = ast.parse(Path(str(package.__file__)).read_bytes())
    [block] = [node for node in source.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {(str(node.module), alias.name) for node in imports for alias in node.names}


def names_at_run_time(package: ModuleType) -> set[tuple[str, str]]:
    return {(home, name) for home, names in package._HOMES.items() for name in names}


@each_package
def test_the_type_checker_and_the_program_find_the_same_names(package: ModuleType) -> None:
    assert names_for_the_type_checker(package) == names_at_run_time(package)


@each_package
def test_a_package_lists_its_public_names_and_no_others(package: ModuleType) -> None:
    assert sorted({*package.__all__} - {"__version__"}) == sorted(name for _, name in names_at_run_time(package))
    assert dir(package) == sorted(package.__all__)


@each_package
def test_a_public_name_is_the_object_that_its_module_defines(package: ModuleType) -> None:
    for home, name in names_at_run_time(package):
        assert getattr(package, name) is getattr(importlib.import_module(home), name)


@each_package
def test_an_unknown_name_raises_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'read_txt'"):
        _ = package.read_txt


def test_the_version_is_that_of_the_version_module() -> None:
    assert elastic.__version__ == importlib.import_module("elastic.version").__version__


def test_names_of_earlier_frameworks_lead_to_the_operators_of_today() -> None:
    assert elastic.operators.DummyOperator is elastic.operators.EmptyOperator
    assert elastic.operators.BranchPythonOperator is elastic.operators.BranchOperator


def test_importing_elastic_and_its_command_imports_neither_ray_nor_sqlalchemy() -> None:
    code = "import sys, elastic, elastic.cli.main; print(sorted({'ray', 'sqlalchemy', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
