"""`elastic replay`: run what is unfinished of a run."""

from elastic.cli.output import Format, Output
from elastic.cli.resume import AllowCodeChange, AnyStep, resume
from elastic.cli.target import Cluster, RunName, Target, Workers

EXAMPLE = "For example: elastic replay last"


def replay(
    run: RunName = "last",
    target: Target = None,
    step: AnyStep = None,
    cluster: Cluster = None,
    workers: Workers = None,
    allow_code_change: AllowCodeChange = False,
    output: Output = Format.TABLE,
) -> None:
    """Run exactly the chunks of a run that are not in its result, and print the result.

    Those of a source that can be read once only come from the disk; all others are cut again. This is `elastic resume`
    under the name that says what is done: a run has nothing unfinished when it is complete.
    """
    resume(run, target, step, cluster, workers, allow_code_change, output=output)
