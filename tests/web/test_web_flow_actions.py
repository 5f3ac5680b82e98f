"""Actions on flow runs that pages start, and the proof that a verification leaves."""

import fcntl
from pathlib import Path

import pytest
from sqlalchemy import select

from elastic.db.database import Database
from elastic.db.schema import log
from elastic.engine.run import run as run_step
from elastic.flow.loader import step_at
from tests.run_views.stored_run_samples import ACTION, RUN, damage, store_action
from tests.web.flow_page_samples import Web, text_of


class TestActions:
    def test_an_operator_verifies_a_run_and_the_proof_shows_the_finding(
        self, web: Web, flow_run: Path, web_database: Database
    ) -> None:
        damage(flow_run, "UPDATE receipt SET data=x'00' WHERE first=4")
        client = web("operator")
        answer = client.submit(f"/flows/{RUN}/0/verify")
        assert answer.status_code == 303
        wait_for_actions(flow_run)
        assert "exit code 1" in client.get(answer.headers["location"]).text
        proof = client.get(f"/flows/{RUN}/0/proof").text
        assert "the row of receipts is damaged" in proof
        assert f'href="/flows/{RUN}/0/chunks/4"' in proof
        assert ("flow_verify", "operator", f"run {RUN}, step 0") in audited(web_database)

    @pytest.mark.usefixtures("flow_run")
    @pytest.mark.parametrize("action", ["resume", "redrive"])
    def test_an_action_that_cannot_work_is_refused_with_a_sentence(
        self, web: Web, action: str, web_database: Database
    ) -> None:
        answer = web("operator").submit(f"/flows/{RUN}/0/{action}")
        assert answer.status_code == 409
        assert ("nothing to resume" if action == "resume" else "elastic dead-letters redrive") in answer.text
        assert not [event for event, _, _ in audited(web_database) if event.startswith("flow_")]

    @pytest.mark.usefixtures("flow_run")
    def test_without_a_verification_the_proof_says_what_one_does(self, web: Web) -> None:
        assert "Not verified yet" in text_of(web, f"/flows/{RUN}/0/proof")
        text_of(web, f"/flows/{RUN}/0/actions/20261130T120000-verify-000000", 404)

    @pytest.mark.parametrize("output", [b"", b"[]", b"{", b'{"steps": 1, "findings": {"a": 1}}', b"[" * 100_000])
    def test_a_changed_output_of_a_verification_breaks_no_page(self, web: Web, flow_run: Path, output: bytes) -> None:
        store_action(flow_run, owner="<b>", output=output, log=b"\x1b[31m<b>\xff")
        for address in (f"/flows/{RUN}/0/proof", f"/flows/{RUN}/0", f"/flows/{RUN}/0/actions/{ACTION}"):
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
    assert "None left: 1 dead letter was redriven." in page
    assert ("flow_redrive", "operator", f"run {result.run_id}, step 0") in audited(web_database)


def wait_for_actions(folder: Path) -> None:
    """Wait for the end of the actions of a run: their processes hold locks until then."""
    for lock in (folder / "actions").glob("*.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)


def audited(database: Database) -> list[tuple[str, str, str]]:
    statement = select(log.c.event, log.c.owner, log.c.detail)
    rows = database.query(lambda connection: connection.execute(statement).all())
    return [(row.event, row.owner, row.detail) for row in rows]
