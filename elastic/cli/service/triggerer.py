"""`elastic triggerer`: checks what deferred sensors wait for."""

from elastic.cli.printing.output import say

EXAMPLE = "For example: elastic triggerer"


def triggerer() -> None:
    """Check what deferred sensors wait for, until Ctrl-C or SIGTERM.

    Several triggerers may share a database. A triggerer loads no DAG files.
    """
    from elastic.scheduler.deployment import Deployment
    from elastic.service.triggerer.triggerer import Triggerer

    Triggerer(Deployment.of(), say).run()
