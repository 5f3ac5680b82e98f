"""The web server process and the commands of users and tokens."""

import colorsys
import datetime as dt
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from elastic.cli.main import app
from elastic.core.errors import UsageError
from elastic.dag.states.state import TaskState
from elastic.db.open_database import open_database
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.users import Role, UserStore
from elastic.web.first_admin import make_first_admin, write_password
from elastic.web.security.passwords import hash_password, is_password, made_up_password
from elastic.web.server import ServerOptions
from elastic.web.static_files import static_files
from elastic.web.views.states import known_states, sign_of
from elastic.web.views.times import duration, full_time, relative_time, short_time, zone_of
from tests.command_process import end_all, ended, started


@pytest.fixture(autouse=True)
def _processes() -> Iterator[None]:
    yield
    end_all()


def said(*words: str, code: int = 0, given: str | None = None) -> str:
    result = CliRunner().invoke(app, list(words), input=given)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.slow
def test_the_server_answers_until_a_signal_and_logs_no_query(home: Path) -> None:
    process = started("webserver", "-p", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    url = line.partition("the webserver serves ")[2].strip()
    assert url.startswith("http://127.0.0.1:"), line
    assert httpx2.get(f"{url}/login?next=secret").status_code == 200
    taken = subprocess.run(
        [sys.executable, "-m", "elastic", "webserver", "-p", url.rpartition(":")[2]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert taken.returncode == 2
    assert taken.stderr.startswith(f"error: port {url.rpartition(':')[2]} of 127.0.0.1 is in use by another program;")
    process.send_signal(signal.SIGTERM)
    rest = ended(process)
    assert process.returncode == 0, rest
    assert "secret" not in rest


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])
def test_an_address_that_others_reach_needs_tls(host: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"would send passwords over the network of {host} in plain text")):
        ServerOptions(host=host, port=0).check()
    ServerOptions(host=host, port=0, behind_proxy="10.0.0.1").check()
    ServerOptions(host=host, port=0, certificate=Path("a"), key=Path("b")).check()
    with pytest.raises(UsageError, match="TLS needs a certificate and its key"):
        ServerOptions(host=host, port=0, certificate=Path("a")).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_the_addresses_of_this_machine_need_no_tls(host: str) -> None:
    ServerOptions(host=host, port=0).check()


def test_a_port_that_is_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert f"port {port} of 127.0.0.1 is in use by another program" in said("webserver", "-p", port, code=2)
    assert "cannot be used" in said(
        "webserver", "--host", "no-such-host.invalid", "--behind-proxy", "127.0.0.1", code=2
    )


def test_users_are_managed_by_commands() -> None:
    assert "no users" in said("users", "list")
    assert "with the role admin" in said(
        "users", "create", "ada", "--role", "admin", "--password-stdin", given="a good long one\n"
    )
    assert "10 to 256 characters" in said("users", "create", "eve", "--password-stdin", given="short\n", code=2)
    assert "exists already" in said("users", "create", "ada", "--password-stdin", given="a good long one\n", code=2)
    said("users", "create", "eve", "--password-stdin", given="a good long one\n")
    said("users", "role", "eve", "operator")
    assert "last active admin" in said("users", "disable", "ada", code=2)
    said("users", "disable", "eve")
    assert re.search(r"eve +operator +disabled", said("users", "list"))
    said("users", "enable", "eve")
    said("users", "password", "eve", "--password-stdin", given="another good one\n")
    assert is_password("another good one", UserStore(open_database()).get("eve").password_hash)
    said("users", "delete", "eve", "-y")
    assert "isn't defined" in said("users", "role", "eve", "admin", code=2)
    assert "good" not in said("users", "list", "-o", "json")


def test_tokens_are_managed_by_commands() -> None:
    assert "isn't defined" in said("tokens", "create", "nightly", "--user", "ada", code=2)
    said("users", "create", "ada", "--role", "admin", "--password-stdin", given="a good long one\n")
    secret = said("tokens", "create", "nightly", "--user", "ada", "--days", "1").splitlines()[-1]
    assert re.fullmatch(r"els_[0-9A-Za-z]{43}", secret)
    listed = said("tokens", "list", "-o", "plain")
    assert "nightly" in listed
    assert secret not in listed
    store = ApiTokenStore(open_database())
    found = store.find(secret, dt.datetime.now(dt.UTC))
    assert found is not None
    assert found.role is Role.VIEWER
    said("tokens", "revoke", str(found.id))
    assert store.find(secret, dt.datetime.now(dt.UTC)) is None
    assert "isn't defined" in said("tokens", "revoke", "99", code=2)


def test_the_first_admin_is_made_once_and_its_file_is_private(home: Path) -> None:
    database = open_database()
    password = make_first_admin(database)
    assert password is not None
    assert make_first_admin(database) is None
    path = write_password(home, password)
    assert (path.stat().st_mode & 0o777) == 0o600
    path.unlink()
    path.symlink_to(home / "elsewhere")
    write_password(home, password)
    assert not (home / "elsewhere").exists()


def test_made_up_passwords_differ_and_hashes_of_both_kinds_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({made_up_password() for _ in range(100)}) == 100
    argon2 = hash_password("päss\ud800 word")
    monkeypatch.setattr("elastic.web.security.passwords._argon2", lambda: None)
    scrypt = hash_password("päss\ud800 word")
    assert is_password("päss\ud800 word", scrypt)
    assert not is_password("other", scrypt)
    assert not is_password("päss\ud800 word", argon2), "argon2 cannot be verified without its package"
    monkeypatch.undo()
    assert argon2.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    for one in (argon2, scrypt):
        assert is_password("päss\ud800 word", one)
        assert not is_password("päss", one)
    for damaged in ("", "x", "scrypt$", "scrypt$32768$!$!", "$argon2id$", argon2[:40]):
        assert not is_password("x", damaged)


def hue(red: int, green: int, blue: int) -> float:
    return colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)[0] * 360


#: Named colours of CSS.
NAMED = {
    "tan": (210, 180, 140), "grey": (128, 128, 128), "lime": (0, 255, 0), "green": (0, 128, 0), "red": (255, 0, 0),
    "gold": (255, 215, 0), "orange": (255, 165, 0), "hotpink": (255, 105, 180), "lightgrey": (211, 211, 211),
    "mediumpurple": (147, 112, 219),
}  # fmt: skip


@pytest.mark.parametrize("state", list(TaskState))
def test_the_fill_of_a_state_has_the_hue_of_its_colour(state: TaskState) -> None:
    css = static_files()["style.css"].content.decode()
    selector = re.escape(f".{sign_of(state).css}")
    token = re.search(rf"{selector}(?:, [^{{]+)? {{ --fill: var\((--[\w-]+)\)", css)
    assert token is not None
    value = re.search(rf"{token[1]}: #([0-9a-f]{{6}})", css)
    assert value is not None
    red, green, blue = (int(value[1][at : at + 2], 16) for at in (0, 2, 4))
    wanted = NAMED[state.colour]
    if len(set(wanted)) == 1:
        assert max(red, green, blue) - min(red, green, blue) < 30
    else:
        difference = abs(hue(red, green, blue) - hue(*wanted)) % 360
        assert min(difference, 360 - difference) <= 30, f"{state}: #{value[1]} is not {state.colour}"


def test_every_state_has_a_sign_of_its_own() -> None:
    assert set(TaskState) <= set(known_states())
    glyphs = [sign_of(state).glyph for state in (None, *TaskState)]
    assert len(set(glyphs)) == len(glyphs)
    assert sign_of("unknown").css == "s-none"


NOW = dt.datetime(2026, 11, 29, 14, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (58 * 60, "in 58 min"),
        (-3, "3 s ago"),
        (137_000, "in 1 d 14 h"),
        (-9 * 86_400, "9 d ago"),
        (3600, "in 1 h"),
    ],
)
def test_distances_from_now_are_short(seconds: int, text: str) -> None:
    assert relative_time(NOW + dt.timedelta(seconds=seconds), NOW) == text


def test_times_leave_out_what_they_share_with_now() -> None:
    assert short_time(NOW, dt.UTC, NOW) == "14:02"
    assert short_time(NOW - dt.timedelta(days=1), dt.UTC, NOW) == "28 Nov 14:02"
    assert short_time(NOW - dt.timedelta(days=400), dt.UTC, NOW) == "2025-10-25 14:02"
    berlin = zone_of("Europe/Berlin")
    assert berlin is not None
    assert full_time(NOW, berlin) == "2026-11-29 15:02:00"
    for name in ("", None, "Mars", "../etc/passwd", "a" * 100, "\0", "Europe"):
        assert zone_of(name) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-1, "0.00 s"),
        (0.423, "0.42 s"),
        (41, "41 s"),
        (248, "4 min 8 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
