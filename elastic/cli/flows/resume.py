"""`elastic resume` and `elastic replay`: finish a run whose process has ended."""

from dataclasses import replace
from typing import Annotated

import typer

from elastic.cli.flows.flow_of_run import Cluster, RunName, Target, Workers, options_of, step_of_run
from elastic.cli.printing.output import Output, OutputFormat, say
from elastic.cli.printing.run_result import print_result

EXAMPLE = "For example: elastic resume last --cluster local"

AnyStep = Annotated[
    int | None, typer.Option("--step", min=0, help="Number of the step; default: the first unfinished one.")
]
AllowCodeChange = Annotated[bool, typer.Option("--allow-code-change", help="Resume although functions have changed.")]


def resume(
    run: RunName = "last",
    target: Target = None,
    step: AnyStep = None,
    cluster: Cluster = None,
    workers: Workers = None,
    allow_code_change: AllowCodeChange = False,
    reread_source: Annotated[
        bool,
        typer.Option(
            "--reread-source",
            help="Read a one-shot source again from the start: compare and skip entries already seen.",
        ),
    ] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Resume a run that was killed, stopped or failed, on any cluster, and print its result.

    Chunks in the result are kept. All others run again, and each is counted once. Resume refuses a changed source or
    changed functions.
    """
    from elastic.engine.run import FlowRun
    from elastic.recovery.resume import Resumption, unfinished_step
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    run_id = history.find(run)
    number = unfinished_step(run_id, history.steps(run_id), step)
    found = step_of_run(run_id, history.record(run_id, number), target)
    opened = FlowRun.open(history.folder, run_id)
    try:
        given = found.with_options(**options_of(cluster, workers))
        changes = {"allow_code_change": allow_code_change, "reread_source": reread_source}
        resumption = Resumption.of(opened, number, given, **changes)
        say(str(resumption), err=True)
        result = resumption.run()
        if result.error is not None:
            result = replace(result, value=resumption.master.value())
    finally:
        opened.close()
    print_result(result, given, output, resumed_at=resumption.at, chunks_run_again=resumption.again)
    result.check()


REPLAY_EXAMPLE = "For example: elastic replay last"


def replay(
    run: RunName = "last",
    target: Target = None,
    step: AnyStep = None,
    cluster: Cluster = None,
    workers: Workers = None,
    allow_code_change: AllowCodeChange = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Run the chunks missing from a run's result, and print the result. This is `elastic resume` under another name.

    Chunks of a one-shot source come from the disk. Chunks of any other source are read again.
    """
    resume(run, target, step, cluster, workers, allow_code_change, output=output)
