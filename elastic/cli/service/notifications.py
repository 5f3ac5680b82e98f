"""`elastic notifications`: mails and other messages about failed tasks and ended runs."""

from typing import Annotated

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, print_list
from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List and send notifications.")

_COLUMNS = ("id", "state", "recipient", "subject", "created_at", "tries", "last_error")


@app.callback()
def notification_commands() -> None:
    """List, send and retry notifications about failed tasks and ended runs.

    A master of the service sends them within seconds. Without a service they wait for `elastic notifications send`.
    """


@app.command("list", epilog="For example: elastic notifications list --state failed")
def list_notifications(
    state: Annotated[str, typer.Option("--state", help="Only those that are waiting, sent or failed.")] = "",
    dag_id: Annotated[str, typer.Option("-d", "--dag-id", help="Only those of this DAG.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number.")] = 100,
    output: ListOutput = ListFormat.TABLE,
) -> None:
    """List the latest notifications."""
    from elastic.db.open_database import open_database
    from elastic.db.stores.notifications import STATES, notifications

    if state and state not in STATES:
        raise UsageError(f"there is no state {state!r} of notifications; choose one of {', '.join(STATES)}.")
    found = notifications(open_database(), state=state, dag_id=dag_id, limit=limit)
    rows = [{name: getattr(one, name) for name in _COLUMNS} for one in found]
    shown = [{**row, "created_at": f"{row['created_at']:%Y-%m-%d %H:%M:%S}"} for row in rows]
    print_list(_COLUMNS, shown, output, empty="no notifications", numbers=("id", "tries"))


@app.command("send", epilog="For example: elastic notifications send")
def send() -> None:
    """Send all waiting notifications now, also those whose next try is later; exit with 1 if one was not taken."""
    from elastic.config.settings import read_settings
    from elastic.db.known_secrets import hide_known_secrets
    from elastic.db.stores.notifications import FAILED, SENT, WAITING, due_now
    from elastic.scheduler.deployment import Deployment
    from elastic.service.notification_sender import NotificationSender

    settings = read_settings()
    deployment = Deployment.of(settings)
    hide_known_secrets()
    due_now(deployment.database)
    counts = NotificationSender(deployment, settings, say).send_due()
    if not counts:
        say("no notification waits")
        return
    say(", ".join(f"{counts[state]} {state}" for state in (SENT, WAITING, FAILED) if counts[state]))
    if counts[WAITING] or counts[FAILED]:
        say("`elastic notifications list` shows why some were not sent")
        raise typer.Exit(1)


@app.command("retry", epilog="For example: elastic notifications retry 17")
def retry(
    ids: Annotated[list[int] | None, typer.Argument(help="Ids of notifications; default: all failed ones.")] = None,
) -> None:
    """Let notifications that failed, or were sent, be sent again."""
    from elastic.db.open_database import open_database
    from elastic.db.stores.notifications import retry as retry_them

    count = retry_them(open_database(), ids or ())
    if ids and not count:
        raise UsageError(
            f"no notification with the id {' or '.join(map(str, ids))} has failed or was sent; "
            "`elastic notifications list` shows all."
        )
    if not count:
        say("no notification has failed")
        return
    say(f"{count} {'notification waits' if count == 1 else 'notifications wait'} to be sent again")
