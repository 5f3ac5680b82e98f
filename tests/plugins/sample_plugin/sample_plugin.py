"""Plug-ins of another package."""

from typing import Annotated

import typer

from elastic.dag.operator import BaseOperator
from elastic.dag.timetable.schedule import CronSchedule, Schedule
from elastic.notifiers.notifier import Message, Notifier


class Telegraph(Notifier):
    def send(self, message: Message) -> str:
        return f"STOP {message.subject} STOP"


class WireOperator(BaseOperator):
    def execute(self, context: object) -> str:
        return "wired"


def shout(text: str) -> str:
    return text.upper() + "!"


def fiscal(timezone: str) -> Schedule:
    """Return the first of October of each year."""
    return CronSchedule("0 0 1 10 *", timezone)


def greet(name: Annotated[str, typer.Argument(help="A name.")] = "world") -> None:
    """Greet the world."""
    typer.echo(f"hello {name}")
