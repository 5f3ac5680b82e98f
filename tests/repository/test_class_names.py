"""Public classes: one name, one meaning."""

import ast
from collections import defaultdict
from pathlib import Path

import elastic

PACKAGE = Path(elastic.__file__).parent


def public_classes() -> dict[str, list[str]]:
    """Return the modules of `elastic` that define each public top-level class, also below the linked packages."""
    modules: dict[str, list[str]] = defaultdict(list)
    folders = [PACKAGE, *(PACKAGE / name for name in ("stages", "aggregators", "persistence"))]
    # Path.rglob does not follow links to folders.
    paths = {path.resolve(): path for folder in folders for path in folder.rglob("*.py")}
    for path in paths.values():
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(str(path.relative_to(PACKAGE)))
    return modules


def test_no_two_public_classes_share_a_name() -> None:
    found = public_classes()
    assert {"Flow", "DAG", "SqlHook", "ChunkStore", "CommandGroup"} <= found.keys()
    assert {name: sorted(modules) for name, modules in found.items() if len(modules) > 1} == {}
