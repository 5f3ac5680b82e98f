"""Index of the commands and their modules, so that a call imports only the command it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer

from elastic.cli.printing.plain_values import lighten


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command, or a group of commands."""

    #: dotted name below `elastic.cli`
    module: str
    #: line in the list of commands
    summary: str
    #: name in the module; a `typer.Typer` there makes a group
    attribute: str = "app"
    #: name of the module's string printed below the help
    epilog: str = ""


#: Entries by command name, in the order of the help page.
INDEX = {
    # flows
    "example": CommandEntry("flows.example", "Try Elastic without any input of your own."),
    "flow": CommandEntry("flows.flow", "Run flows defined in Python."),
    "runs": CommandEntry("flows.runs", "List, show and delete flow runs."),
    "receipts": CommandEntry("flows.receipts", "Count, show or decode the receipts of a run.", "receipts"),
    "resume": CommandEntry("flows.resume", "Resume a run that was killed, stopped or failed.", "resume", "EXAMPLE"),
    "replay": CommandEntry("flows.resume", "Run the chunks missing from a run's result.", "replay", "REPLAY_EXAMPLE"),
    "verify": CommandEntry("flows.verify", "Check the receipts and counts of a run.", "verify", "EXAMPLE"),
    "chaos": CommandEntry("flows.chaos", "Run a flow under injected faults and compare results.", "chaos", "EXAMPLE"),
    "dead-letters": CommandEntry("flows.dead_letters", "List, show and redrive failed entries."),
    # DAGs
    "dags": CommandEntry("dags.dags", "List, show, test, pause, trigger and delete DAGs."),
    "tasks": CommandEntry("dags.tasks", "List, run and test tasks, and explain why one is waiting."),
    "run": CommandEntry("dags.run", "Run one task for one date (same as `tasks run`).", "run", "EXAMPLE"),
    "backfill": CommandEntry("dags.backfill", "Run a DAG for a range of dates.", "backfill", "EXAMPLE"),
    "backfills": CommandEntry("dags.backfills", "List, pause and cancel backfills of masters."),
    "clear": CommandEntry("dags.clear", "Reset task instances so that they run again.", "clear", "EXAMPLE"),
    "recover": CommandEntry("dags.recover", "Rerun the failed part of a DAG run.", "recover", "RECOVER_EXAMPLE"),
    "run-one": CommandEntry("dags.recover", "Rerun one task of a DAG run.", "run_one", "RUN_ONE_EXAMPLE"),
    "run-from": CommandEntry("dags.recover", "Rerun a task and all downstream tasks.", "run_from", "RUN_FROM_EXAMPLE"),
    "timeperiod": CommandEntry("dags.timeperiod", "Run and show the flow of a timeperiod."),
    "bundle": CommandEntry("dags.bundle", "Pack and sign the source code of DAGs."),
    # service
    "standalone": CommandEntry("service.standalone", "Run all parts of the service.", "standalone", "EXAMPLE"),
    "master": CommandEntry("service.master", "Run DAGs by their schedules, as a service.", "master", "EXAMPLE"),
    "worker": CommandEntry("service.worker", "Run the tasks of some queues, for masters.", "worker", "EXAMPLE"),
    "triggerer": CommandEntry(
        "service.triggerer", "Check what deferred sensors wait for, as a service.", "triggerer", "EXAMPLE"
    ),
    "webserver": CommandEntry("service.webserver", "Serve the web pages and the API.", "webserver", "EXAMPLE"),
    "services": CommandEntry("service.services", "Run the service in the background."),
    "metrics": CommandEntry("service.metrics", "Print figures of the service for Prometheus.", "metrics", "EXAMPLE"),
    "health": CommandEntry("service.standalone", "Check the parts of the service.", "health", "HEALTH_EXAMPLE"),
    "notifications": CommandEntry("service.notifications", "List and send notifications."),
    # administration
    "users": CommandEntry("admin.users", "Manage users of the web server."),
    "tokens": CommandEntry("admin.tokens", "Manage API tokens of programs."),
    "connections": CommandEntry("admin.connections", "Manage and test connections to other systems."),
    "variables": CommandEntry("admin.variables", "Manage variables that DAGs read by name."),
    "pools": CommandEntry("admin.pools", "Manage pools: slots that limit parallel tasks."),
    "db": CommandEntry("admin.db", "Manage the metadata database."),
    "initdb": CommandEntry("admin.db", "Reset the metadata database, after asking.", "initdb", "INITDB_EXAMPLE"),
    "config": CommandEntry("admin.config", "Show and check settings and their sources."),
    "plugins": CommandEntry("admin.plugins", "List plug-ins of other packages.", "plugins", "EXAMPLE"),
}


class CommandGroup(Mapping[str, Any]):
    """Mapping from names to commands, which builds a command when it is first looked up.

    Plug-ins of the group `elastic.cli` are looked up only for names that are not in the index.
    """

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build(name, INDEX[name]) if name in INDEX else _plugin_command(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(INDEX)

    def __len__(self) -> int:
        return len(INDEX)


def _plugin_command(name: str) -> Any:
    """Return the command of a plug-in.

    Raises:
        KeyError: There is no plug-in of this name.
        PluginError: It cannot be loaded, or is no command.
    """
    from elastic.plugins.plugin import PluginError, find

    found = find("elastic.cli", name)
    if found is None:
        raise KeyError(name)
    if not isinstance(found, typer.Typer) and not callable(found):
        raise PluginError(f"the plug-in {name!r} (elastic.cli) is no typer.Typer or function; correct it or remove it.")
    return _command(name, found, None)


def _build(name: str, entry: CommandEntry) -> Any:
    module = import_module(f"elastic.cli.{entry.module}")
    return _command(name, getattr(module, entry.attribute), getattr(module, entry.epilog) if entry.epilog else None)


def _command(name: str, found: Any, epilog: str | None) -> Any:
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    # Without a callback, typer would drop the name of a single command.
    holder.callback()(_no_options)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name, epilog=epilog)(found)
    group: Any = typer.main.get_command(holder)
    command = group.commands[name]
    for one in (command, *getattr(command, "commands", {}).values()):
        lighten(one)
    return command


def _no_options() -> None:
    """Accept no options."""
