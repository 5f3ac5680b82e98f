"""Secrets are masked in logs, in every encoding that is likely to occur."""

import base64
import io
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.config.secret_mask import Mask, hide, masked, protect, secrets_in
from elastic.core.redaction import MASK, is_secret_name

SECRET = 'p@ss "wörd"/+1'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        json.dumps(SECRET),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"someone:{SECRET}:x".encode()).decode(),
        base64.urlsafe_b64encode(f"me2:{SECRET}".encode()).decode(),
    ],
)
def test_a_secret_is_hidden_as_it_is_written(written: str) -> None:
    mask = Mask()
    mask.hide(SECRET)
    shown = mask.masked(f"before {written} after")
    assert MASK in shown
    assert written not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@given(secret=st.text(min_size=8, max_size=40), before=st.text(max_size=5), after=st.text(max_size=5))
def test_no_base64_around_a_secret_leaves_it_readable(secret: str, before: str, after: str) -> None:
    raw = secret.encode("utf-8", "surrogatepass")
    mask = Mask()
    mask.hide(secret)
    around = [part.encode("utf-8", "surrogatepass") for part in (before, after)]
    text = base64.b64encode(around[0] + raw + around[1]).decode()
    shown = mask.masked(text)
    assert MASK in shown


def test_the_longer_of_two_secrets_leaves_no_end_behind() -> None:
    mask = Mask()
    mask.hide("hunter2")
    mask.hide("hunter2-and-more")
    assert mask.masked("hunter2-and-more hunter2") == f"{MASK} {MASK}"


@pytest.mark.parametrize("nothing", [None, "", "abc"])
def test_short_values_are_not_masked(nothing: str | None) -> None:
    mask = Mask()
    mask.hide(nothing)
    assert mask.masked("abc abc") == "abc abc"


def test_a_secret_of_several_lines_is_hidden_line_by_line() -> None:
    key = (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n  c2hvcnQgbGluZQ==\r\n}\n-----END PRIVATE KEY-----\n"
    )
    mask = Mask()
    mask.hide(key)
    assert mask.masked("read MIIEvQIBADANBgkqhkiG9w0BAQ and c2hvcnQgbGluZQ== }") == f"read {MASK} and {MASK} }}"


@pytest.mark.parametrize(
    ("value", "name", "secrets"),
    [
        ("hunter22", "db_password", ["hunter22"]),
        ("hunter22", "bucket", []),
        ('{"user": "me", "password": "hunter22", "port": 5432}', "warehouse", ["hunter22"]),
        ('[{"api_key": {"id": "key-id-1", "n": 77777}}]', "warehouse", ["key-id-1", "77777"]),
        ('{"a": "key-id-1"}', "token", ['{"a": "key-id-1"}', "key-id-1"]),
        ({"conn": '{"secret": "hunter22"}'}, "extra", ["hunter22"]),
        ('{"broken', "bucket", []),
        ("[" * 100_000, "bucket", []),
        ({"auth": None, "token": True}, "", []),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIB", "pem", ["-----BEGIN PRIVATE KEY-----\nMIIEvQIB"]),
    ],
)
def test_secrets_are_found_within_what_holds_them(value: object, name: str, secrets: list[str]) -> None:
    assert secrets_in(value, name) == secrets


def test_a_protected_handler_writes_no_secret() -> None:
    hide("canary-7731")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    protect(handler)
    protect(handler)
    assert len(handler.filters) == 1
    logger = logging.Logger("masked")
    logger.addHandler(handler)
    logger.warning("plain canary-7731")
    logger.warning("argument %s and %r", "canary-7731", {"password": "canary-7731"})
    try:
        raise ValueError("canary-7731")
    except ValueError:
        logger.exception("it failed", stack_info=True)
    written = stream.getvalue()
    assert "canary" not in written
    assert written.count(MASK) >= 4
    assert "ValueError" in written
    assert masked("canary-7731") == MASK


def test_records_without_secrets_stay_as_they_are() -> None:
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, "%s of %d", ("3", 4), None)
    assert Mask().filter(record)
    assert (record.msg, record.args) == ("%s of %d", ("3", 4))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("DB_PASSWD", True),
        ("api_key", True),
        ("aws_secret", True),
        ("AuthToken", True),
        ("fernet_key", True),
        ("sslkey", True),
        ("ssl_key", True),
        ("aws_access_key_id", True),
        ("X-Amz-Signature", True),
        ("sig", True),
        ("bucket", False),
        ("key_columns", False),
        ("primary_key", False),
    ],
)
def test_a_name_tells_whether_it_is_a_secrets(name: str, *, secret: bool) -> None:
    assert is_secret_name(name) is secret
