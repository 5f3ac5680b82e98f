"""`elastic replay`: run what is unfinished of a run.

`elastic resume`: go on with a run whose process has ended.
"""

from dataclasses import replace
from typing import Annotated

import typer

from elastic.cli.flows.flow_of_run import Cluster, RunName, Target, Workers, options_of, step_of_run
from elastic.cli.printing.output import Output, OutputFormat, say
from elastic.cli.printing.run_result import print_result

EXAMPLE = "For example: elastic resume last --cluster local"

AnyStep = Annotated[
    int | None, typer.Option("--step", min=0, help="Which step of the run; the first unfinished one if left out.")
]
AllowCodeChange = Annotated[bool, typer.Option("--allow-code-change", help="Go on although functions were changed.")]


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
            "--reread-source", help="A source for one reading yields the same entries again; compare and skip."
        ),
    ] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Go on with a run that was killed, stopped or failed, on any cluster, and print its result.

    What is in the result stays there; what was on its way runs again and is counted once. A changed source and changed
    functions are refused.
    """
    from elastic.engine.run import FlowRun
    from elastic.recovery.resume import Resumption, unfinished_step
    from elastic.run_history import RunHistory

    archive = RunHistory.of_environment()
    run_id = archive.find(run)
    number = unfinished_step(run_id, archive.steps(run_id), step)
    found = step_of_run(run_id, archive.record(run_id, number), target)
    opened = FlowRun.open(archive.folder, run_id)
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
    print_result(result, output, resumed_at=resumption.at, chunks_run_again=resumption.again)
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
    """Run exactly the chunks of a run that are not in its result, and print the result.

    Those of a source that can be read once only come from the disk; all others are cut again. This is `elastic resume`
    under the name that says what is done: a run has nothing unfinished when it is complete.
    """
    resume(run, target, step, cluster, workers, allow_code_change, output=output)
