"""The dashboard in a headless Chromium, on the local stack: what it shows, how it follows, and what it never does."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.support import browser as chromium
from tests.support.command_line import CommandLine
from tests.support.repository import REPOSITORY

PAGES = ("", "pipeline", "warehouse", "deploy")
LIVE = 5_000  # milliseconds within which a page shows a batch
NOTICED = 90_000  # and what is read less often: each read takes a fifth of the time at most, also on a busy machine
MOST = 500_000  # bytes of a page on the wire, with all that it loads


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = chromium.find_chromium()
    if executable is None:
        reason = "this machine has no Chromium: `make browser` installs it"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with chromium.started(executable) as running:
        yield running


@pytest.fixture(scope="module")
def address(cli: CommandLine) -> Iterator[str]:
    """The address of a dashboard of the stack, with the questions of this repository."""
    (cli.root / "docs").mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "docs" / "questions.sql", cli.root / "docs")
    config = ["--config", str(cli.root / "config" / cli.file)]
    command = [sys.executable, str(REPOSITORY / "deploy.py"), "dashboard", "--json", "--every", "1", *config]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SOURCE_", "WAREH"))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as server:
        assert server.stdout is not None and server.stderr is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = server.stdout.readline()
            assert line, server.stderr.read()
            text += line
        try:
            yield json.loads(text)["url"]
        finally:
            server.terminate()
            _, errors = server.communicate(timeout=20)
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def batch(cli: CommandLine) -> int:
    """The number of a batch with known changes: one payment paid, one order with another price, in the warehouse."""
    assert cli("run").exit_code == 0
    connection = cli.stack.source_admin.connect()
    try:
        connection.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 11")
        connection.run("UPDATE sales_order SET unit_price = unit_price + 1 WHERE sales_order_id = 12")
    finally:
        connection.close()
    return int(cli.document("run")["batch"])


@pytest.fixture
def see(browser: Any, address: str) -> Callable[..., Any]:
    """Opens a page, `see("pipeline", dark=True)`; afterwards nothing on its console, nothing from elsewhere."""
    contexts = []

    def open_page(path: str, **how: Any) -> chromium.Seen:
        context, seen = chromium.opened(browser, **how)
        contexts.append((context, seen))
        seen.page.goto(urljoin(address, path))
        return seen

    yield open_page
    for context, seen in contexts:
        context.close()
        assert seen.errors == []
        assert {urlsplit(url).netloc for url in seen.requests} == {urlsplit(address).netloc}


def rows_of(page: Any, section: str) -> list[list[str]]:
    """The cells of the first table in a section."""
    found = page.locator(f"#{section} table").first.locator("tbody tr").all()
    return [[" ".join(cell.split()) for cell in row.locator("th, td").all_inner_texts()] for row in found]


def get(address: str, path: str = "", method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """One request to the server of `address`."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    try:
        connection.request(method, f"{place.path}{path}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def changed(sql: Callable[..., Any], database: Any, do: str, undo: str) -> Iterator[None]:
    sql(database, do)
    try:
        yield
    finally:
        sql(database, undo)


def test_numbers_are_those_of_a_known_batch(see, batch, cli, sql):
    page = see(f"pipeline?batch={batch}").page
    [row] = [row for row in rows_of(page, "batches") if row[0] == str(batch)]
    assert row[5:7] == ["2", "2"] and "loaded" in row[1], "two changed rows, two versions"
    one = page.locator("#batch").inner_text()
    assert "payment 1" in one and "fact_sales_order 1" in one and f"batch={batch}" in one, "its log lines"
    tables = {row[0]: row[2:] for row in rows_of(page, "tables")}
    for table, key in (("fact_payment", "payment_id"), ("fact_sales_order", "sales_order_id")):
        [[versions, keys]] = sql(cli.stack.warehouse, f"SELECT count(*), count(DISTINCT {key}) FROM {table}")
        [[deleted]] = sql(
            cli.stack.warehouse,
            "SELECT count(*) FROM pipeline.deletion WHERE table_name = :table AND undeleted_batch IS NULL",
            table=table,
        )
        assert tables[table] == [f"{keys - deleted:,}", f"{versions:,}"]
    assert page.locator("#latency details tbody th").last.text_content() == str(batch)

    page.goto(page.url.replace(f"pipeline?batch={batch}", "warehouse?table=fact_payment&key=11"))
    marked = [text.strip() for text in page.locator("#history mark").all_inner_texts()]
    assert len(marked) >= 1 and re.search("yes|no", marked[-1])
    units = page.locator("#question-7 details tbody tr").first
    page.locator("#question-7 summary").first.click()
    [[monday]] = sql(
        cli.stack.warehouse,
        "SELECT count(*) FROM current_fact_sales_order WHERE extract(isodow FROM created_date) = 1",
    )
    assert units.inner_text().split() == ["Monday", f"{monday:,}"]


def test_documents_are_those_of_the_commands(address, batch, cli):
    def shown(path: str) -> dict[str, Any]:
        return dict(json.loads(get(address, path)[1]))

    assert shown("deploy?format=json")["plan"] == cli.document("plan")
    read, printed = shown("?format=json")["status"], cli.state()
    assert read.keys() == printed.keys() and read["batches"] == printed["batches"]
    assert [(each["name"], each["version"]) for each in read["functions"]] == [
        (each["name"], each["version"]) for each in printed["functions"]
    ]
    batches = shown("pipeline?format=json")["batches"]["batches"]
    assert batches[: len(batches)] == cli.document("batches", "--limit", "40")["batches"][: len(batches)]


def test_page_follows_what_happens(see, batch, cli):
    """Within 5 s of its load, without a reload: focus and what is unfolded stay."""
    page = see("pipeline").page
    page.evaluate("window.still = true")
    page.locator("#latency summary").click()
    page.locator(f"#batch-{batch} a").focus()
    assert cli("local", "simulate", "--rate", "600", "--minutes", "0.03").exit_code == 0
    number = cli.document("run")["batch"] or cli.state()["batches"]["loaded"]
    page.wait_for_function(
        "number => document.querySelector(`#batch-${number} .state`)?.textContent.includes('loaded')",
        arg=number,
        timeout=LIVE * max(1, os.getloadavg()[0] / (os.cpu_count() or 1)),  # where others wait for the processors, too
    )
    assert page.evaluate("window.still") and page.locator("#latency details[open]").count() == 1
    assert page.evaluate("document.activeElement.textContent") == str(batch)
    assert page.locator("#latency details tbody th").last.inner_text() == str(number)
    assert "Live" in page.locator("#live").inner_text()


def test_failure_is_shown_with_the_command_that_helps(see, batch, cli, sql):
    page = see("").page
    problem = page.locator("#problems")
    warehouse = cli.stack.warehouse
    [[definition]] = sql(warehouse, "SELECT pg_get_viewdef('current_dim_design')")
    assert "current_dim_design" not in problem.inner_text()
    with changed(sql, warehouse, "DROP VIEW current_dim_design", f"CREATE VIEW current_dim_design AS {definition}"):
        problem.get_by_text("no current_dim_design").wait_for(timeout=NOTICED)
        assert "prepare --config" in problem.inner_text()
    problem.get_by_text("no current_dim_design").wait_for(state="detached", timeout=NOTICED)


def test_page_without_the_warehouse_says_so_and_shows_the_rest(see, batch, cli):
    """Its server refuses connections: what comes from S3 and CloudWatch is there."""
    database = cli.stack.warehouse
    connection = database.connect()
    page = see("pipeline").page
    connection.run(f'ALTER DATABASE "{database.database}" CONNECTION LIMIT 0')
    try:
        page.locator("#batches .failure").wait_for(timeout=NOTICED)
        assert "no connection left" in page.locator("#batches .failure").inner_text()
        assert rows_of(page, "batches")[0][0].isdecimal(), "from the lake"
        page.goto(page.url.replace("pipeline", ""))
        page.get_by_text("logs load").first.wait_for(timeout=NOTICED)
        assert "Unknown" in page.locator("#verdict").inner_text()
        assert len(rows_of(page, "alarms")) > 5
    finally:
        connection.run(f'ALTER DATABASE "{database.database}" CONNECTION LIMIT -1')
        connection.close()
    page.get_by_text("The warehouse does not answer").wait_for(state="detached", timeout=NOTICED)


@pytest.mark.parametrize("how", [{}, {"dark": True, "narrow": True}], ids=["light and wide", "dark and narrow"])
def test_pages_are_accessible_and_small(see, batch, how):
    """No violation that axe-core knows, no scrolling sideways in 360 pixels, and less on the wire than allowed."""
    for path in ("pipeline?batch=1", "warehouse") if how else ("", "pipeline?batch=1", "warehouse", "deploy"):
        seen = see(path, **how)
        seen.page.locator("[data-live=on]").wait_for()
        seen.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert chromium.violations(seen.page) == []
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert 1_000 < sum(seen.received) < MOST / 4, path


def test_page_works_without_scripts_and_by_keyboard(see, batch, cli):
    page = see("", scripts=False).page
    assert page.locator("#verdict .word").inner_text().strip()
    for name in ("Pipeline", "Warehouse", "Deploy"):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        assert page.get_by_role("heading", level=1).inner_text() == name
        assert page.get_by_role("link", name=name).get_attribute("aria-current") == "page"
    page.goto(page.url.replace("deploy", "pipeline"))
    assert page.locator("#durations svg[role=img]").first.is_visible()
    page.locator(f"#batch-{batch} a").click()
    page.wait_for_load_state()  # count() does not wait
    assert page.locator("#batch .log tbody tr").count() > 2
    page.goto(page.url.partition("pipeline")[0] + "warehouse")
    page.locator("select").select_option("fact_sales_order")
    page.locator("input[name=key]").fill("12")
    page.keyboard.press("Enter")
    page.locator("#history mark").first.wait_for()
    assert "fact_sales_order 12" in page.locator("#history caption").inner_text()

    page = see("").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_requests_of_others_are_refused(address):
    port = urlsplit(address).port
    for host in ("rebound.example.com", f"rebound.example.com:{port}", "127.0.0.1"):
        status, body = get(address, Host=host)
        assert status == 421 and b"totes" not in body
    assert get(f"http://127.0.0.1:{port}/")[0] == 403
    assert get(address, method="POST")[0] == 405
    assert get(address)[0] == 200


def test_no_get_changes_anything(address, batch, cli, aws, sql):
    """Every link of every page is followed, by an address with whatever parameters."""

    def state() -> Any:
        s3, lambdas = aws(cli, "s3"), aws(cli, "lambda")
        buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        functions = lambdas.list_functions()["Functions"]
        return (
            [
                entry["Key"]
                for name in buckets
                for entry in s3.list_objects_v2(Bucket=name).get("Contents", ())
                if not entry["Key"].startswith("incidents/")  # of alarms, whoever looks
            ],
            sorted((each["FunctionName"], each["LastModified"], each["CodeSha256"]) for each in functions),
            sql(cli.stack.warehouse, "SELECT batch, loaded_at FROM pipeline.ledger ORDER BY 1"),
            sql(cli.stack.warehouse, "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"),
        )

    before, followed = state(), set()
    odd = (
        "warehouse?table=fact_payment&key=1'; DROP TABLE fact_payment; --",
        "warehouse?key=%00",
        "pipeline?batch=9e9",
    )
    ahead = [*PAGES, *(path.replace(" ", "%20") for path in odd)]
    while ahead:
        path = ahead.pop()
        followed.add(path)
        status, body = get(address, path)
        assert status == 200, (path, body)
        links = re.findall(r'(?:href|src)="([^"#]+)', body.decode())
        found = {urljoin(urljoin(address, path), link.replace("&amp;", "&")).removeprefix(address) for link in links}
        ahead += [link for link in found if link not in followed and link not in ahead and len(followed) < 30]
    assert len(followed) > 12 and not [path for path in followed if path.startswith("http")]
    time.sleep(0.6)  # the server's statistics are collected after a transaction
    assert state() == before
