"""`elastic metrics`: figures of the service for Prometheus."""

from elastic.cli.printing.output import say

EXAMPLE = "For example: elastic metrics"


def metrics() -> None:
    """Print the metrics of the service in the text format of Prometheus.

    They come from the database, so that the command runs on any host that reaches it.
    """
    from elastic.scheduler.deployment import Deployment
    from elastic.service.metrics import metrics_text

    deployment = Deployment.of()
    say(metrics_text(deployment.database, deployment.heartbeat), nl=False)
