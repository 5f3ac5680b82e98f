"""Imports form no cycle, including those inside functions and for the type checker."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Packages of elastic at the top of the repository.
LINKED = ("aggregators", "persistence", "stages")
#: Aggregators may contain each other: a name may denote a GroupBy, which finds its inner aggregator by name.
RECURSIVE = "elastic.aggregators."


def sources() -> dict[str, Path]:
    """Return the files of elastic by dotted module name."""
    folders = [ROOT / "elastic", *(ROOT / name for name in LINKED)]
    paths = [path for folder in folders for path in folder.rglob("*.py") if not is_linked(path)]
    return {dotted(path): path for path in paths}


def is_linked(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / "elastic" / name) for name in LINKED)


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts if parts[0] == "elastic" else ("elastic", *parts))
    return name.removesuffix(".__init__")


def imports(tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """Yield the known modules that a module imports anywhere in its source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "relative imports are not followed here"
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                if member in known:
                    yield member
                elif node.module in known:
                    yield node.module


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return the imports of each module, without those of packages, which only offer names of their members."""
    modules = {name: path for name, path in files.items() if path.name != "__init__.py"}
    return {name: set(imports(ast.parse(path.read_bytes()), modules)) - {name} for name, path in modules.items()}


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of a cycle, in order; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found_behind_the_type_checker_and_in_a_function() -> None:
    first = ast.parse("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from elastic.b import B\n")
    second = ast.parse("def use():\n    from elastic import a\n")
    known = {"elastic.a": first, "elastic.b": second}
    graph = {name: set(imports(tree, known)) for name, tree in known.items()}
    assert graph == {"elastic.a": {"elastic.b"}, "elastic.b": {"elastic.a"}}
    assert set(circle_in(graph)) == set(known)


@pytest.mark.parametrize("package", ["elastic.dag.", "elastic."])
def test_the_modules_of_a_package_import_each_other_in_one_direction(package: str) -> None:
    graph = import_graph(sources())
    inside = {name: found for name, found in graph.items() if name.startswith(package)}
    assert len(inside) > 20
    assert circle_in({name: found for name, found in inside.items() if not name.startswith(RECURSIVE)}) == []
