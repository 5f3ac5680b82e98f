"""The web server with a certificate of its own."""

import datetime as dt
import http.client
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from elastic.cli.main import app
from elastic.db.open_database import open_database
from elastic.db.queries import events
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.users import Role, UserStore
from elastic.web.security.passwords import hash_password
from tests.command_process import end_all, ended, started

PASSWORD = "a long word of a test"


def write_certificate(folder: Path, *, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a certificate for localhost and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, encryption))
    return certificate, key


def refused(certificate: Path, key: Path) -> str:
    result = CliRunner().invoke(app, ["webserver", "--certificate", str(certificate), "--key", str(key), "-p", "0"])
    assert result.exit_code == 2, result.output
    assert "serves" not in result.output
    return " ".join(result.output.split())


def test_a_certificate_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path / "one")
    _, other = write_certificate(tmp_path / "other")
    _, encrypted = write_certificate(tmp_path / "encrypted", password=b"hunter2-hunter2")
    text = tmp_path / "text"
    text.write_text("no PEM")
    assert f"cannot read '{tmp_path}/missing' (No such file or directory)" in refused(tmp_path / "missing", key)
    assert f"cannot read '{tmp_path}/missing' (No such file or directory)" in refused(certificate, tmp_path / "missing")
    assert f"cannot read '{tmp_path}' (Is a directory)" in refused(tmp_path, key)
    assert "they do not belong together" in refused(certificate, other)
    assert "one of them is not PEM" in refused(text, key)
    assert "one of them is not PEM" in refused(certificate, text)
    assert f"the key '{encrypted}' is encrypted; give one without a password." in refused(certificate, encrypted)


@pytest.mark.slow
def test_a_session_over_tls_has_a_cookie_that_browsers_send_over_tls_only(home: Path, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    UserStore(open_database()).create("ada", Role.ADMIN, hash_password(PASSWORD))
    process = started(
        "webserver", "-p", "0", "--host", "localhost", "--certificate", str(certificate), "--key", str(key)
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().partition("the webserver serves ")[2].strip()
        assert url.startswith("https://localhost:")
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx2.Client(base_url=url, verify=trust, headers={"Origin": url}) as client:
            answer = client.post("/login", data={"username": "ada", "password": PASSWORD})
            assert answer.status_code == 303
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-elastic=")
            assert "Secure" in cookie.split("; ")
            assert client.get("/").status_code == 200
        process.send_signal(signal.SIGINT)
        rest = ended(process)
        assert process.returncode == 0, rest
    finally:
        end_all()


class _Forwarder(BaseHTTPRequestHandler):
    """Reverse proxy: forwards a request with the address and the scheme of its client, and the answer as it comes."""

    upstream = ""
    #: URL of the proxy
    url = ""
    #: whether the web server gets its own name as Host, as some proxies do by default
    renames_host = False

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        headers |= {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
        if self.renames_host:
            headers["Host"] = self.upstream
        inner = http.client.HTTPConnection(self.upstream, timeout=30)
        inner.request(self.command, self.path, self.rfile.read(length), headers)
        answer = inner.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() != "transfer-encoding":
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        # A stream ends with the client or with the web server.
        with suppress(http.client.IncompleteRead, OSError):
            while part := answer.read1(65536):
                self.wfile.write(part)
        inner.close()

    do_POST = do_GET  # noqa: N815 - the name that the class calls

    def log_message(self, format: str, *values: object) -> None:
        """Be quiet."""


@contextmanager
def tls_proxy(certificate: Path, key: Path, *, renames_host: bool) -> Iterator[type[_Forwarder]]:
    """Serve a proxy with a certificate for localhost on a free port, whose web server is set later."""
    handler = type("Forwarder", (_Forwarder,), {"renames_host": renames_host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    handler.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.mark.slow
@pytest.mark.parametrize("renames_host", [False, True], ids=["host", "renamed_host"])
def test_login_redirects_and_live_updates_work_through_a_proxy_with_tls(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames_host: bool
) -> None:
    certificate, key = write_certificate(tmp_path)
    UserStore(open_database()).create("ada", Role.ADMIN, hash_password(PASSWORD))
    with tls_proxy(certificate, key, renames_host=renames_host) as proxy:
        monkeypatch.setenv("ELASTIC__WEB__BASE_URL", proxy.url)
        process = started("webserver", "-p", "0", "--behind-proxy", "127.0.0.1")
        try:
            assert process.stdout is not None
            address = process.stdout.readline().partition("the webserver serves ")[2].strip()
            proxy.upstream = address.removeprefix("http://")
            trust = ssl.create_default_context(cafile=str(certificate))
            with httpx2.Client(base_url=proxy.url, verify=trust, headers={"Origin": proxy.url}, timeout=60) as client:
                assert client.get("/").headers["location"] == "/login"
                answer = client.post("/login", data={"username": "ada", "password": PASSWORD, "next": "/flows"})
                assert (answer.status_code, answer.headers["location"]) == (303, "/flows")
                cookie = answer.headers["set-cookie"]
                assert cookie.startswith("__Host-elastic=")
                assert "Secure" in cookie.split("; ")
                assert client.get("/").status_code == 200
                with client.stream("GET", "/events", params={"topics": "admin"}) as stream:
                    lines = stream.iter_lines()
                    assert next(lines) == "retry: 2000"
                    PoolStore(open_database()).put("narrow", 1)
                    assert next(line for line in lines if line.startswith("data: ")).startswith(
                        'data: {"topic": "admin"'
                    )
            found = {one.address for one in events(open_database()) if one.event == "logged in"}
            assert found == {"203.0.113.7"}, "the address of the client is not in the audit log"
        finally:
            end_all()
