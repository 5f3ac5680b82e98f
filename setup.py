"""Tell setuptools where the packages are; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

LINKED = ("stages", "aggregators", "persistence")

below_links = [pattern for name in LINKED for pattern in (f"elastic.{name}", f"elastic.{name}.*")]
packages = find_packages(include=["elastic", "elastic.*"], exclude=below_links)
for name in LINKED:
    packages += [f"elastic.{found}" for found in find_packages(include=[name, f"{name}.*"])]

# With the links, one root holds all packages. Then an editable install is a path file, which type checkers read; with
# any other layout it is an import hook, which they do not. An archive, or a clone on a system without links, has plain
# files in their places.
has_links = all((Path(__file__).parent / "elastic" / name).is_dir() for name in LINKED)
setup(
    packages=packages,
    package_dir={"": "."} if has_links else {f"elastic.{name}": name for name in LINKED},
)
