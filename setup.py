"""Tell setuptools where the packages are; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup

LINKED = ("stages", "aggregators", "persistence")

# With the links, one root holds all packages. Then an editable install is a path file, which type checkers read; with
# any other layout it is an import hook, which they do not. An archive, or a clone on a system without links, has plain
# files in their places.
has_links = all((Path(__file__).parent / "elastic" / name).is_dir() for name in LINKED)
setup(package_dir={"": "."} if has_links else {f"elastic.{name}": name for name in LINKED})
