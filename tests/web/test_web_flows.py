"""Pages of flow runs: lists, steps, chunks and bad entries, and what they say of missing ones."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from elastic.core.model.failure import DeadLetter
from elastic.core.model.live_view import LiveSpan
from elastic.db.database import Database
from elastic.db.schema import task_instance
from elastic.persistence.home import Home, new_run_id
from elastic.persistence.run_store.live_file import write_live
from elastic.run_views.run_list import RunList
from elastic.web.views.flow_labels import flow_links
from tests.run_views.stored_run_samples import BEGAN, KEY, OTHER_RUN, RUN, Sample, changed, letter_of, live_of, make_run
from tests.web.flow_page_samples import ADDRESSES, PAGES, Web, cells_in, store_attempt, text_of


@pytest.mark.usefixtures("flow_run")
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

    def test_an_action_needs_the_token_of_the_form(self, web: Web, flow_run: Path) -> None:
        assert web("operator").post(f"/flows/{RUN}/0/verify", data={}).status_code == 403
        assert web("operator").get(f"/flows/{RUN}/0/verify").status_code == 405
        assert not (flow_run / "actions").exists()


class TestMissing:
    @pytest.mark.usefixtures("flow_run")
    def test_an_unknown_run_lists_near_ones(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN[:-1]}f/0", 404)
        assert "Did you mean" in page
        assert "Did you mean" not in text_of(web, "/flows/20010101-000000-000000000000/0", 404)
        assert "There is no flow run" in page
        assert f'href="/flows/{RUN}/0"' in page
        assert 'href="/flows">List of flows</a>' in page

    @pytest.mark.usefixtures("flow_run")
    @pytest.mark.parametrize("name", ["x", "%2e%2e%2fetc", "a" * 300, "%F0%9F%92%A5", RUN.upper() + "Z"])
    def test_a_name_that_is_no_run_is_unknown(self, web: Web, name: str) -> None:
        for below in ("/0", "/0/cells", "/0/chunks/1", "/0/letters", "/0/letters/1-0", "/0/proof"):
            assert web("viewer").get(f"/flows/{name}{below}").status_code == 404

    @pytest.mark.usefixtures("flow_run")
    def test_an_unknown_step_lists_the_steps(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/7", 404)
        assert "has no step 7; it has 1 step, counted from 0" in page
        assert f'href="/flows/{RUN}/0"' in page
        assert 'href="/flows">List of flows</a>' in page

    @pytest.mark.usefixtures("flow_run")
    def test_an_unknown_chunk_says_how_many_there_are(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/chunks/10", 404)
        assert "has no chunk 10; it has 10, counted from 0" in page
        assert f'href="/flows/{RUN}/0/chunks/9"' in page
        assert web("viewer").get(f"/flows/{RUN}/0/chunks/{1 << 70}").status_code == 422

    @pytest.mark.usefixtures("flow_run")
    @pytest.mark.parametrize("key", ["1-1", "9-0", "x", "1", "1-x", "-1-0", "1-" + "9" * 30, "²-0"])
    def test_an_unknown_dead_letter_lists_near_ones(self, web: Web, key: str) -> None:
        page = text_of(web, f"/flows/{RUN}/0/letters/{key}", 404)
        assert "has no dead letter" in page

    def test_a_run_on_another_host_says_where_it_ran(self, web: Web, web_database: Database) -> None:
        key = store_attempt(web_database, OTHER_RUN, host="node-2")
        page = text_of(web, f"/flows/{OTHER_RUN}/0", 404)
        assert f"Run {OTHER_RUN} of task {key} ran on node-2" in page
        assert "set ELASTIC_HOME of all machines to a folder that they share" in page

    @pytest.mark.usefixtures("flow_run")
    def test_an_address_without_step_leads_to_the_first(self, web: Web) -> None:
        assert web("viewer").get(f"/flows/{RUN}").headers["location"] == f"/flows/{RUN}/0"
        answer = web("viewer").get(f"/flows/{RUN}/0/chunks?chunk=7")
        assert answer.headers["location"] == f"/flows/{RUN}/0/chunks/7"


class TestList:
    def test_without_runs_it_says_how_to_begin(self, web: Web) -> None:
        page = text_of(web, "/flows")
        assert "No flow has run yet" in page
        assert "elastic example word-count" in page

    def test_a_run_shows_its_figures_and_leads_to_its_step(self, web: Web, flow_run: Path) -> None:
        page = text_of(web, "/flows")
        assert f'<a class="name" href="/flows/{flow_run.name}/0">prices</a>' in page
        assert f'<a href="/flows/{flow_run.name}/0/letters">3</a>' in page

    def test_filters_stay_in_the_address_of_the_next_page(self, web: Web, home: Path) -> None:
        for number in range(55):
            run_id = new_run_id(BEGAN + number, number.to_bytes(4, "big"))
            make_run(home, Sample(chunks=1, name="words" if number % 2 else "prices"), run_id)
        make_run(home, Sample(chunks=1, name="words"), OTHER_RUN)
        first = text_of(web, "/flows?state=complete")
        assert first.count('class="name"') == 50
        assert "/flows?state=complete&amp;after=" in first
        assert text_of(web, "/flows?q=WORDS&state=complete").count('class="name"') == 28

    @pytest.mark.usefixtures("flow_run")
    def test_a_filter_without_match_offers_all(self, web: Web) -> None:
        page = text_of(web, "/flows?q=nothing+like+it")
        assert "No run matches" in page
        assert 'value="nothing like it"' in page

    def test_a_damaged_run_is_listed_with_its_reason(self, web: Web, flow_run: Path) -> None:
        changed(flow_run / "run.sqlite", lambda data: data[:100] + bytes(3000) + data[3100:])
        page = text_of(web, "/flows?state=damaged")
        assert "damaged" in page
        assert "restore a good copy" in page


class TestStep:
    @pytest.mark.usefixtures("flow_run")
    def test_it_shows_figures_stations_workers_and_the_kinds_of_bad_entries(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0")
        for text in ("bad entries of 1 kind", "node-1/0", "ValueError", "prices.py:14 in to_cents", "&#39;30 EUR&#39;"):
            assert text in page
        assert 'data-figure="aggregated">10</span>' in page
        assert 'data-figure="station-returned">10</b>' in page

    @pytest.mark.usefixtures("flow_run")
    def test_without_a_script_a_table_leads_to_the_unusual_chunks(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0")
        assert '<details class="card pad fold" id="chunk-table" open>' in page
        for chunk_id in (1, 5):
            assert f'href="/flows/{RUN}/0/chunks/{chunk_id}"' in page

    @pytest.mark.usefixtures("flow_run")
    def test_cells_are_one_byte_a_chunk_behind_their_head(self, web: Web) -> None:
        answer = web("viewer").get(f"/flows/{RUN}/0/cells", headers={"Accept-Encoding": "identity"})
        head, cells = cells_in(answer.content)
        assert list(cells) == [6, 7, 6, 6, 6, 7, 6, 6, 6, 6]
        assert (head["first"], head["stop"], head["total"], head["per_cell"]) == (0, 10, 10, 1)
        again = web("viewer").get(f"/flows/{RUN}/0/cells", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.usefixtures("flow_run")
    def test_cells_by_worker_name_each_worker(self, web: Web) -> None:
        head, cells = cells_in(web("viewer").get(f"/flows/{RUN}/0/cells?by=worker").content)
        assert (list(cells), head["legend"]) == ([1] * 4 + [2] * 4 + [1] * 2, ["node-1/0", "node-2/0"])

    @pytest.mark.usefixtures("flow_run")
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
        assert "No update from the master for" in text_of(web, f"/flows/{RUN}/0")

    def test_a_page_does_not_watch_a_step_that_has_ended(self, web: Web, flow_run: Path) -> None:
        text_of(web, f"/flows/{RUN}/0")
        assert not (flow_run / "watched").exists()

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
    @pytest.mark.usefixtures("flow_run")
    def test_six_receipts_are_shown_with_their_nodes_and_verify(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/chunks/1")
        assert "six receipts, all verify" in page
        assert page.count('id="receipt-') == 6
        for text in ("distributed", "returned", "node-1/0", "2 of 3 entries bad", "sent with chunks 0 to 3"):
            assert text in page

    @pytest.mark.usefixtures("flow_run")
    def test_its_first_bad_entry_shows_its_traceback(self, web: Web) -> None:
        page = text_of(web, f"/flows/{RUN}/0/chunks/1")
        assert "invalid literal for int() with base 10" in page
        assert f'href="/flows/{RUN}/0/letters/1-2"' in page

    @pytest.mark.usefixtures("flow_run")
    def test_neighbours_are_linked_and_the_ends_have_one(self, web: Web) -> None:
        assert 'rel="prev"' not in text_of(web, f"/flows/{RUN}/0/chunks/0")
        assert 'rel="next"' not in text_of(web, f"/flows/{RUN}/0/chunks/9")

    def test_a_chunk_in_flight_has_no_receipts_yet(self, web: Web, home: Path) -> None:
        make_run(home, Sample(chunks=4, state="in_progress", counters={"cut": 9, "sent": 9}))
        page = text_of(web, f"/flows/{RUN}/0/chunks/8")
        assert "no receipts until it is in the result" in page
        assert "not yet" in page


class TestLetters:
    @pytest.mark.usefixtures("flow_run")
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

    @pytest.mark.usefixtures("flow_run")
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
