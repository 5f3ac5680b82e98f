"""Web server process: binds the port and runs the app on uvicorn until a signal arrives."""

import errno
import ipaddress
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from elastic.config.secret_mask import protect
from elastic.core.errors import UsageError
from elastic.core.optional import require
from elastic.db.known_secrets import hide_known_secrets

#: Packages of the extra `web` that the pages need.
_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "pwdlib", "pygments")

#: Backlog of the listening socket (connections).
_BACKLOG = 512

#: Seconds for which a stopping server waits for open requests; event streams end at once.
_GRACE_SECONDS = 5

#: Maximum number of concurrent requests.
_MAX_REQUESTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Address, port, TLS and proxy of the server."""

    host: str
    #: 0 for any free port
    port: int
    certificate: Path | None = None
    key: Path | None = None
    #: IP address of the only proxy whose X-Forwarded headers count; empty for none
    behind_proxy: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Whether only users of this machine can reach the pages; a proxy may serve others."""
        return self.is_loopback and not self.behind_proxy

    @property
    def is_wildcard(self) -> bool:
        """Whether the server listens on all addresses of this machine."""
        return self.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound

    def address(self, port: int) -> str:
        """Return the URL of the server on a port, for a browser on this machine."""
        host = "127.0.0.1" if self.is_wildcard else self.host
        return f"{'https' if self.certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def check(self) -> None:
        """Check that passwords do not cross a network in plain text, and that the proxy is one known machine.

        Raises:
            UsageError: The address is reachable by others, without TLS and without a proxy that adds it, or the proxy
                is not an IP address.
        """
        if self.behind_proxy and not _is_ip(self.behind_proxy):
            raise UsageError(
                f"invalid --behind-proxy {self.behind_proxy!r}: expected the IP address of one proxy; "
                "a name or a pattern would let others impersonate it."
            )
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs a certificate and its key: give both --certificate and --key.")
        if not self.is_loopback and self.certificate is None and not self.behind_proxy:
            raise UsageError(
                f"the web server would send passwords over the network of {self.host} in plain text; give "
                "--certificate and --key, or --behind-proxy ADDRESS of a proxy that adds TLS, or listen on 127.0.0.1."
            )


def serve(options: ServerOptions, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        options: Address, port, TLS and proxy.
        say: Receives a line once the server accepts requests.

    Raises:
        UsageError: The port is in use, the extra `web` is not installed, the certificate is unusable, or a setting is
            invalid.
        DatabaseError: The database cannot be used.
    """
    for package in _PACKAGES:
        require(package, extra="web", user="the web server")
    import uvicorn

    options.check()
    if options.certificate is not None and options.key is not None:
        _check_certificate(options.certificate, options.key)
    listener = _bound(options.host, options.port)
    try:
        from elastic.web.app import create_app
        from elastic.web.context import WebContext
        from elastic.web.proxy_gate import ProxyGate
        from elastic.web.timed_connection import TimedConnection

        hosts = [socket.gethostname(), socket.getfqdn()] if options.is_wildcard else [options.host]
        app = create_app(WebContext.of(hosts=hosts, is_loopback=options.is_private))
        hide_known_secrets()
        _log_to_stderr()
        config = uvicorn.Config(
            ProxyGate(app, options.behind_proxy, is_exclusive=not options.is_loopback) if options.behind_proxy else app,
            http=TimedConnection,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=_MAX_REQUESTS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            proxy_headers=False,
            ssl_certfile=options.certificate,
            ssl_keyfile=options.key,
        )
        server = uvicorn.Server(config)
        say(f"the webserver serves {options.address(listener.getsockname()[1])}")
        with _stopped_by_signals(server, app):
            server.run(sockets=[listener])
    finally:
        listener.close()


def _check_certificate(certificate: Path, key: Path) -> None:
    """Check that the server can use a certificate, before it says that it serves.

    Raises:
        UsageError: A file cannot be read or is not in PEM, the key does not fit, or it is encrypted.
    """

    def refuse_password() -> str:
        # Without a callback, OpenSSL would ask on the terminal.
        raise UsageError(f"the key {str(key)!r} is encrypted; give one without a password.")

    try:
        for path in (certificate, key):
            path.open("rb").close()
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, refuse_password)
    except ssl.SSLError as error:
        reason = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "one of them is not PEM"
        raise UsageError(
            f"cannot use the certificate {str(certificate)!r} with the key {str(key)!r}: {reason}; give both in PEM."
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot read {str(error.filename)!r} ({error.strerror}); check --certificate and --key."
        ) from error


def _is_ip(text: str) -> bool:
    try:
        return "%" not in str(ipaddress.ip_address(text))
    except ValueError:
        return False


def missing_package() -> str:
    """Return the name of a package of the extra `web` that is not installed; empty if all are."""
    return next((name for name in _PACKAGES if find_spec(name) is None), "")


def check_port(options: ServerOptions) -> None:
    """Check that a server can listen.

    Raises:
        UsageError: The port is in use, or the address is not one of this machine.
    """
    _bound(options.host, options.port).close()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: The port is in use, or the address is not one of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"the address {host!r} cannot be used ({error.strerror}); give another --host.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is in use by another program; stop it, or choose another port with -p."
            ) from error
        raise UsageError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another port with -p."
        ) from error
    return listener


@contextmanager
def _stopped_by_signals(server: Any, app: Any) -> Iterator[None]:
    """Make SIGINT and SIGTERM stop the server gracefully."""

    def stop(number: int, frame: FrameType | None) -> None:
        app.state.is_stopping = True
        server.force_exit = server.should_exit
        server.should_exit = True

    @contextmanager
    def no_signals() -> Iterator[None]:
        yield

    # uvicorn would raise the signal again when it stops, which would end this process with an error.
    server.capture_signals = no_signals
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_to_stderr() -> None:
    """Configure the log of the server: secrets are masked, and requests are logged without their queries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    protect(handler)
    for name, level in (("uvicorn.error", logging.WARNING), ("elastic.web", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
