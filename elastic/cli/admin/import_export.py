"""Files of connections and variables: JSON or YAML, read with care and written for their owner only."""

import json
from pathlib import Path
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.local_path import local_path
from elastic.core.text import json_text
from elastic.persistence.durable_file import replacing

#: Bytes of a file that is imported, at most.
_LARGEST = 8 << 20

#: Lists and mappings within each other, at most.
_DEEPEST = 32


def read_document(path: Path) -> dict[str, Any]:
    """Read a file that maps names to things: YAML if its name ends so, else JSON.

    Raises:
        UsageError: It cannot be read, is too large, or is no such file; what it holds is not shown.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path} is larger than {_LARGEST >> 20} MiB; import it in parts.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is no text'}).") from error
    found = _of_yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else _of_json(path, text)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UsageError(f"{path} must map names to what they stand for.")
    return found


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Write a file that only its owner may read, in place of one that was there.

    Raises:
        UsageError: It cannot be written.
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
        raise UsageError(f"{path}, line {line}: this is no JSON.") from None


def _of_yaml(path: Path, text: str) -> Any:
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            # An alias may stand for a list of aliases, and so on: a few lines would become millions of things.
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(f"{path} has aliases (*name), which are not read; write out what they stand for.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            # The time that PyYAML takes grows with the square of the depth.
            if depth > _DEEPEST:
                raise UsageError(f"{path} has lists in lists more than {_DEEPEST} deep, which are not read.")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UsageError(f"{path}, line {mark.line + 1 if mark else 1}: this is no YAML.") from None
