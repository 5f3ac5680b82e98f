"""Pictures of the pages for the documentation: a shop whose DAG has run for some days, served by `elastic standalone`.

`python -m tests.web.pictures docs/images` takes them again.
"""

import argparse
import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from elastic.db.database import Database
from elastic.db.schema import dag_run
from tests.command_process import until

#: File names of the pictures.
NAMES = ("home.png", "grid.png", "task.png", "chunks.png", "entry.png")

_WIDTH, _HEIGHT = 1280, 800

#: Milliseconds after which a page has drawn its canvas and shows that it is live.
_SETTLING_MS = 500

_URL = re.compile(r"http://[\d.]+:\d+")

_COMMAND = (sys.executable, "-m", "elastic")

_DAG_FILE = '''"""Sales of each day, by country."""

import datetime as dt

import elastic
from elastic import DAG
from elastic.dag import TaskGroup
from elastic.operators import FlowOperator, task

BAD_DAY = "{bad_day}"


def cents(price):
    return int(price)


def sales_in(country):
    """Return the function that makes the flow of a day."""

    def sales(ds):
        is_bad = ds == BAD_DAY and country == "FR"
        numbers = elastic.from_range(24_000, chunk_size=100)
        prices = numbers.map(lambda n: "30 EUR" if is_bad and n % 4001 == 7 else str(n % 90))
        return prices.map(cents).aggregate("sum")

    return sales


@task
def open_day(ds):
    print("the shop opens on", ds)


@task
def report(ds):
    print("all sales are counted on", ds)


with DAG("daily_sales", schedule="@daily", start_date=dt.datetime({year}, {month}, {day}), tags=["shop"]) as dag:
    with TaskGroup("load") as load:
        for country in ("AT", "CH", "FR", "IT"):
            options = {{"cluster": "inline", "on_error": "dead-letter", "max_errors": 2}}
            FlowOperator(task_id=country, flow=sales_in(country), options=options)
    open_day() >> load >> report()
'''


def take(folder: Path, browser: Any, *, days: int = 14) -> None:
    """Write the pictures to a folder.

    Args:
        folder: Existing folder.
        browser: Browser of Playwright.
        days: Number of days of which the service shows runs.
    """
    with tempfile.TemporaryDirectory(prefix="shop-") as home:
        today = dt.datetime.now(dt.UTC).date()
        first, bad = today - dt.timedelta(days=days), today - dt.timedelta(days=2)
        dags = Path(home, "dags")
        dags.mkdir()
        text = _DAG_FILE.format(bad_day=bad, year=first.year, month=first.month, day=first.day)
        (dags / "daily_sales.py").write_text(text)
        _elastic(Path(home), "dags", "init")
        with _service(Path(home), days) as url:
            password = Path(home, "admin-password").read_text().strip()
            _photograph(url, password, folder, browser)


@contextmanager
def _service(home: Path, days: int) -> Iterator[str]:
    """Run `elastic standalone` in a home, and yield its address once the runs of all days have ended."""
    path, command = home / "output", [*_COMMAND, "standalone", "-p", "0"]
    with path.open("w") as output:
        service = subprocess.Popen(command, env=_environment(home), stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            until(lambda: _URL.search(path.read_text()) is not None, service)
            until(lambda: _ended_runs(home) >= days, service)
            yield _URL.findall(path.read_text())[0]
        finally:
            service.terminate()
            service.wait(60)


def _elastic(home: Path, *arguments: str) -> None:
    subprocess.run([*_COMMAND, *arguments], env=_environment(home), stdout=subprocess.DEVNULL, check=True)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ELASTIC")}
    return {**kept, "ELASTIC_HOME": str(home)}


def _ended_runs(home: Path) -> int:
    ended = select(func.count()).where(dag_run.c.ended_at.is_not(None), dag_run.c.dag_id == "daily_sales")
    database = Database(f"sqlite:///{home}/elastic.db")
    try:
        return int(database.query(lambda connection: connection.execute(ended).scalar_one()))
    finally:
        database.close()


def _photograph(url: str, password: str, folder: Path, browser: Any) -> None:
    page = browser.new_page(base_url=url, viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
    page.goto("/login")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.click("button:has-text('Log in')")

    def shoot(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(_SETTLING_MS)
        bottom = page.evaluate("Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)")
        page.screenshot(path=folder / name, clip={"x": 0, "y": 0, "width": _WIDTH, "height": min(bottom, _HEIGHT)})

    page.goto("/")
    shoot("home.png")
    page.goto("/dags/daily_sales")
    shoot("grid.png")
    page.goto("/browse/instances?state=failed")
    page.click("table a:has-text('load.FR')")
    shoot("task.png")
    page.click("a:has-text('Flow:')")
    shoot("chunks.png")
    page.click("a:text-is('Open')")
    shoot("entry.png")
    page.close()


def main() -> None:
    """Take the pictures with the browser of this machine."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description="Take the pictures of the documentation again.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take(folder, browser)
        browser.close()


if __name__ == "__main__":
    main()
