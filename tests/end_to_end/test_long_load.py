"""A load that takes long, as one of ten minutes does: what goes on meanwhile, with and without reserved concurrency.

A trigger of the warehouse makes it wait in its transaction until the test lets it go on.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws import client as toolkit
from lambda_toolkit.aws.client import Clock
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.local_stack.independent_check import check
from tests.support.account import eventually
from tests.support.command_line import CommandLine

LOAD = "totes-local-load"
SLOW = 120.0  # seconds for what has begun, on a busy machine
HURRY = 20.0  # how many times faster the clock of the commands is: they repeat a throttled call for a minute
TO_WAIT = (
    "CREATE TABLE public.waits ()",
    """CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        WHILE EXISTS (SELECT FROM public.waits) LOOP PERFORM pg_sleep(0.1); END LOOP;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER wait BEFORE INSERT ON public.fact_sales_order EXECUTE FUNCTION public.wait()",
)
TO_CLEAN_UP = ("DROP FUNCTION public.wait() CASCADE", "DROP TABLE public.waits")
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
ORDER = "UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id = 7"
VERSIONS = "SELECT count(*) FROM fact_sales_order WHERE sales_order_id = 7"
EDITION = "the second edition"


class LongLoad:
    """A load of one changed order, started as its schedule starts it."""

    def __init__(self, line: CommandLine, aws: Any, sql: Callable[..., Any]) -> None:
        self._line, self._aws, self._sql = line, aws, sql
        for statement in TO_WAIT:
            sql(line.stack.warehouse, statement)

    def begin(self) -> int:
        """Return its batch once it is in its transaction."""
        self._sql(self._line.stack.source_admin, ORDER)
        batch = int(self._line.document("invoke", "extract")["result"]["batch"])
        place = {"Bucket": f"totes-local-processed-{self._line.stack.account_id}", "Prefix": manifest_key(batch)[:-5]}
        eventually(lambda: self._aws(self._line, "s3").list_objects_v2(**place)["KeyCount"], SLOW)
        self._sql(self._line.stack.warehouse, "INSERT INTO public.waits DEFAULT VALUES")
        self._aws(self._line, "lambda").invoke(FunctionName=f"{LOAD}:live", InvocationType="Event", Payload=b"{}")
        eventually(self.is_running, SLOW)
        return batch

    def is_running(self) -> bool:
        return bool(self._sql(self._line.stack.warehouse, WAITS) == [[1]])

    def go_on(self) -> None:
        self._sql(self._line.stack.warehouse, "DELETE FROM public.waits")

    def clean_up(self) -> None:
        self.go_on()
        for statement in TO_CLEAN_UP:
            self._sql(self._line.stack.warehouse, statement)


@pytest.fixture
def load(filled: CommandLine, aws: Any, sql: Callable[..., Any]) -> Iterator[LongLoad]:
    made = LongLoad(filled, aws, sql)
    yield made
    made.clean_up()


@pytest.fixture
def pipeline(filled: CommandLine) -> Iterator[Callable[[int | None], CommandLine]]:
    """The pipeline with so much concurrency reserved for load; afterwards the code and all else are as before."""
    handler = filled.root / "lambdas" / "load" / "handler.py"
    code, config = handler.read_text(encoding="utf-8"), filled.root / "config"
    text = (config / "pipeline.toml").read_text(encoding="utf-8")
    local = "[stages.local.functions]"

    def reserved(number: int | None) -> CommandLine:
        value = '"unreserved"' if number is None else number
        changed = text.replace(local, f"{local}\nload.concurrency = {value}")
        (config / "reserved.toml").write_text(changed, encoding="utf-8")
        line = dataclasses.replace(filled, file="reserved.toml")
        assert line("deploy").exit_code == 0
        return line

    yield reserved
    handler.write_text(code, encoding="utf-8")
    reserved(None)
    (config / "reserved.toml").unlink()


def change_code(line: CommandLine) -> None:
    """From now on load says which edition it is."""
    handler = line.root / "lambdas" / "load" / "handler.py"
    code = handler.read_text(encoding="utf-8")
    begin = "    request = load_request(event)\n"
    assert code.count(begin) == 1
    handler.write_text(code.replace(begin, f'    logger.info("{EDITION}")\n{begin}'), encoding="utf-8")


def live_version(line: CommandLine, aws: Any) -> str:
    return str(aws(line, "lambda").get_alias(FunctionName=LOAD, Name="live")["FunctionVersion"])


def runs_of(line: CommandLine, aws: Any, batch: int) -> list[tuple[str, bool]]:
    """The runs that loaded ``batch``: the version, and whether its code is of the second edition."""
    pages = aws(line, "logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{LOAD}")
    lines = [item["message"] for page in pages for item in page["events"]]
    starts = [text.split() for text in lines if text.startswith("START ")]
    versions = {request: version for _, _, request, _, version in starts}
    found = [json.loads(text) for text in lines if text.startswith("{")]
    loading = {item["request_id"] for item in found if item.get("batches") == [batch]}
    second = {item["request_id"] for item in found if item["message"] == EDITION}
    return [(versions[request], request in second) for request in sorted(loading)]


def at(tmp_path: Path, action: str) -> tuple[str, ...]:
    """The arguments of ``invoke`` that ask load to do ``action``."""
    (tmp_path / f"{action}.json").write_text(json.dumps({"action": action}), encoding="utf-8")
    return ("invoke", "load", "--event", str(tmp_path / f"{action}.json"), "--json")


@pytest.mark.parametrize("reserved", [None, 1])
def test_long_load_ends_as_it_began_whatever_goes_on(
    pipeline, load, aws, sql, tmp_path: Path, monkeypatch, reserved: int | None
) -> None:
    """Status, a check and a deploy answer meanwhile; where one run at a time is reserved, why they must wait."""
    line = pipeline(reserved)
    quick = Clock(now=lambda: time.monotonic() * HURRY, sleep=lambda seconds: time.sleep(seconds / HURRY))
    monkeypatch.setattr(toolkit, "Clock", lambda: quick)
    warehouse, before = line.stack.warehouse, live_version(line, aws)
    [[versions]] = sql(warehouse, VERSIONS)
    batch = load.begin()
    change_code(line)
    status, checked, deployed = line.state(), line(*at(tmp_path, "check")), line("deploy")
    second = line(*at(tmp_path, "load"))
    assert load.is_running() and status["batches"]["transformed"] == batch
    if reserved == 1:
        assert status["freshness"]["loaded_unknown"] and "is throttled" in status["freshness"]["summary"]
        for result in (checked, deployed, second):
            assert result.exit_code == 1 and "hrottl" in result.output and "Traceback" not in result.output
        assert live_version(line, aws) == before, "what was not checked is not live"
    else:
        assert status["batches"]["loaded"] == batch - 1
        assert json.loads(checked.stdout)["result"] == {"checked": True}
        assert deployed.exit_code == 0 and live_version(line, aws) != before
        found = json.loads(second.stdout)["result"]
        assert (found["busy"], found["loaded"], found["last_batch"]) == (True, [], batch - 1)
    load.go_on()
    [run] = eventually(lambda: runs_of(line, aws, batch), SLOW)
    assert run == (before, False), "once, by the code of the version that began it"
    assert sql(warehouse, VERSIONS) == [[versions + 1]]
    assert line("deploy").exit_code == 0, "the same command, now that it may be checked"
    assert live_version(line, aws) != before and not line.document("plan")["changes"]
    assert check(line.stack.source, warehouse).agrees
