"""The commands that there are, and where each lives: one that is not called is not imported."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer

from elastic.cli.printing.plain_values import lighten


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command, or a group of commands."""

    #: below `elastic.cli`
    module: str
    #: what the list of commands says about it
    summary: str
    #: of the module; an application of typer is a group
    attribute: str = "app"
    #: the name of the module's text that stands below the help
    epilog: str = ""


#: By name, in the order of the list of commands.
INDEX = {
    # flows
    "example": CommandEntry("flows.example", "Things to try."),
    "flow": CommandEntry("flows.flow", "Run flows."),
    "runs": CommandEntry("flows.runs", "Show runs of flows."),
    "receipts": CommandEntry("flows.receipts", "Count the receipts of a run, or show them.", "receipts"),
    "resume": CommandEntry("flows.resume", "Go on with a run that was killed, stopped or failed.", "resume", "EXAMPLE"),
    "replay": CommandEntry("flows.resume", "Run exactly what is not in a run's result.", "replay", "REPLAY_EXAMPLE"),
    "verify": CommandEntry("flows.verify", "Check the receipts and counts of a run.", "verify", "EXAMPLE"),
    "chaos": CommandEntry("flows.chaos", "Run a flow while spirits strike it, and compare.", "chaos", "EXAMPLE"),
    "dead-letters": CommandEntry("flows.dead_letters", "Show and redrive entries that failed."),
    # DAGs
    "dags": CommandEntry("dags.dags", "Show DAGs, try them, pause them, trigger them."),
    "tasks": CommandEntry("dags.tasks", "Show tasks, try them, and tell why one waits."),
    "run": CommandEntry("dags.run", "Run one task for one date.", "run", "EXAMPLE"),
    "backfill": CommandEntry("dags.backfill", "Run a DAG for a range of dates.", "backfill", "EXAMPLE"),
    "clear": CommandEntry("dags.clear", "Make task instances as if they had never run.", "clear", "EXAMPLE"),
    "recover": CommandEntry("dags.recover", "Go on with a run from its last successes.", "recover", "RECOVER_EXAMPLE"),
    "run-one": CommandEntry("dags.recover", "Run one task of a run again.", "run_one", "RUN_ONE_EXAMPLE"),
    "run-from": CommandEntry("dags.recover", "Run a task and all after it again.", "run_from", "RUN_FROM_EXAMPLE"),
    "bundle": CommandEntry("dags.bundle", "Pack and sign the source of DAGs."),
    # what they need
    "connections": CommandEntry("admin.connections", "Show, add and try connections to other systems."),
    "variables": CommandEntry("admin.variables", "Show and set values that DAGs read by name."),
    "pools": CommandEntry("admin.pools", "Show and set pools: slots that tasks share."),
    "db": CommandEntry("admin.db", "Care for the metadata database."),
    "initdb": CommandEntry("admin.db", "Ask, then make the metadata database anew.", "initdb", "INITDB_EXAMPLE"),
    "config": CommandEntry("admin.config", "Show settings and where they come from."),
}


class CommandGroup(Mapping[str, Any]):
    """The commands of the index by name, each made when it is taken."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(name, INDEX[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(INDEX)

    def __len__(self) -> int:
        return len(INDEX)


def _made(name: str, entry: CommandEntry) -> Any:
    module = import_module(f"elastic.cli.{entry.module}")
    found = getattr(module, entry.attribute)
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    # Without a callback, one command alone would not be called by its name.
    holder.callback()(_nothing)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name, epilog=getattr(module, entry.epilog) if entry.epilog else None)(found)
    group: Any = typer.main.get_command(holder)
    command = group.commands[name]
    for one in (command, *getattr(command, "commands", {}).values()):
        lighten(one)
    return command


def _nothing() -> None:
    """Do nothing."""
