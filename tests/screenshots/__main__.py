"""Takes the pictures of the dashboard in docs/dashboard: healthy and broken, light and dark, wide and narrow.

It starts a local stack of its own, lets a shop be busy while the schedules run, takes the healthy pictures, breaks what
can break, and takes the others. Minutes; nothing is left but the pictures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from lambda_toolkit.pipeline.local_stack import stack as embedded
from tests.support import browser as chromium
from tests.support.command_line import CommandLine, copy_of_the_repository
from tests.support.repository import REPOSITORY

PICTURES = REPOSITORY / "docs" / "dashboard"
ORDERS = "4000"
SPEED = 6  # times as fast as the schedules say: a minute is ten seconds
BUSY = 2.5  # minutes of simulated activity
RATE = "60"  # events a minute
HEIGHT = {"wide": 1150, "narrow": 1500}  # pixels of a picture at most
CHANGED_MOST = """
    SELECT sales_order_id FROM fact_sales_order GROUP BY 1 ORDER BY count(*) DESC, max(sales_record_id) DESC LIMIT 1
"""


def main() -> int:
    """Take them all. Returns 0."""
    executable = chromium.find_chromium()
    if executable is None:
        print("There is no Chromium: make browser", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="lambda-script-"))
    line = CommandLine(copy_of_the_repository(folder))
    shutil.copy(REPOSITORY / "deploy.py", folder)
    (folder / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs" / "questions.sql", folder / "docs")
    try:
        _run(line, "local", "up", "--orders", ORDERS)
        embedded.set_clock_speed(line.stack, SPEED)
        _run(line, "run")
        _run(line, "local", "simulate", "--rate", RATE, "--minutes", str(BUSY))
        _run(line, "run")
        with serving(line) as address, chromium.started(executable) as browser:
            take = _taker(browser, address)
            _healthy(take, line)
            _break(line)
            _broken(take)
    finally:
        embedded.down(folder, wipe=True)
        shutil.rmtree(folder, ignore_errors=True)
    for file in sorted(PICTURES.glob("*.png")):
        print(f"{file.relative_to(REPOSITORY)}: {file.stat().st_size // 1024} KB")
    return 0


def _run(line: CommandLine, *arguments: str) -> None:
    result = line(*arguments)
    assert result.exit_code == 0, result.output


@contextmanager
def serving(line: CommandLine) -> Iterator[str]:
    """The address of a dashboard whose commands are those that one types in a checkout."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["python", "deploy.py", "dashboard", "--json", "--every", "1"]
    with subprocess.Popen(
        command, cwd=line.root, stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": path}
    ) as server:
        assert server.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            text += server.stdout.readline()
        try:
            yield json.loads(text)["url"]
        finally:
            server.terminate()


Take = Callable[..., None]


def _taker(browser: Any, address: str) -> Take:
    def take(name: str, path: str, *, dark: bool = False, narrow: bool = False, at: str | None = None) -> None:
        context, seen = chromium.opened(browser, dark=dark, narrow=narrow)
        page = seen.page
        page.goto(f"{address}{path}")
        page.locator("[data-live=on]").wait_for()
        page.wait_for_timeout(1_500)
        if at:
            page.locator(at).evaluate("it => scrollTo(0, it.getBoundingClientRect().top + scrollY - 80)")
            page.screenshot(path=PICTURES / f"{name}.png")
        else:
            width, limit = page.viewport_size["width"], HEIGHT["narrow" if narrow else "wide"]
            height = min(limit, page.evaluate("document.documentElement.scrollHeight"))
            page.screenshot(
                path=PICTURES / f"{name}.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": width, "height": height},
            )
        context.close()

    return take


def _healthy(take: Take, line: CommandLine) -> None:
    connection = line.stack.warehouse.connect()
    [[order]] = connection.run(CHANGED_MOST)
    connection.close()
    evolved = f"warehouse?table=fact_sales_order&key={order}"
    take("health", "")
    take("pipeline", "pipeline")
    take("warehouse", evolved)
    take("history", evolved, at="#history")
    take("deploy", "deploy")
    take("pipeline-dark", "pipeline", dark=True)
    take("warehouse-dark", evolved, dark=True)
    take("health-narrow", "", narrow=True)
    take("pipeline-narrow", "pipeline", dark=True, narrow=True)


def _break(line: CommandLine) -> None:
    """A row that cannot be converted, a view that is dropped, a setting that is changed, a load that cannot log in."""
    stack = line.stack
    source, warehouse = stack.source_admin.connect(), stack.warehouse.connect()
    source.run("UPDATE payment SET payment_date = 'soon' WHERE payment_id IN (2, 3)")
    warehouse.run("DROP VIEW current_dim_design")
    source.close()
    warehouse.close()

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=stack.aws_endpoint_url,
            region_name=stack.region,
            aws_access_key_id=stack.access_key_id,
            aws_secret_access_key=stack.secret_access_key,
        )

    _run(line, "run")
    client("lambda").update_function_configuration(FunctionName="totes-local-extract", MemorySize=512)
    secrets, name = client("secretsmanager"), "totes/local/source"
    stored = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps({**stored, "password": "changed"}))
    line("run")  # fails
    deadline = time.monotonic() + 90
    alarms = client("cloudwatch")
    while time.monotonic() < deadline:
        raised = alarms.describe_alarms(StateValue="ALARM")["MetricAlarms"]
        if any(alarm["AlarmName"].endswith("extract-errors") for alarm in raised):
            return
        time.sleep(1)


def _broken(take: Take) -> None:
    take("broken", "")
    take("broken-dark", "", dark=True)
    take("broken-narrow", "", narrow=True)
    take("broken-deploy", "deploy")


if __name__ == "__main__":
    sys.exit(main())
