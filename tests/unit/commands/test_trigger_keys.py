"""The keys of triggers and of the URL become what Lambda_script declares; the local stack uses none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lambda_script import Cors, EventTrigger, FunctionUrl, QueueTrigger, StreamTrigger
from lambda_toolkit.pipeline.client.target import without_network
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.schema.reference import SCHEMA_PATH, json_schema
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

ACCOUNT = "123456789012"
ALL = """
queue_trigger = { queue = "{name}-{stage}-orders", batch_size = 5, filters = [{ body = { kind = ["new"] } }] }
stream_trigger = [{ stream = "clicks", bisect = true }, { table = "orders", on_failure = "arn:aws:s3:::{name}-failed" }]
event_trigger = { pattern = { source = ["shop"], detail-type = ["placed"] }, bus = "{name}" }
url = { auth = "NONE", cors = { origins = ["https://example.com"], max_age = 60 } }
"""


def written(tmp_path: Path, more: str) -> Path:
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir(exist_ok=True)
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    path.write_text(text.replace("[functions.notifier]", f"[functions.notifier]{more}", 1), encoding="utf-8")
    return path


def test_triggers_and_url_are_read(tmp_path: Path) -> None:
    declared = load(written(tmp_path, ALL), "dev")
    spec = function_spec(declared, declared.functions["notifier"], ACCOUNT)
    [queue] = spec.queue_triggers or ()
    assert queue == QueueTrigger("totes-dev-orders", 5, filters=({"body": {"kind": ["new"]}},))
    kinesis = StreamTrigger("clicks", bisect=True)
    assert spec.stream_triggers == (kinesis, StreamTrigger(table="orders", on_failure="arn:aws:s3:::totes-failed"))
    assert spec.event_triggers == (EventTrigger({"source": ["shop"], "detail-type": ["placed"]}, bus="totes"),)
    assert spec.url == FunctionUrl("NONE", Cors(("https://example.com",), max_age=60))
    local = without_network(declared).functions["notifier"].spec
    assert (local.queue_triggers, local.stream_triggers, local.event_triggers, local.url) == (None,) * 4


LEAST = """
queue_trigger = { queue = "orders" }
stream_trigger = { table = "orders" }
event_trigger = { pattern = { source = ["shop"] } }
url = { auth = "NONE" }
"""
MOST = """
queue_trigger = { queue = "orders", batch_size = 7, batching_window = 8, filters = [{ body = { a = ["b"] } }],
    report_failures = true, maximum_concurrency = 9, enabled = false }
stream_trigger = { stream = "clicks", starting_position = "AT_TIMESTAMP", starting_timestamp = "2026-11-01T00:00:00Z",
    batch_size = 7, batching_window = 8, filters = [{ data = { a = ["b"] } }], report_failures = true,
    on_failure = "arn:aws:s3:::failed", parallelization_factor = 3, bisect = true, retries = 4, max_record_age = 600,
    enabled = false }
event_trigger = { pattern = { source = ["shop"] }, name = "placed", bus = "shop", enabled = false }
url = { auth = "AWS_IAM", invoke_mode = "RESPONSE_STREAM", cors = { origins = ["https://example.com"],
    methods = ["GET"], headers = ["X-Key"], exposed_headers = ["Date"], credentials = true, max_age = 60 } }
"""


@pytest.mark.parametrize(
    ("more", "queue", "stream", "event", "url"),
    [
        (
            LEAST,
            QueueTrigger("orders"),
            StreamTrigger(table="orders"),
            EventTrigger({"source": ["shop"]}),
            FunctionUrl("NONE"),
        ),
        (
            MOST.replace("\n    ", " "),
            QueueTrigger("orders", 7, 8, ({"body": {"a": ["b"]}},), True, 9, False),
            StreamTrigger(
                "clicks",
                starting_position="AT_TIMESTAMP",
                starting_timestamp="2026-11-01T00:00:00Z",
                batch_size=7,
                batching_window=8,
                filters=({"data": {"a": ["b"]}},),
                report_failures=True,
                on_failure="arn:aws:s3:::failed",
                parallelization_factor=3,
                bisect=True,
                retries=4,
                max_record_age=600,
                enabled=False,
            ),
            EventTrigger({"source": ["shop"]}, name="placed", bus="shop", enabled=False),
            FunctionUrl(
                "AWS_IAM", Cors(("https://example.com",), ("GET",), ("X-Key",), ("Date",), True, 60), "RESPONSE_STREAM"
            ),
        ),
    ],
    ids=["defaults", "every key"],
)
def test_each_key_of_a_trigger_is_read(tmp_path: Path, more, queue, stream, event, url) -> None:
    """Without a key, what Lambda_script has by default; and the file that editors complete by has the same keys."""
    spec = load(written(tmp_path, more), "dev").functions["notifier"].spec
    assert (spec.queue_triggers, spec.stream_triggers) == ((queue,), (stream,))
    assert (spec.event_triggers, spec.url) == ((event,), url)
    functions = json_schema()["properties"]["functions"]["additionalProperties"]["properties"]
    written_down = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))["properties"]["functions"]
    assert functions == written_down["additionalProperties"]["properties"]


@pytest.mark.parametrize("auth", ["", "NONE"])
def test_url_of_every_choice_is_taken(tmp_path: Path, auth: str) -> None:
    spec = load(written(tmp_path, f"\nurl = {{ auth = '{auth}' }}\n"), "dev").functions["notifier"].spec
    assert spec.url == (FunctionUrl("NONE") if auth else "")


def test_absent_triggers_are_not_managed_and_empty_ones_removed(tmp_path: Path) -> None:
    spec = load(DEFAULT_PATH, "dev").functions["notifier"].spec
    assert (spec.queue_triggers, spec.stream_triggers, spec.event_triggers, spec.url) == (None,) * 4
    empty = "\nqueue_trigger = []\nstream_trigger = []\nevent_trigger = []\nurl = {}\n"
    spec = load(written(tmp_path, empty), "dev").functions["notifier"].spec
    assert (spec.queue_triggers, spec.stream_triggers, spec.event_triggers, spec.url) == ((), (), (), "")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("queue_trigger = { queue = 'orders', batch = 5 }", "unknown key `batch`"),
        ("queue_trigger = { queue = 'orders', filters = ['new'] }", "`filters` must be a list of tables with any keys"),
        ("queue_trigger = { queue = 'orders', batch_size = 20 }", "needs a batching_window of 1 second or more"),
        ("stream_trigger = { stream = 'a', table = 'bcd' }", "either `stream`, a stream of Kinesis, or `table`"),
        ("event_trigger = { pattern = { source = 'shop' } }", "`source` must be a list of values"),
        ("url = { auth = 'PUBLIC' }", "`auth` must be one of AWS_IAM, NONE"),
        ("url = { auth = 'NONE', cors = { origins = ['example.com'] } }", "is no origin"),
    ],
)
def test_trigger_that_is_wrong_is_reported_with_its_place(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load(written(tmp_path, f"\n{more}\n"), "dev")
