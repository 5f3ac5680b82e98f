"""The flow of a run: where the command line finds it again."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from elastic.core.contracts.store import StepRecord
    from elastic.engine.step import Step

RunName = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, the beginning of one, or `last`.")]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="[TARGET]",
        help="module:attr or file.py:attr of the flow; as `elastic flow run` was given, if left out.",
    ),
]
StepNumber = Annotated[int, typer.Option("--step", min=0, help="Which step of the run.")]
Cluster = Annotated[
    str | None, typer.Option(help="inline, local, auto or host:port; RAY_ADDRESS or local if left out.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers at most; one per CPU if left out.")]


def step_of_run(run_id: str, record: "StepRecord", target: str | None) -> "Step":
    """Return the step at a target, or at the one that `elastic flow run` was given when the run began.

    In the latter case the working folder becomes the one of then, because paths in a flow may be relative to it.

    Raises:
        FlowTargetError: The target leads nowhere.
        UsageError: There is none, because a script began the run, or its folder is gone.
    """
    from elastic.core.errors import UsageError
    from elastic.flow.loader import step_at

    if target is not None:
        return step_at(target)
    known, folder = record.manifest.get("target"), record.manifest.get("folder")
    if known is None or folder is None:
        raise UsageError(
            f"run {run_id} was begun by a script, so this command does not know its flow; give it as TARGET "
            "(file.py:attr), or call elastic.resume or elastic.redrive in the script."
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"run {run_id} was begun in {folder}, which cannot be entered ({error.strerror}); give the flow as TARGET."
        ) from error
    return step_at(known)


def options_of(cluster: str | None, workers: int | None, **others: Any) -> dict[str, Any]:
    """Return options for a step that runs under the command line, without those that are None."""
    from elastic.interceptors.console_progress import ConsoleProgress

    given = {"cluster": cluster, "workers": workers, **others}
    return {"interceptor": ConsoleProgress(), **{name: value for name, value in given.items() if value is not None}}
