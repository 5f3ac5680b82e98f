"""Pages of flow runs show damaged files, markup and secrets of runs without harm."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from elastic.core.model.live_view import LiveSpan
from elastic.persistence.run_store.live_file import write_live
from tests.run_views.stored_run_samples import (
    HOSTILE_TEXTS,
    KEY,
    RUN,
    Sample,
    changed,
    damage,
    letter_of,
    live_of,
    locked,
    make_run,
)
from tests.web.flow_page_samples import ADDRESSES, PAGES, Web, cells_in, text_of

SECRET = "canary of the letter"


class Tags(HTMLParser):
    """Names of the elements of a page, and of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.update(name for name, _ in attrs)


class TestDamage:
    def test_a_damaged_row_of_receipts_is_named_on_step_and_chunk(self, web: Web, flow_run: Path) -> None:
        damage(flow_run, "UPDATE receipt SET data=x'00' WHERE first=4")
        assert "The receipts of chunks 4 to 7 are damaged" in text_of(web, f"/flows/{RUN}/0")
        assert "receipts do not verify" in text_of(web, f"/flows/{RUN}/0/chunks/6")
        assert "six receipts, all verify" in text_of(web, f"/flows/{RUN}/0/chunks/3")

    def test_a_damaged_letter_is_named(self, web: Web, flow_run: Path) -> None:
        damage(flow_run, "UPDATE letter SET data=x'93' WHERE chunk=1 AND entry=0")
        assert "damaged dead letters" in text_of(web, f"/flows/{RUN}/0")
        assert "is not the one that the master wrote" in text_of(web, f"/flows/{RUN}/0/letters/1-0")

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE progress SET low=1000000000000",
            "UPDATE progress SET bitmap=zeroblob(100000)",
            "UPDATE step SET manifest='[[[['",
            "UPDATE step SET name=x'ff'",
            "UPDATE run SET epoch=7",
            "UPDATE receipt SET first='x' || first, count='y', attempt='z'",
            "UPDATE receipt SET first=-5 WHERE first=0",
            "UPDATE receipt SET worker=99",
            "UPDATE worker SET node_id=x'fffe'",
            "UPDATE letter SET chunk='x', redriven='y'",
            "UPDATE letter SET redriven=7",
            "UPDATE letter SET data=NULL, seal=NULL",
            "DELETE FROM receipt",
            "DELETE FROM worker",
            "DELETE FROM progress",
            "DELETE FROM step",
            "DELETE FROM run",
            "CREATE TABLE extra (x)",
            "DROP TABLE letter",
        ],
    )
    def test_changed_rows_never_break_a_page(self, web: Web, flow_run: Path, statement: str) -> None:
        damage(flow_run, statement)
        for address in ADDRESSES:
            answer = web("viewer").get(address)
            assert answer.status_code in (200, 404, 409), (address, answer.text)

    @pytest.mark.parametrize(
        "change",
        [
            lambda data: b"",
            lambda data: data[: len(data) // 2],
            lambda data: b"x" * len(data),
            lambda data: data[:4096] + bytes(4096) + data[8192:],
        ],
    )
    def test_a_changed_file_never_breaks_a_page(
        self, web: Web, flow_run: Path, change: Callable[[bytes], bytes]
    ) -> None:
        changed(flow_run / "run.sqlite", change)
        for address in ADDRESSES:
            assert web("viewer").get(address).status_code in (200, 404, 409)

    def test_a_run_without_its_key_says_so(self, web: Web, flow_run: Path) -> None:
        (flow_run / "key").unlink()
        assert "no receipt of the run can be checked without it" in text_of(web, f"/flows/{RUN}/0", 409)

    def test_a_run_that_its_master_keeps_locked_is_busy_and_not_damaged(self, web: Web, flow_run: Path) -> None:
        with locked(flow_run):
            page = text_of(web, f"/flows/{RUN}/0", 503)
        assert "Busy run" in page
        assert "run.sqlite is busy" in page
        assert "damaged" not in page

    @pytest.mark.parametrize("data", [b"", b"\xff" * 70_000, b"elastic live 1 0 2 00\n{}", b"[" * 60_000])
    def test_a_damaged_live_file_is_named_and_the_page_is_shown(self, web: Web, home: Path, data: bytes) -> None:
        folder = make_run(home, Sample(state="in_progress"))
        (folder / "live").write_bytes(data)
        page = text_of(web, f"/flows/{RUN}/0")
        assert "live is damaged" in page
        assert web("viewer").get(f"/flows/{RUN}/0/cells").status_code == 200

    @pytest.mark.parametrize(
        "spans",
        [
            [LiveSpan(0, (1 << 62) - 1, "sent", None, 1)],
            [LiveSpan(n * 2, n * 2 + 1, "processed", 0, 9) for n in range(2_000)],
            [LiveSpan(10**15, 10**15 + 1, "returned", None, 0)],
        ],
    )
    def test_a_forged_live_file_costs_no_more_than_others(
        self, web: Web, home: Path, spans: Sequence[LiveSpan]
    ) -> None:
        folder = make_run(home, Sample(state="in_progress"))
        write_live(folder, KEY, 0, replace(live_of(*spans, expected=1 << 61), noted_at=time.time()))
        answer = web("viewer").get(f"/flows/{RUN}/0/cells?cells=1000")
        assert answer.status_code == 200
        assert len(cells_in(answer.content)[1]) <= 1000
        text_of(web, f"/flows/{RUN}/0")
        text_of(web, f"/flows/{RUN}/0/chunks/5")


class TestMarkup:
    @pytest.mark.parametrize("text", HOSTILE_TEXTS)
    def test_no_text_of_a_run_becomes_markup(self, web: Web, home: Path, text: str) -> None:
        evil = letter_of(
            1,
            0,
            entry=text,
            error_type=text,
            message=text,
            traceback=f'  File "{text}", line 3, in {text}\n{text}',
            place=text,
            function=text,
            node_id=text,
            worker_id=text,
        )
        evil = replace(evil, receipt=text)
        name = text.replace("\0", "").encode("utf-8", "replace").decode()[:500]
        manifest = {"target": text, "task": text}
        make_run(home, Sample(failed={1: 1}, letters=[evil], state="error", name=name, error=text, manifest=manifest))
        for address in PAGES:
            tags = Tags(text_of(web, address, role="operator"))
            assert "img" not in tags.names
            assert not {one for one in tags.attributes if one.startswith("on") or one == "style"}

    @pytest.mark.usefixtures("flow_run")
    @pytest.mark.parametrize("address", PAGES)
    def test_pages_have_no_inline_style_and_no_script_but_their_files(self, web: Web, address: str) -> None:
        tags = Tags(text_of(web, address, role="operator"))
        assert not {one for one in tags.attributes if one.startswith("on") or one == "style"}
        assert tags.names.count("h1") == 1


@pytest.mark.parametrize("address", PAGES)
def test_no_page_of_a_run_shows_a_secret_that_an_error_names(
    web: Web, home: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("ELASTIC_VAR_API_TOKEN", SECRET)
    traceback = f'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: {SECRET}\n'
    letter = letter_of(1, 0, message=SECRET, traceback=traceback)
    make_run(home, Sample(chunks=10, failed={1: 1}, letters=[letter], state="error", error=f"ValueError: {SECRET}"))
    page = text_of(web, address)
    assert SECRET not in page
    if "letters" in address:
        assert "***" in page
