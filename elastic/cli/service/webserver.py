"""`elastic webserver`: the pages and the API."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.printing.output import say

EXAMPLE = "For example: elastic webserver -p 8080"


def webserver(
    port: Annotated[
        int | None, typer.Option("-p", "--port", min=0, max=65535, help="Port; default: web.port; 0 for any free one.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; default: web.host.")] = None,
    certificate: Annotated[Path | None, typer.Option("--certificate", help="TLS certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Private key of the certificate (PEM).")] = None,
    behind_proxy: Annotated[
        str,
        typer.Option(
            "--behind-proxy",
            metavar="IP",
            help="IP address of the only trusted proxy.",
        ),
    ] = "",
) -> None:
    """Serve the web pages and the API until Ctrl-C or SIGTERM.

    `elastic users create` creates the first user. An address that others can reach needs TLS, here or in a proxy.
    """
    from elastic.config.settings import read_settings
    from elastic.web.server import ServerOptions, serve

    settings = read_settings()
    options = ServerOptions(
        host=host or settings.text("web.host"),
        port=settings.get("web.port") if port is None else port,
        certificate=certificate,
        key=key,
        behind_proxy=behind_proxy,
    )
    serve(options, say)
