"""The names that `import elastic` offers."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import elastic

SOURCE = ast.parse(Path(elastic.__file__).read_bytes())


def names_for_the_type_checker() -> set[tuple[str, str]]:
    """Return `(module, name)` of everything that is imported under TYPE_CHECKING."""
    [block] = [node for node in SOURCE.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {(str(node.module), alias.name) for node in imports for alias in node.names}


def names_at_run_time() -> set[tuple[str, str]]:
    return {(home, name) for home, names in elastic._HOMES.items() for name in names}


def test_the_type_checker_and_the_program_find_the_same_names() -> None:
    assert names_for_the_type_checker() == names_at_run_time()


def test_every_public_name_is_there_and_no_other() -> None:
    assert sorted(elastic.__all__) == sorted({name for _, name in names_at_run_time()} | {"__version__"})
    assert dir(elastic) == sorted(elastic.__all__)


@pytest.mark.parametrize("name", elastic.__all__)
def test_a_public_name_leads_to_what_its_home_defines(name: str) -> None:
    homes = [home for home, found in names_at_run_time() if found == name] or ["elastic.version"]
    assert getattr(elastic, name) is getattr(importlib.import_module(homes[0]), name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'elastic' has no attribute 'read_txt'"):
        _ = elastic.read_txt


def test_importing_elastic_and_its_command_imports_neither_ray_nor_sqlalchemy() -> None:
    code = "import sys, elastic, elastic.cli.main; print(sorted({'ray', 'sqlalchemy', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
