"""Example DAGs: copies them into a DAG folder."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from elastic.core.errors import UsageError
from elastic.persistence.durable_file import make_folder


def copy_examples(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Copy the example DAGs into a folder; yield each path, and whether it is new.

    Raises:
        UsageError: A file cannot be written.
    """
    make_folder(folder, is_durable=False)
    for source in sorted(resources.files("elastic.service.example_dags").iterdir(), key=lambda one: one.name):
        if not source.name.endswith(".py") or source.name.startswith("__"):
            continue
        path = folder / source.name
        try:
            with path.open("xb") as file:
                file.write(source.read_bytes())
        except FileExistsError:
            yield path, False
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror}).") from error
        else:
            yield path, True
