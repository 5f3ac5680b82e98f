"""What all notifiers promise, and what each of them sends, to real services on loopback."""

import datetime as dt
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from catchers import HttpCatcher, MailCatcher, http_service, mail_server

from elastic.config.settings import Settings, read_settings
from elastic.hooks.connection import Connection
from elastic.notifiers import http_post
from elastic.notifiers.errors import NotifierError, RefusedMessageError
from elastic.notifiers.http_post import Endpoint
from elastic.notifiers.notifier import Message, Notifier
from elastic.notifiers.registry import notifier_of
from elastic.notifiers.webhook import signature

KEY = "ab" * 32
MESSAGE = Message(
    key=KEY,
    subject="[elastic] failed: etl.load 2016-02-22 (try 4 of 4)",
    text="Task load failed.\n\nüñïçødé \U0001f600 <b>&amp;\n",
    html="<p>Task load failed.</p>",
    url="https://elastic.example.org/dags/etl?try=4",
    created_at=dt.datetime(2016, 2, 23, tzinfo=dt.UTC),
    notices=[{"event": "failed", "dag_id": "etl"}],
)


class Channel(NamedTuple):
    """A recipient, and the service behind it."""

    recipient: str
    catcher: Any
    #: messages that arrived, each with all its text
    texts: Callable[[], list[str]]
    #: makes the next answer of the service one that may change, or a final one
    fail: Callable[[], None]
    refuse: Callable[[], None]


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ELASTIC__NOTIFY__PRIVATE_TARGETS", "true")
    monkeypatch.setenv("ELASTIC__SMTP__FROM", "elastic@example.org")
    return read_settings()


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailCatcher]:
    with mail_server() as catcher:
        monkeypatch.setenv("ELASTIC_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{catcher.port}")
        yield catcher


@pytest.fixture
def http() -> Iterator[HttpCatcher]:
    with http_service() as server:
        yield server


@pytest.fixture(params=["mail", "webhook", "slack", "apprise"])
def channel(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Channel:
    """Each kind of channel in turn, to a service that works."""
    if request.param == "mail":
        catcher: MailCatcher = request.getfixturevalue("mail")
        return Channel(
            "mailto:ops@example.org",
            catcher,
            lambda: [f"{one['Subject']} {one['Message-ID']} {_parts(one)}" for one in catcher.mails],
            lambda: catcher.replies.append("451 later"),
            lambda: catcher.replies.append("554 never"),
        )
    server: HttpCatcher = request.getfixturevalue("http")
    place = f"127.0.0.1:{server.port}"
    service = quote(f"json://{place}/in", safe="")
    urls = {
        "webhook": f"webhook+http://:signing-secret@{place}/in/here",
        "slack": f"slack+http://{place}/services/T0/B0/XYZ",
        "apprise": f"apprise://?secret_url={service}",
    }
    monkeypatch.setenv("ELASTIC_CONN_CHAT", urls[request.param])
    return Channel(
        "chat",
        server,
        lambda: [json.dumps(json.loads(body), ensure_ascii=False) for _, _, body in server.requests],
        lambda: server.statuses.append(503),
        lambda: server.statuses.append(503 if request.param == "apprise" else 404),
    )


def _parts(mail: Any) -> str:
    return "\n".join(part.get_content() for part in mail.walk() if not part.is_multipart())


def test_a_message_arrives_with_its_subject_and_link(channel: Channel, settings: Settings) -> None:
    assert notifier_of(channel.recipient, settings).send(MESSAGE) == ""
    (text,) = channel.texts()
    assert MESSAGE.subject in text
    if channel.recipient == "chat":
        assert MESSAGE.url in text


def test_a_failure_is_told_in_a_sentence_and_the_next_try_arrives(channel: Channel, settings: Settings) -> None:
    notifier = notifier_of(channel.recipient, settings)
    channel.fail()
    with pytest.raises(NotifierError) as raised:
        notifier.send(MESSAGE)
    assert not isinstance(raised.value, RefusedMessageError)
    assert str(raised.value).endswith(".")
    assert "secret" not in str(raised.value)
    channel.refuse()
    with pytest.raises(NotifierError):
        notifier.send(MESSAGE)
    notifier.send(MESSAGE)
    assert len(channel.texts()) == 1


def test_a_service_that_is_away_is_no_refusal(
    channel: Channel, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    place = f"127.0.0.1:{channel.catcher.port}"
    for name in ("ELASTIC_CONN_SMTP_DEFAULT", "ELASTIC_CONN_CHAT"):
        url = os.environ.get(name, "smtp://127.0.0.1:1")
        monkeypatch.setenv(name, url.replace(place, f"127.0.0.1:{port}").replace(quote(place), f"127.0.0.1%3A{port}"))
    with pytest.raises(NotifierError) as raised:
        notifier_of(channel.recipient, settings).send(MESSAGE)
    assert not isinstance(raised.value, RefusedMessageError)


class TestMail:
    def test_a_repeat_has_the_same_message_id(self, mail: MailCatcher, settings: Settings) -> None:
        notifier = notifier_of("mailto:ops@example.org", settings)
        notifier.send(MESSAGE)
        notifier.send(MESSAGE)
        assert {one["Message-ID"] for one in mail.mails} == {f"<{KEY}@example.org>"}
        (first, _) = mail.mails
        assert first["Auto-Submitted"] == "auto-generated"
        assert first.get_body(("plain",)).get_content().replace("\r\n", "\n") == MESSAGE.text  # type: ignore[union-attr]

    def test_some_refused_recipients_are_noted_and_all_of_them_are_a_refusal(
        self, mail: MailCatcher, settings: Settings
    ) -> None:
        mail.refused = {"bad@example.org": "550 no such user"}
        notifier = notifier_of("mailto:ops@example.org,bad@example.org", settings)
        assert notifier.send(MESSAGE) == "refused: bad@example.org (550 no such user)"
        assert mail.recipients == [["ops@example.org"]]
        with pytest.raises(RefusedMessageError, match=r"refused all recipients: bad@example.org .550 no such user"):
            notifier_of("mailto:bad@example.org", settings).send(MESSAGE)
        mail.refused = {"bad@example.org": "450 busy"}
        with pytest.raises(NotifierError, match="450 busy") as raised:
            notifier_of("mailto:bad@example.org", settings).send(MESSAGE)
        assert not isinstance(raised.value, RefusedMessageError)

    def test_no_text_becomes_a_header(self, mail: MailCatcher, settings: Settings) -> None:
        odd = "x\r\nBcc: evil@example.org\r\n\r\nbody \udce9 \0"
        notifier_of("mailto:ops@example.org", settings).send(replace(MESSAGE, subject=odd, text=odd, html=odd))
        (found,) = mail.mails
        assert found["Bcc"] is None
        assert mail.recipients == [["ops@example.org"]]
        assert found["Subject"] == "x\\r\\nBcc: evil@example.org\\r\\n\\r\\nbody \\udce9 \\x00"

    def test_a_login_needs_tls_except_on_this_host(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        with mail_server(auth_require_tls=False) as catcher:
            notifier = notifier_of_url(f"smtp://me:right@127.0.0.1:{catcher.port}", settings, monkeypatch)
            notifier.send(MESSAGE)
            assert catcher.logins == [(b"me", b"right")]
            monkeypatch.setattr("elastic.hooks.mail._is_this_host", lambda _: False)
            with pytest.raises(NotifierError, match="a login would cross the network in plain text"):
                notifier.send(MESSAGE)
            with pytest.raises(NotifierError, match="offers no STARTTLS, which its URL requires") as raised:
                notifier_of_url(
                    f"smtp://me:right@127.0.0.1:{catcher.port}?starttls=require", settings, monkeypatch
                ).send(MESSAGE)
            assert "right" not in str(raised.value)
            assert len(catcher.mails) == 1

    def test_starttls_checks_the_certificate(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        context = _certificate(tmp_path)
        with mail_server(tls_context=context, require_starttls=True) as catcher:
            url = f"smtp://me:right@localhost:{catcher.port}?starttls=require"
            with pytest.raises(NotifierError, match=r"cannot be used: .*certificate verify failed"):
                notifier_of_url(url, settings, monkeypatch).send(MESSAGE)
            trusting = f"{url}&tls_ca_file={tmp_path}/cert.pem"
            notifier_of_url(trusting, settings, monkeypatch).send(MESSAGE)
            assert len(catcher.mails) == len(catcher.logins) == 1

    def test_a_server_that_is_silent_is_given_up(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("elastic.hooks.mail.TIMEOUT_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(NotifierError, match="cannot be used: Connection unexpectedly closed: timed out"):
                notifier_of_url(url, settings, monkeypatch).send(MESSAGE)


class TestWebhook:
    def test_a_receiver_can_check_the_signature(
        self, http: HttpCatcher, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ELASTIC_CONN_HOOK", f"webhook+http://:key%2F1@127.0.0.1:{http.port}/in")
        notifier_of("hook", settings).send(MESSAGE)
        ((path, headers, body),) = http.requests
        assert path == "/in"
        assert headers["idempotency-key"] == KEY
        assert headers["x-elastic-signature"] == signature("key/1", headers["x-elastic-timestamp"], body)
        assert json.loads(body)["notices"] == [{"event": "failed", "dag_id": "etl"}]

    def test_a_redirect_is_not_followed(
        self, http: HttpCatcher, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ELASTIC_CONN_HOOK", f"webhook+http://127.0.0.1:{http.port}/in")
        http.statuses = [307]
        with pytest.raises(RefusedMessageError, match="answered 307, and redirects are not followed"):
            notifier_of("hook", settings).send(MESSAGE)

    def test_the_next_address_of_a_host_is_used_if_the_first_does_not_answer(
        self, http: HttpCatcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_post, "_checked_addresses", lambda *_, **__: ["127.0.0.2", "127.0.0.1"])
        Endpoint(scheme="http", host="two", port=http.port, path="/in", may_be_private=True).post(b"{}", {})
        assert [path for path, _, _ in http.requests] == ["/in"]

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "10.1.2.3",
            "169.254.169.254",
            "::1",
            "::ffff:127.0.0.1",
            "2130706433",
            "0.0.0.0",
            "224.0.0.1",
        ],
    )
    def test_an_address_that_is_not_public_needs_a_setting(self, http: HttpCatcher, host: str) -> None:
        endpoint = Endpoint(scheme="http", host=host, port=http.port, path="/", may_be_private=False)
        with pytest.raises(RefusedMessageError, match=r"is not public; set notify.private_targets to allow it"):
            endpoint.post(b"{}", {})
        assert http.requests == []


def test_the_path_of_a_slack_url_is_a_secret() -> None:
    found = Connection.of_url("slack+https://hooks.slack.com/services/T0/B0/XYZ", "chat")
    assert "XYZ" not in str(found) + repr(found)
    assert Connection.of_url(found.url).password == "services/T0/B0/XYZ"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "the recipient 'chat' cannot be used: connection 'chat' isn't defined"),
        ("postgresql://host/name", "no notifier has the kind 'postgresql' of connection 'chat'; use one of apprise"),
    ],
)
def test_a_recipient_without_a_notifier_is_named(
    url: str, said: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_CONN_CHAT", url)
    with pytest.raises(NotifierError) as raised:
        notifier_of("chat", settings)
    assert str(raised.value).startswith(said)


def notifier_of_url(url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Notifier:
    monkeypatch.setenv("ELASTIC_CONN_SMTP_DEFAULT", url)
    return notifier_of("mailto:ops@example.org", settings)


def _certificate(folder: Path) -> ssl.SSLContext:
    """Return a TLS context with a new certificate for `localhost`, which no authority has signed."""
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
