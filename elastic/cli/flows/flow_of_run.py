"""Lookup of the flow that a stored run belongs to."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from elastic.core.contracts.store import StepRecord
    from elastic.engine.step import Step

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id, a unique prefix of one, or `last`.")]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="[TARGET]",
        help="module:attr or file.py:attr of the flow; default: the TARGET of `elastic flow run`.",
    ),
]
StepNumber = Annotated[int, typer.Option("--step", min=0, help="Number of the step in the run.")]
Cluster = Annotated[str | None, typer.Option(help="inline, local, auto or host:port; default: RAY_ADDRESS or local.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Maximum number of workers; default: one per CPU.")]


def step_of_run(run_id: str, record: "StepRecord", target: str | None) -> "Step":
    """Return the step at a target, by default the target of the `elastic flow run` that started the run.

    By default, also change to the working folder of that command, because paths in a flow may be relative to it.

    Raises:
        FlowTargetError: The target leads nowhere.
        UsageError: A script started the run, so its target is unknown, or its folder is gone.
    """
    from elastic.core.errors import UsageError
    from elastic.flow.loader import step_at

    if target is not None:
        return step_at(target)
    known, folder = record.manifest.get("target"), record.manifest.get("folder")
    if known is None or folder is None:
        raise UsageError(
            f"run {run_id} was started by a script, so this command does not know its flow; give it as TARGET "
            "(file.py:attr), or call elastic.resume or elastic.redrive in the script."
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"run {run_id} began in {folder}, which cannot be entered ({error.strerror}); give the flow as TARGET."
        ) from error
    return step_at(known)


def options_of(cluster: str | None, workers: int | None, **others: Any) -> dict[str, Any]:
    """Return the options of a step run by the command line, without those that are None."""
    from elastic.interceptors.console_progress import ConsoleProgress

    given = {"cluster": cluster, "workers": workers, **others}
    return {"interceptor": ConsoleProgress(), **{name: value for name, value in given.items() if value is not None}}
