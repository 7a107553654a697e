"""What transform logs, counts and answers, of a batch that is written by hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import batch_folder, manifest_key, run_prefix
from lambda_toolkit.pipeline.lambdas.shared.logs import SUMMARY
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartResult
from lambda_toolkit.pipeline.lambdas.transform import handler, sweep
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler
from lambda_toolkit.pipeline.lambdas.transform.parts import PartTransform
from tests.support.function_logs import json_lines
from tests.support.written_batch import WrittenBatch, sales_and_shops

EVENT = {"action": "transform", "batch": 4}


class Deployed:
    """The function, the batch, and what was logged."""

    def __init__(self, batch: WrittenBatch) -> None:
        self.batch, self._log = batch, io.StringIO()
        self.write = lambda line: self._log.write(line + "\n")

    def __call__(self, event: Any, *seconds: float) -> dict[str, Any]:
        """``seconds``: that are left each time the function looks; the last of them from then on."""
        left = list(reversed(seconds or (900.0,)))
        context = SimpleNamespace(
            function_name="f",
            aws_request_id="r",
            get_remaining_time_in_millis=lambda: 1000 * (left.pop() if len(left) > 1 else left[0]),
        )
        self._log.seek(0), self._log.truncate()
        return lambda_handler(event, context)

    def lines(self, message: str) -> list[dict[str, Any]]:
        """What lines with this message say, beside what every line says."""
        common = ("timestamp", "level", "message", "request_id", "milliseconds", "memory_mb", "cold_start", "_aws")
        found = json_lines(self._log.getvalue())
        return [{k: v for k, v in line.items() if k not in common} for line in found if line["message"] == message]

    def levels(self, message: str) -> list[str]:
        return [line["level"] for line in json_lines(self._log.getvalue()) if line["message"] == message]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    batch = WrittenBatch()
    sales_and_shops(batch)
    batch.commit()
    found = Deployed(batch)
    monkeypatch.setattr(handler.runtime, "ingestion_lake", lambda: batch.ingestion)
    monkeypatch.setattr(handler.runtime, "processed_lake", lambda: batch.processed)
    monkeypatch.setattr(handler.declarations, "load", lambda: batch.declarations)
    monkeypatch.setattr(handler.logger, "write", found.write)
    monkeypatch.delenv("SWEEP_AFTER_DAYS", raising=False)
    monkeypatch.delenv("TRANSFORM_WORKERS", raising=False)
    yield found


def test_tables_are_logged_by_the_run_that_wrote_them(run: Deployed) -> None:
    answer = {"batches": [4], "rows": {"fact_sale": 5, "dim_day": 5}, "rejected": {"fact_sale": 1}}
    assert run(EVENT) == answer
    sales, days = run.lines("table transformed")
    sizes = {file.key: len(run.batch.processed.get(file.key)) for file in run.batch.processed.listing("")}
    of_days = sum(size for key, size in sizes.items() if "dim_day" in key)
    of_sales = sum(size for key, size in sizes.items() if "fact_sale" in key)
    assert sales == {"batch": 4, "table": "fact_sale", "rows": 5, "deleted": 4, "rejected": 1, "bytes": of_sales}
    assert days == {"batch": 4, "table": "dim_day", "rows": 5, "bytes": of_days}, "a table with nothing has no line"
    (rejected,) = run.lines("rows were rejected")
    report = rejected.pop("report")
    assert run.batch.processed.table(report)["key"].to_pylist() == ["5"]
    assert rejected == {"batch": 4, "table": "fact_sale", "rows": 1, "RowsRejected": 1, "FunctionName": "f"}
    assert [(line["action"], line["batches"], line["tables"]) for line in run.lines(SUMMARY)] == [("transform", [4], 2)]
    assert run(EVENT) == answer
    assert run.lines("table transformed") == run.lines("rows were rejected") == []
    assert "batches" not in run.lines(SUMMARY)[0]


def test_table_with_keys_or_rejects_alone_is_logged(run: Deployed) -> None:
    """Rows without one that is valid, and rows that meet no condition."""
    files = run.batch.tables
    files["sale"] = replace(files["sale"], changes=None, more_changes=(), context=None)
    files["spot"] = replace(
        files["shop"],
        columns={"area": "text", "number": "bigint", "label": "text"},
        changes=run.batch.file(
            {"area": "text", "number": "bigint", "label": "text"}, ("n", 1, None, '{"label": "no text"}')
        ),
        lookups=None,
    )
    manifest = replace(run.batch.manifest, batch=5)
    run.batch.ingestion.put_if_absent(manifest_key(5), to_json(manifest))
    assert run({"action": "transform", "batch": 5})["rejected"] == {"dim_spot": 1}
    shown = [{key: line[key] for key in line if key != "bytes"} for line in run.lines("table transformed")]
    assert shown == [
        {"batch": 5, "table": "fact_sale", "rows": 0, "deleted": 2},
        {"batch": 5, "table": "dim_spot", "rows": 0, "rejected": 1},
    ]


def test_replay_answers_with_revision_and_rejects(run: Deployed) -> None:
    expected = {"batch": 4, "revision": 1, "rejected": {"fact_sale": 1}}
    assert run({"action": "replay", "batch": 4}) == {**expected, "changed": True}
    assert len(run.lines("table transformed")) == 2
    assert run({"action": "replay", "batch": 4}) == {**expected, "changed": False}
    assert run.lines("table transformed") == []
    warehouse = {name: table for name, table in run.batch.declarations.warehouse.items() if name != "dim_day"}
    run.batch.declarations = replace(run.batch.declarations, warehouse=warehouse)
    assert run({"action": "replay", "batch": 4}) == {**expected, "revision": 2, "changed": True}
    assert len(run.lines("rows were rejected")) == 1


def test_part_is_transformed_and_logged_as_done_or_refused(run: Deployed) -> None:
    request = run.batch.parts().parts[1]
    answer = run(request.to_json())
    assert (answer["refused"], answer["read"], answer["unchanged"]) == (None, 3, 3)
    assert run.lines("part transformed") == [{"batch": 4, "table": "fact_sale", "number": 1, "rows": 3}]
    assert run.levels("part transformed") == ["INFO"]
    assert run.lines(SUMMARY)[0]["action"] == "part"
    assert run(replace(request, number=7).to_json())["refused"]
    assert run.lines("part transformed") == [{"batch": 4, "table": "fact_sale", "number": 7, "rows": 0}]
    assert run.levels("part transformed") == ["WARN"]


def test_scheduled_run_transforms_and_deletes_what_is_old(run: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both buckets are swept; a batch that got a revision meanwhile is transformed again."""
    monkeypatch.setattr(sweep, "EVENT_TIMEOUT", timedelta(seconds=-1))
    left = f"{run_prefix('sale', 4, 'b' * 32)}.changes.parquet"
    made = f"{batch_folder('fact_sale', 4)}{'b' * 8}.parquet"
    run.batch.ingestion.put_if_absent(left, b"x")
    run.batch.processed.put_if_absent(made, b"x")
    assert run({"action": "sweep"})["batches"] == [4]
    assert run.lines("files that no manifest names were deleted") == []
    later = datetime.now(UTC) + timedelta(days=3)
    monkeypatch.setattr(handler, "datetime", SimpleNamespace(now=lambda zone: later if zone is UTC else None))
    assert run({"action": "sweep"}, 60.0)["swept"] == 0, "no time is left for it"
    assert run({"action": "sweep"}, 61.0) == {"batches": [], "rows": {}, "rejected": {}, "swept": 2}
    (line,) = run.lines("files that no manifest names were deleted")
    assert line == {"number": 2, "files": [f"s3://ingestion/{left}", f"s3://processed/{made}"]}
    assert run.lines(SUMMARY)[0]["swept"] == 2


def test_batch_revised_during_a_sweep_is_transformed_again(run: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    run(EVENT)
    again: list[int] = []
    monkeypatch.setattr(handler, "_replay", lambda batch, context: again.append(batch))
    monkeypatch.setattr(handler, "sweep_processed", lambda *_: sweep.Swept(("data/x",), (4,)))
    assert run({"action": "sweep"})["swept"] == 1
    assert again == [4]


def test_event_of_the_bucket_names_manifests_and_others(run: Deployed) -> None:
    """In the order of the batches, each once."""
    second = replace(run.batch.manifest, batch=8, extracted_at="2024-03-02T00:00:00+00:00")
    run.batch.ingestion.put_if_absent(manifest_key(8), to_json(second))
    keys = (manifest_key(8), "data/sale/x.parquet", manifest_key(4), manifest_key(8))
    records = [{"s3": {"bucket": {"name": "ingestion"}, "object": {"key": key}}} for key in keys]
    found = run({"Records": records})
    assert (found["batches"], found["rows"]) == ([4, 8], {"fact_sale": 10, "dim_day": 10})
    assert found["rejected"] == {"fact_sale": 2}
    assert run.lines("not a manifest: ignored") == [{"key": "data/sale/x.parquet"}]


@pytest.mark.parametrize("event", [["part"], "part", None, {"action": "part"}, {"action": "dance"}])
def test_event_that_transform_does_not_know_is_refused(run: Deployed, event: object) -> None:
    with pytest.raises(PipelineError):
        run(event)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((59.0,), []), ((60.0, 59.0), [4]), ((361.0, 261.0, 50.0), [4, 5]), ((360.0, 260.0, 50.0), [4])],
)
def test_scheduled_run_begins_no_batch_that_may_be_cut_off(
    run: Deployed, monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, ...], expected: list[int]
) -> None:
    """The next one may take twice as long as the longest before it, and a minute is kept."""
    second = replace(run.batch.manifest, batch=5, extracted_at="2024-03-02T00:00:00+00:00")
    run.batch.ingestion.put_if_absent(manifest_key(5), to_json(second))
    monkeypatch.setattr(sweep, "EVENT_TIMEOUT", timedelta(seconds=-1))
    assert run({"action": "sweep"}, *seconds)["batches"] == expected


def test_workers_are_used_from_two_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(handler, "workers_of", lambda *given: found.append(given[:2]) or found[-1])
    for number, expected in (("", handler.alone), ("0", handler.alone), ("1", handler.alone), ("2", ("c", 2))):
        monkeypatch.setenv("TRANSFORM_WORKERS", number)
        assert handler._engine("c") == expected
    monkeypatch.setattr(handler, "workers_of", lambda *given: None)
    assert handler._engine("c") is handler.alone


def test_every_transform_has_the_engine_of_the_function(run: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def engine(parts: PartTransform) -> list[PartResult]:
        asked.append(parts.source.batch)
        return handler.alone(parts)

    monkeypatch.setattr(handler, "_engine", lambda context: engine)
    run(EVENT)
    run({"action": "replay", "batch": 4})
    assert asked == [4, 4]


@pytest.mark.parametrize(
    ("days", "age"), [(None, timedelta(days=2)), (str(1 / 24), timedelta(hours=1)), ("1.5", timedelta(hours=36))]
)
def test_orphans_have_an_age_of_an_hour_at_least(
    run: Deployed, monkeypatch: pytest.MonkeyPatch, days: str | None, age: timedelta
) -> None:
    asked: list[timedelta] = []
    for name in ("sweep_ingestion", "sweep_processed"):
        monkeypatch.setattr(handler, name, lambda lake, now, of: asked.append(of) or sweep.Swept())
    if days:
        monkeypatch.setenv("SWEEP_AFTER_DAYS", days)
    assert run({"action": "sweep"})["swept"] == 0
    assert asked == [age, age]
    for refused in ("0.041", "x", "nan", "1e99"):
        monkeypatch.setenv("SWEEP_AFTER_DAYS", refused)
        with pytest.raises(PipelineError, match="SWEEP_AFTER_DAYS must be a number of days"):
            run({"action": "sweep"})
