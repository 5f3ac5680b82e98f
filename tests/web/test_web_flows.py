"""Pages of flow runs: lists, steps, chunks, bad entries and proofs, and what they show of missing and damaged runs."""

import fcntl
import json
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from elastic.core.model.failure import DeadLetter
from elastic.core.model.live_view import LiveSpan
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.schema import log, task_attempt, task_instance
from elastic.engine.run import run as run_step
from elastic.flow.loader import step_at
from elastic.persistence.home import Home, new_run_id
from elastic.persistence.run_store.live_file import write_live
from elastic.run_views.run_list import RunList
from elastic.web.views.flow_labels import flow_links
from tests.run_views.stored_run_samples import (
    BEGAN,
    HOSTILE_TEXTS,
    KEY,
    OTHER_RUN,
    RUN,
    Sample,
    changed,
    damage,
    letter_of,
    make_run,
)
from tests.run_views.test_chunk_cells import live_of
from tests.web.conftest import WebClient
from tests.web.web_samples import NOW, store_dag, store_run

Web = Callable[[str | None], WebClient]

#: Addresses of all pages of a run with a bad entry.
ADDRESSES = (
    "/flows",
    f"/flows/{RUN}/0",
    f"/flows/{RUN}/0/cells",
    f"/flows/{RUN}/0/chunks/1",
    f"/flows/{RUN}/0/letters",
    f"/flows/{RUN}/0/letters/1-0",
    f"/flows/{RUN}/0/proof",
)
SECRET = "canary of the letter"
PAGES = tuple(address for address in ADDRESSES if not address.endswith("cells"))
LETTERS = (letter_of(1, 0), letter_of(1, 2, entry=b"\xff\x00"), letter_of(5, None, entry=[1, 2, 3]))


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


@pytest.fixture
def run(home: Path) -> Path:
    """Folder of a run with bad entries in chunks 1 and 5."""
    return make_run(home, Sample(chunks=10, failed={1: 2, 5: 3}, letters=LETTERS))


def text_of(web: Web, url: str, status: int = 200, role: str = "viewer") -> str:
    answer = web(role).get(url)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def cells_in(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from("<I", data)
    return json.loads(data[4 : 4 + length]), data[4 + length :]


@pytest.mark.usefixtures("run")
class TestRights:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_a_page_needs_a_login_and_every_role_may_read_it(self, web: Web, address: str) -> None:
        assert web(None).get(address).headers["location"].startswith("/login?next=")
        for role in ("viewer", "operator", "admin"):
            assert web(role).get(address).status_code == 200

    @pytest.mark.parametrize("action", ["verify", "resume", "redrive"])
    def test_a_viewer_sees_no_button_of_an_action_and_cannot_start_it(self, web: Web, action: str) -> None:
        page = text_of(web, f"/flows/{RUN}/0")
        assert f'action="/flows/{RUN}/0/{action}"' not in page
        assert web("viewer").submit(f"/flows/{RUN}/0/{action}").status_code == 403
        assert web(None).post(f"/flows/{RUN}/0/{action}").status_code in (303, 401, 403)

    def test_an_action_needs_the_token_of_the_form(self, web: Web, run: Path) -> None:
        assert web("operator").post(f"/flows/{RUN}/0/verify", data={}).status_code == 403
        assert web("operator").get(f"/flows/{RUN}/0/verify").status_code == 405
        assert not (run / "actions").exists()


class TestMissing:
    @pytest.mark.usefixtures("run")
    def test_an_unknown_run_lists_near_ones(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN[:-1]}f/0", 404)
        assert "Did you mean" in page
        assert "Did you mean" not in text_of(web, "/flows/20010101-000000-000000000000/0", 404)
        assert "There is no flow run" in page
        assert f'href="/flows/{RUN}/0"' in page
        assert 'href="/flows">List of flows</a>' in page

    @pytest.mark.usefixtures("run")
    @pytest.mark.parametrize("name", ["x", "%2e%2e%2fetc", "a" * 300, "%F0%9F%92%A5", RUN.upper() + "Z"])
    def test_a_name_that_is_no_run_is_unknown(self, web: Web, name: str) -> None:
        for below in ("/0", "/0/cells", "/0/chunks/1", "/0/letters", "/0/letters/1-0", "/0/proof"):
            assert web("viewer").get(f"/flows/{name}{below}").status_code == 404

    @pytest.mark.usefixtures("run")
    def test_an_unknown_step_lists_the_steps(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/7", 404)
        assert "has no step 7; it has 1, counted from 0" in page
        assert f'href="/flows/{RUN}/0"' in page
        assert 'href="/flows">List of flows</a>' in page

    @pytest.mark.usefixtures("run")
    def test_an_unknown_chunk_says_how_many_there_are(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/chunks/10", 404)
        assert "has no chunk 10; it has 10, counted from 0" in page
        assert f'href="/flows/{RUN}/0/chunks/9"' in page
        assert web("viewer").get(f"/flows/{RUN}/0/chunks/{1 << 70}").status_code == 422

    @pytest.mark.usefixtures("run")
    @pytest.mark.parametrize("key", ["1-1", "9-0", "x", "1", "1-x", "-1-0", "1-" + "9" * 30, "²-0"])
    def test_an_unknown_dead_letter_lists_near_ones(self, web: Web, key: str) -> None:
        page = text_of(web, f"/flows/{RUN}/0/letters/{key}", 404)
        assert "has no dead letter" in page

    def test_a_run_on_another_host_says_where_it_ran(self, web: Web, web_database: Database) -> None:
        key = store_attempt(web_database, OTHER_RUN, host="node-2")
        page = text_of(web, f"/flows/{OTHER_RUN}/0", 404)
        assert f"Run {OTHER_RUN} of task {key} ran on node-2" in page
        assert "set ELASTIC_HOME of all machines to a folder that they share" in page

    @pytest.mark.usefixtures("run")
    def test_an_address_without_step_leads_to_the_first(self, web: Web) -> None:
        assert web("viewer").get(f"/flows/{RUN}").headers["location"] == f"/flows/{RUN}/0"
        answer = web("viewer").get(f"/flows/{RUN}/0/chunks?chunk=7")
        assert answer.headers["location"] == f"/flows/{RUN}/0/chunks/7"


class TestList:
    def test_without_runs_it_says_how_to_begin(self, web: Web) -> None:
        page = text_of(web, "/flows")
        assert "No flow has run yet" in page
        assert "elastic example word-count" in page

    def test_a_run_shows_its_figures_and_leads_to_its_step(self, web: Web, run: Path) -> None:
        page = text_of(web, "/flows")
        assert f'<a class="name" href="/flows/{run.name}/0">prices</a>' in page
        assert f'<a href="/flows/{run.name}/0/letters">3</a>' in page

    def test_filters_stay_in_the_address_of_the_next_page(self, web: Web, home: Path) -> None:
        for number in range(55):
            run_id = new_run_id(BEGAN + number, number.to_bytes(4, "big"))
            make_run(home, Sample(chunks=1, name="words" if number % 2 else "prices"), run_id)
        make_run(home, Sample(chunks=1, name="words"), OTHER_RUN)
        first = text_of(web, "/flows?state=complete")
        assert first.count('class="name"') == 50
        assert "/flows?state=complete&amp;after=" in first
        assert text_of(web, "/flows?q=WORDS&state=complete").count('class="name"') == 28

    @pytest.mark.usefixtures("run")
    def test_a_filter_without_match_offers_all(self, web: Web) -> None:
        page = text_of(web, "/flows?q=nothing+like+it")
        assert "No run matches" in page
        assert 'value="nothing like it"' in page

    def test_a_damaged_run_is_listed_with_its_reason(self, web: Web, run: Path) -> None:
        changed(run / "run.sqlite", lambda data: data[:100] + bytes(3000) + data[3100:])
        page = text_of(web, "/flows?state=damaged")
        assert "damaged" in page
        assert "restore a good copy" in page


class TestStep:
    @pytest.mark.usefixtures("run")
    def test_it_shows_figures_stations_workers_and_the_kinds_of_bad_entries(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0")
        for text in ("bad entries of 1 kind", "node-1/0", "ValueError", "prices.py:14 in to_cents", "&#39;30 EUR&#39;"):
            assert text in page
        assert 'data-figure="aggregated">10</span>' in page
        assert 'data-figure="station-returned">10</b>' in page

    @pytest.mark.usefixtures("run")
    def test_without_a_script_a_table_leads_to_the_unusual_chunks(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0")
        assert '<details class="card pad fold" id="chunk-table" open>' in page
        for chunk_id in (1, 5):
            assert f'href="/flows/{RUN}/0/chunks/{chunk_id}"' in page

    @pytest.mark.usefixtures("run")
    def test_cells_are_one_byte_a_chunk_behind_their_head(self, web: Web) -> None:
        answer = web("viewer").get(f"/flows/{RUN}/0/cells", headers={"Accept-Encoding": "identity"})
        head, cells = cells_in(answer.content)
        assert list(cells) == [6, 7, 6, 6, 6, 7, 6, 6, 6, 6]
        assert (head["first"], head["stop"], head["total"], head["per_cell"]) == (0, 10, 10, 1)
        again = web("viewer").get(f"/flows/{RUN}/0/cells", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.usefixtures("run")
    def test_compressed_cells_are_the_same(self, web: Web) -> None:
        answer = web("viewer").get(f"/flows/{RUN}/0/cells?by=worker", headers={"Accept-Encoding": "gzip"})
        head, cells = cells_in(answer.content)
        assert answer.headers["content-encoding"] == "gzip"
        assert (list(cells), head["legend"]) == ([1] * 4 + [2] * 4 + [1] * 2, ["node-1/0", "node-2/0"])

    @pytest.mark.usefixtures("run")
    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("by=colour", 400),
            ("from=11", 400),
            ("from=5&to=4", 400),
            ("from=-1", 422),
            ("cells=0", 422),
            ("cells=999999999", 422),
            (f"to={1 << 80}", 422),
            ("from=x", 422),
        ],
    )
    def test_a_range_that_does_not_exist_is_refused(self, web: Web, query: str, status: int) -> None:
        text_of(web, f"/flows/{RUN}/0/cells?{query}", status)

    def test_a_running_step_shows_its_rate_and_asks_its_master_for_views(self, web: Web, home: Path) -> None:
        folder = make_run(home, Sample(chunks=40, state="in_progress"))
        live = replace(
            live_of(LiveSpan(0, 60, "aggregated", None, 1), cut=70, expected=100),
            noted_at=time.time() + 60,
            chunks_per_second=8.0,
            counters={"aggregated": 60},
        )
        write_live(folder, KEY, 0, live)
        page = text_of(web, f"/flows/{RUN}/0")
        for text in ("running, 60 %", "of 100", "8.0 chunks a second", "5 s", 'data-live="1"'):
            assert text in page
        assert (folder / "watched").exists()
        head, cells = cells_in(web("viewer").get(f"/flows/{RUN}/0/cells").content)
        assert cells == bytes([6] * 60 + [1] * 10 + [0] * 30)
        assert head["figures"]["state"] == "running, 60 %"

    def test_a_running_step_without_a_sign_of_its_master_says_so(self, web: Web, home: Path) -> None:
        folder = make_run(home, Sample(chunks=4, state="in_progress"))
        assert "Waiting for the master" in text_of(web, f"/flows/{RUN}/0")
        write_live(folder, KEY, 0, replace(live_of(cut=4), noted_at=time.time() - 100))
        assert "No sign of the master for" in text_of(web, f"/flows/{RUN}/0")

    def test_a_page_does_not_watch_a_step_that_has_ended(self, web: Web, run: Path) -> None:
        text_of(web, f"/flows/{RUN}/0")
        assert not (run / "watched").exists()

    def test_an_empty_step_has_an_empty_state(self, web: Web, home: Path) -> None:
        make_run(home, Sample(chunks=0))
        page = text_of(web, f"/flows/{RUN}/0")
        assert "The source was empty" in page
        assert "None: every entry is in the result." in page

    def test_a_failed_step_shows_its_error_and_how_to_resume(self, web: Web, home: Path) -> None:
        make_run(home, Sample(state="error", error="<b>disk</b> full"))
        page = text_of(web, f"/flows/{RUN}/0", role="operator")
        assert "&lt;b&gt;disk&lt;/b&gt; full" in page
        assert f"`elastic resume {RUN} file.py:flow`" in page

    def test_the_way_to_a_flow_of_a_task_leads_through_the_task(self, web: Web, home: Path) -> None:
        manifest = {"task": "etl.load[17] of r1", "task_instance": ["etl", "r1", "load", 17]}
        make_run(home, Sample(manifest=manifest))
        page = text_of(web, f"/flows/{RUN}/0")
        assert '<a href="/dags/etl/runs/r1/tasks/load/17">load[17]</a>' in page


class TestChunk:
    @pytest.mark.usefixtures("run")
    def test_six_receipts_are_shown_with_their_nodes_and_verify(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/chunks/1")
        assert "six receipts, all verify" in page
        assert page.count('id="receipt-') == 6
        for text in ("distributed", "returned", "node-1/0", "2 of 3 entries bad", "travelled with chunks 0 to 3"):
            assert text in page

    @pytest.mark.usefixtures("run")
    def test_its_first_bad_entry_shows_its_traceback(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/chunks/1")
        assert "invalid literal for int() with base 10" in page
        assert f'href="/flows/{RUN}/0/letters/1-2"' in page

    @pytest.mark.usefixtures("run")
    def test_neighbours_are_linked_and_the_ends_have_one(self, web: Web) -> None:
        assert 'rel="prev"' not in text_of(web, f"/flows/{RUN}/0/chunks/0")
        assert 'rel="next"' not in text_of(web, f"/flows/{RUN}/0/chunks/9")

    def test_a_chunk_in_flight_has_no_receipts_yet(self, web: Web, home: Path) -> None:
        make_run(home, Sample(chunks=4, state="in_progress", counters={"cut": 9, "sent": 9}))
        page = text_of(web, f"/flows/{RUN}/0/chunks/8")
        assert "no receipts before it is in the result" in page
        assert "not yet" in page


class TestLetters:
    @pytest.mark.usefixtures("run")
    def test_all_letters_are_listed_and_one_kind_alone(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/letters")
        assert [f"letters/{key}" in page for key in ("1-0", "1-2", "5-chunk")] == [True] * 3
        assert "No bad entries of this kind" in text_of(web, f"/flows/{RUN}/0/letters?error=000000000000")
        text_of(web, f"/flows/{RUN}/0/letters?after=x", 400)

    def test_letters_are_paged(self, web: Web, home: Path) -> None:
        make_run(home, Sample(chunks=120, letters=[letter_of(number) for number in range(120)]))
        page = text_of(web, f"/flows/{RUN}/0/letters")
        assert f"/flows/{RUN}/0/letters?after=49-0" in page
        assert "letters/50-0" in text_of(web, f"/flows/{RUN}/0/letters?after=49-0")

    @pytest.mark.usefixtures("run")
    def test_an_entry_is_shown_as_text_and_as_bytes(self, web: Web) -> None:
        assert ">30 EUR</pre>" in text_of(web, f"/flows/{RUN}/0/letters/1-0")
        assert "33 30 20 45 55 52" in text_of(web, f"/flows/{RUN}/0/letters/1-0?as=hex")
        assert "\\xff\\x00" in text_of(web, f"/flows/{RUN}/0/letters/1-2")
        assert "[1, 2, 3]" in text_of(web, f"/flows/{RUN}/0/letters/5-chunk")

    @pytest.mark.parametrize(
        "letter",
        [
            letter_of(1, entry="x" * 3_000_000),
            letter_of(1, entry=""),
            letter_of(1, entry=None),
            letter_of(1, entry=float("nan")),
            letter_of(1, entry=b""),
            letter_of(1, entry={"a": {"b": [b"\xff", ("é", "\udcff\0")]}}),
            letter_of(1, traceback="", message=""),
            letter_of(1, traceback="x\n" * 200_000, message="m" * 100_000),
            replace(letter_of(1), entry=b"\xc1"),
            letter_of(1, entry="<object>", exact=False),
        ],
        ids=lambda letter: f"{len(letter.entry)} bytes",
    )
    def test_any_entry_has_a_page_of_bounded_size(self, web: Web, home: Path, letter: DeadLetter) -> None:
        make_run(home, Sample(failed={1: 1}, letters=[letter]))
        for address in PAGES:
            assert len(text_of(web, address)) < 400_000

    def test_a_redriven_letter_keeps_its_page(self, web: Web, home: Path) -> None:
        make_run(home, Sample(failed={1: 1}, letters=[letter_of(1)], redriven=((1, 0),)))
        assert "redriven" in text_of(web, f"/flows/{RUN}/0/letters/1-0")
        assert "All of them were redriven" in text_of(web, f"/flows/{RUN}/0/letters")


class TestDamage:
    def test_a_damaged_row_of_receipts_is_named_on_step_and_chunk(self, web: Web, run: Path) -> None:
        damage(run, "UPDATE receipt SET data=x'00' WHERE first=4")
        assert "The receipts of chunks 4 to 7 are damaged" in text_of(web, f"/flows/{RUN}/0")
        assert "receipts do not verify" in text_of(web, f"/flows/{RUN}/0/chunks/6")
        assert "six receipts, all verify" in text_of(web, f"/flows/{RUN}/0/chunks/3")

    def test_a_damaged_letter_is_named(self, web: Web, run: Path) -> None:
        damage(run, "UPDATE letter SET data=x'93' WHERE chunk=1 AND entry=0")
        assert "damaged dead letters" in text_of(web, f"/flows/{RUN}/0")
        assert "differs from the one that the master wrote" in text_of(web, f"/flows/{RUN}/0/letters/1-0")

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
    def test_changed_rows_never_break_a_page(self, web: Web, run: Path, statement: str) -> None:
        damage(run, statement)
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
    def test_a_changed_file_never_breaks_a_page(self, web: Web, run: Path, change: Callable[[bytes], bytes]) -> None:
        changed(run / "run.sqlite", change)
        for address in ADDRESSES:
            assert web("viewer").get(address).status_code in (200, 404, 409)

    def test_a_run_without_its_key_says_so(self, web: Web, run: Path) -> None:
        (run / "key").unlink()
        assert "no receipt of the run can be checked without it" in text_of(web, f"/flows/{RUN}/0", 409)

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

    @pytest.mark.usefixtures("run")
    @pytest.mark.parametrize("address", PAGES)
    def test_pages_have_no_inline_style_and_no_script_but_their_files(self, web: Web, address: str) -> None:
        tags = Tags(text_of(web, address, role="operator"))
        assert not {one for one in tags.attributes if one.startswith("on") or one == "style"}
        assert tags.names.count("h1") == 1


class TestActions:
    def test_an_operator_verifies_a_run_and_the_proof_shows_the_finding(
        self, web: Web, run: Path, web_database: Database
    ) -> None:
        damage(run, "UPDATE receipt SET data=x'00' WHERE first=4")
        client = web("operator")
        answer = client.submit(f"/flows/{RUN}/0/verify")
        assert answer.status_code == 303
        wait_for_actions(run)
        assert "exit code 1" in client.get(answer.headers["location"]).text
        proof = client.get(f"/flows/{RUN}/0/proof").text
        assert "the row of receipts is damaged" in proof
        assert f'href="/flows/{RUN}/0/chunks/4"' in proof
        assert ("flow_verify", "operator", f"run {RUN}, step 0") in audited(web_database)

    @pytest.mark.usefixtures("run")
    @pytest.mark.parametrize("action", ["resume", "redrive"])
    def test_an_action_that_cannot_work_is_refused_with_a_sentence(
        self, web: Web, action: str, web_database: Database
    ) -> None:
        answer = web("operator").submit(f"/flows/{RUN}/0/{action}")
        assert answer.status_code == 409
        assert ("nothing to resume" if action == "resume" else "elastic dead-letters redrive") in answer.text
        assert not [event for event, _, _ in audited(web_database) if event.startswith("flow_")]

    @pytest.mark.usefixtures("run")
    def test_without_a_verification_the_proof_says_what_one_does(self, web: Web) -> None:
        assert "Not verified yet" in text_of(web, f"/flows/{RUN}/0/proof")
        text_of(web, f"/flows/{RUN}/0/actions/20261130T120000-verify-000000", 404)

    @pytest.mark.parametrize("output", [b"", b"[]", b"{", b'{"steps": 1, "findings": {"a": 1}}', b"[" * 100_000])
    def test_a_changed_output_of_a_verification_breaks_no_page(self, web: Web, run: Path, output: bytes) -> None:
        folder = run / "actions"
        folder.mkdir()
        name = "20261130T120000-verify-abcdef"
        facts = {"kind": "verify", "step": 0, "owner": "<b>", "exit_code": 0}
        times = {"started_at": "2026-11-30T12:00:00+00:00", "ended_at": "2026-11-30T12:00:01+00:00"}
        (folder / f"{name}.json").write_text(json.dumps({**facts, **times}))
        (folder / f"{name}.out").write_bytes(output)
        (folder / f"{name}.log").write_bytes(b"\x1b[31m<b>\xff")
        (folder / f"{name}.lock").touch()
        for address in (f"/flows/{RUN}/0/proof", f"/flows/{RUN}/0", f"/flows/{RUN}/0/actions/{name}"):
            page = text_of(web, address)
            assert "<b>\\x1b" not in page
            assert "\x1b" not in page


FLOW = """import elastic
from elastic.aggregators import Sum

def to_cents(text):
    return int(text{repair}) * 100

flow = elastic.from_iterable([str(n) for n in range(9)] + ["30 EUR"], chunk_size=2).map(to_cents).aggregate(Sum())
flow = flow.options(on_error="dead-letter", cluster="inline")
"""


def test_an_operator_redrives_the_bad_entries_of_a_repaired_flow(
    web: Web, home: Path, tmp_path: Path, web_database: Database
) -> None:
    path = tmp_path / "prices.py"
    path.write_text(FLOW.format(repair=""))
    step = step_at(str(path) + ":flow")
    result = run_step(step, metadata={"target": "prices.py:flow", "folder": str(tmp_path)})
    path.write_text(FLOW.format(repair=".split()[0]"))
    address = f"/flows/{result.run_id}/0"
    client = web("operator")
    assert f'action="{address}/redrive"' in client.get(address).text
    answer = client.submit(f"{address}/redrive")
    assert answer.status_code == 303, answer.text
    wait_for_actions(home / "runs" / result.run_id)
    log = client.get(answer.headers["location"]).text
    assert "exit code 0" in log
    assert "1 tried again, 0 left" in log
    page = client.get(address).text
    assert "None is left: 1 dead letter was redriven." in page
    assert ("flow_redrive", "operator", f"run {result.run_id}, step 0") in audited(web_database)


def wait_for_actions(folder: Path) -> None:
    """Wait for the end of the actions of a run: their processes hold locks until then."""
    for lock in (folder / "actions").glob("*.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)


def test_a_task_page_gets_links_to_the_flow_runs_of_its_attempts(home: Path) -> None:
    make_run(home, Sample(chunks=10, failed={1: 1}, letters=[letter_of(1)]))
    links = flow_links(RunList(Home(home)), [None, RUN, OTHER_RUN, RUN, "nonsense"])
    assert [(link.url, link.text, link.state) for link in links] == [
        (f"/flows/{RUN}/0", "10 chunks, 1 bad entry", "complete"),
        (f"/flows/{OTHER_RUN}/0", "its folder is not on this machine", ""),
    ]


def test_the_page_of_a_task_instance_leads_to_its_flow_run(web: Web, home: Path, web_database: Database) -> None:
    make_run(home, Sample(chunks=10, failed={1: 1}, letters=[letter_of(1)]))
    key = store_attempt(web_database, RUN, host="node-1")
    same = (task_instance.c.dag_id == key.dag_id) & (task_instance.c.task_id == key.task_id)
    with web_database.begin() as connection:
        connection.execute(update(task_instance).where(same).values(flow_run_id=RUN))
    page = text_of(web, f"/dags/{key.dag_id}/runs/{key.run_id}/tasks/{key.task_id}")
    assert f'<a class="link" href="/flows/{RUN}/0" title="Flow run {RUN}">Flow: 10 chunks, 1 bad entry</a>' in page


def store_attempt(database: Database, flow_run_id: str, *, host: str) -> TaskKey:
    """Store an attempt of a task instance that ran a flow."""
    store_dag(database)
    run = store_run(database, tasks=[("first", TaskState.SUCCESS)])
    key = TaskKey("etl", run.run_id, "first")
    values = {"dag_id": "etl", "run_id": run.run_id, "task_id": "first", "map_index": -1, "run_attempt": 1}
    with database.begin() as connection:
        connection.execute(
            insert(task_attempt).values(
                **values,
                attempt_uuid="0" * 32,
                try_number=1,
                state="success",
                queued_at=NOW,
                host=host,
                flow_run_id=flow_run_id,
            )
        )
    return key


def audited(database: Database) -> list[tuple[str, str, str]]:
    statement = select(log.c.event, log.c.owner, log.c.detail)
    rows = database.query(lambda connection: connection.execute(statement).all())
    return [(row.event, row.owner, row.detail) for row in rows]


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
