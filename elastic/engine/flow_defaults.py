"""Defaults of flow options from the section [flow] of the settings."""

from typing import Any

from elastic.config.settings import Settings, read_settings

#: Section of the settings; its keys are names of options.
SECTION = "flow"

#: Keys whose values `""` and `0` stand for None, because neither TOML nor the environment has it.
_NONE_IF_EMPTY = ("cluster", "workers", "chunk_timeout")


def flow_defaults(settings: Settings | None = None) -> dict[str, Any]:
    """Return the options of flows that the user has set in a file or in the environment.

    Args:
        settings: Where to look them up; None reads all settings of this process.

    Raises:
        UsageError: A setting is invalid.
    """
    settings = read_settings() if settings is None else settings
    found = {
        option.key: settings.get(option.name)
        for option in settings.options
        if option.section == SECTION and settings.source(option.name) != "default"
    }
    if "placement" in found:
        found["placement"] = found["placement"].lower()
    return {name: None if name in _NONE_IF_EMPTY and not value else value for name, value in found.items()}
