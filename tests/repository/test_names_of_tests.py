"""Tests name only attributes of elastic's modules that exist: no type checker looks at them."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[1]


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, ModuleType]]:
    """Yield the modules of elastic that a file imports by name, each with its name in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "elastic":
            package = importlib.import_module(node.module)
            for alias in node.names:
                found = getattr(package, alias.name, None)
                if isinstance(found, ModuleType):
                    yield alias.asname or alias.name, found


def replaced_names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield module and attribute for each assignment `module.name = ...` and each `setattr(module, "name", ...)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name, ctx=ast.Store()):
                yield module, name
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "delattr"),
                args=[ast.Name(id=module), ast.Constant(value=str(name)), *_],
            ):
                yield module, name


def missing_names(tree: ast.AST) -> list[str]:
    modules = dict(imported_modules(tree))
    return [
        f"{modules[module].__name__}.{name}"
        for module, name in replaced_names(tree)
        if module in modules and not hasattr(modules[module], name)
    ]


def test_tests_replace_only_attributes_that_exist() -> None:
    missing = {
        str(path.relative_to(TESTS)): missing_names(ast.parse(path.read_bytes())) for path in TESTS.rglob("*.py")
    }
    assert {path: names for path, names in missing.items() if names} == {}


@pytest.mark.parametrize("line", ["errors._gone, other = 0, 1", 'patch.setattr(errors, "_gone", 0)'])
def test_a_missing_attribute_is_found(line: str) -> None:
    tree = ast.parse(f"from elastic.core import errors\n{line}")
    assert "elastic.core.errors._gone" in missing_names(tree)
