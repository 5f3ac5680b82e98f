"""Registry of triggers: a closed list of kinds. A class path is never read from the database."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from elastic.dag.errors import SensorError
from elastic.plugins.plugin import find
from elastic.triggers.trigger import Trigger

#: Entry-point group of triggers of other packages.
GROUP = "elastic.triggers"

#: Built-in kinds. Other packages cannot replace them.
_BUILT_IN: Mapping[str, str] = {
    "file": "elastic.triggers.files:FileTrigger",
    "hive_partition": "elastic.triggers.hive:HivePartitionTrigger",
    "http": "elastic.triggers.http:HttpTrigger",
    "run": "elastic.triggers.runs:RunTrigger",
    "sql": "elastic.triggers.sql:SqlTrigger",
    "time": "elastic.triggers.time:TimeTrigger",
}


def trigger_of(kind: str, arguments: Mapping[str, Any]) -> Trigger:
    """Return a trigger by its kind and arguments.

    Raises:
        SensorError: No plug-in has this kind, or the arguments do not fit.
        PluginError: The plug-in of this kind cannot be loaded.
    """
    found = _class_of(kind)
    if found is None:
        raise SensorError(
            f"no installed package has a trigger of kind {kind!r}; install the one that defines it where the triggerer "
            "runs, and clear the task."
        )
    try:
        return found(**arguments)
    except (TypeError, ValueError) as error:
        raise SensorError(f"the stored arguments do not fit the trigger {kind!r} ({error}); clear the task.") from error


@cache
def _class_of(kind: str) -> type[Trigger] | None:
    place = _BUILT_IN.get(kind)
    if place is not None:
        module, _, name = place.partition(":")
        built_in: type[Trigger] = getattr(import_module(module), name)
        return built_in
    found: type[Trigger] | None = find(GROUP, kind)
    return found
