"""The walk of one changed row through the functions, as `docs/architecture.md` has it: the files that run for it."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

from lambda_toolkit.pipeline.lambdas.extract.handler import lambda_handler as extract
from lambda_toolkit.pipeline.lambdas.load.handler import lambda_handler as load
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler as transform
from tests.support.pipeline import Pipeline
from tests.support.repository import REPOSITORY

CONTEXT = SimpleNamespace(function_name="totes-test", function_version="1", aws_request_id="r-1")
FOLDER = "/pipeline/lambdas/"
OFF_BY_DEFAULT = (
    r"duckdb|extract/readers/|/(workers|spark|fan_out|invoking)\.py|parallel_|freshness|transform/expressions/"
)
"""Modules of what is declared only where it is needed: nothing of them runs to find out that it is not declared."""


@contextmanager
def files_that_run() -> Iterator[set[str]]:
    """The files in `lambdas/` of which a function runs within the block; importing a file does not count."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and FOLDER in code.co_filename:
            found.add(code.co_filename.partition(FOLDER)[2])

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def one_batch(batch: int) -> None:
    assert extract({}, CONTEXT)["batch"] == batch
    key = f"manifests/batch-{batch:012d}.json"
    event = {"Records": [{"s3": {"bucket": {"name": "ingestion"}, "object": {"key": quote_plus(key)}}}]}
    assert transform(event, CONTEXT)["batches"] == [batch]
    assert load({}, CONTEXT)["loaded"] == [batch]


def test_walk_of_one_changed_row_is_as_documented(deployed: Pipeline, log: object) -> None:
    """Where this fails: correct the walk, and ask whether the row needs to pass through the module that is new."""
    one_batch(1)
    deployed.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 2")
    with files_that_run() as found:
        one_batch(2)
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## One changed row\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`lambdas/([\w/]+\.py)`", section))
    assert len(named) > 25
    assert sorted(named - found) == [], "the walk names files in which nothing runs"
    assert sorted(name for name in found if re.search(OFF_BY_DEFAULT, name)) == []
    rooms = Counter(name.partition("/")[0] for name in found)
    counted = {room: int(number) for room, number in re.findall(r"\| `lambdas/(\w+)` \| (\d+) \|", section)}
    assert {room for room, number in rooms.items() if number > counted[room]} == set(), rooms
