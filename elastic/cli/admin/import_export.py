"""Import and export files of connections and variables: JSON or YAML, readable only by their owner."""

import json
from pathlib import Path
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.local_path import local_path
from elastic.core.text import json_text
from elastic.persistence.durable_file import replacing

#: Maximum size of an imported file, in bytes.
_MAX_BYTES = 8 << 20

#: Maximum nesting of lists and mappings.
_MAX_DEPTH = 32


def read_document(path: Path) -> dict[str, Any]:
    """Return the mapping in a file: YAML if its name ends in .yaml or .yml, else JSON.

    Raises:
        UsageError: The file cannot be read, is too large, or holds no mapping. The message shows none of its content.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is larger than {_MAX_BYTES >> 20} MiB; import it in parts.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'}).") from error
    found = _of_yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else _of_json(path, text)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UsageError(f"{path} must hold a mapping from names to values.")
    return found


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Write a file that only its owner may read, and replace an existing one.

    Raises:
        UsageError: The file cannot be written.
    """
    local_path("FILE", path)
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        text = str(yaml.safe_dump(content, sort_keys=True, allow_unicode=True))
    else:
        text = json_text(json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True)) + "\n"
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).") from error


def _of_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise UsageError(f"{path}, line {line}: invalid JSON.") from None


def _of_yaml(path: Path, text: str) -> Any:
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            # Nested aliases can expand a few lines into millions of values.
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(f"{path} has aliases (*name), which are not allowed; write out their values.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            # PyYAML's time grows with the square of the depth.
            if depth > _MAX_DEPTH:
                raise UsageError(f"{path} is nested more than {_MAX_DEPTH} levels deep; import flatter values.")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UsageError(f"{path}, line {mark.line + 1 if mark else 1}: invalid YAML.") from None
