"""The web server with a certificate of its own."""

import datetime as dt
import signal
import ssl
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
