"""Which command's document each page shows, how often it is read, and of which target."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click import Option

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.commands.dashboard import command
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.dashboard import documents
from lambda_toolkit.pipeline.dashboard.documents import Connected
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def target() -> Target:
    return Target(load(DEFAULT_PATH), {}, is_local=True)


def test_each_document_is_the_one_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes with each batch is read most often, what changes with a deploy least."""
    timeline = SimpleNamespace(to_json=lambda pipeline, now: ("timeline", pipeline, now))
    target: Any = SimpleNamespace(pipeline=SimpleNamespace(root="root"), is_local=False)
    connected: Any = SimpleNamespace(
        target=target,
        states=SimpleNamespace(read=lambda now: ("status", now)),
        timelines=SimpleNamespace(read=lambda count: timeline if count == 40 else None),
        warehouse="warehouse",
        declared="declared",
    )
    for name in ("tables", "history", "questions"):
        monkeypatch.setattr(documents.warehouse_documents, name, lambda *given, name=name: (name, *given))
    for name in ("rejected", "cost", "plan_document"):
        monkeypatch.setattr(documents, name, lambda given, name=name: (name, given))
    monkeypatch.setattr(documents, "_batch", lambda *given: ("batch", *given))
    sources = documents.sources(lambda: connected, lambda: NOW, 2.0)
    given = {"batch": ("7",), "history": ("fact_order", "k")}
    found: dict[str, Any] = {name: (of.read(*given.get(name, ())), of.seconds) for name, of in sources.items()}
    assert found == {
        "status": (("status", NOW), 2.0),
        "batches": (("timeline", target.pipeline, NOW), 2.0),
        "messages": ({"messages": None}, 2.0),
        "batch": (("batch", connected, 7, NOW), 6.0),
        "rejected": (("rejected", target), 6.0),
        "tables": (("tables", "warehouse", "declared"), 6.0),
        "history": (("history", "warehouse", "declared", "fact_order", "k"), 6.0),
        "questions": (("questions", "warehouse", "root"), 6.0),
        "cost": (("cost", target), 30.0),
        "plan": (("plan_document", target), 30.0),
    }


def test_messages_are_those_of_the_local_stack(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.inbox, "document", lambda mails, slack: {"messages": [mails, slack]})
    stack = target.pipeline.root / ".local"
    assert documents._messages(target) == {"messages": [stack / "mail-sink", stack / "slack-sink"]}
    assert documents._messages(replace(target, is_local=False)) == {"messages": None}


@pytest.mark.parametrize(
    ("extracted", "loaded", "ended"),
    [
        ("2026-03-04T11:00:00+02:00", "2026-03-04T11:30:00.000Z", "2026-03-04T11:30:00Z"),
        ("2026-03-04T09:00:00.000Z", None, "2026-03-04T12:00:00Z"),  # it is on its way: until now
    ],
)
def test_batch_has_the_log_lines_of_its_time(monkeypatch, extracted, loaded, ended) -> None:
    monkeypatch.setattr(documents, "batch_lines", lambda *given: list(given))
    batches: list[dict[str, Any]] = [{"batch": 7, "extracted_at": extracted, "loaded_at": loaded}]
    one = SimpleNamespace(to_json=lambda pipeline, now: {"pipeline": pipeline, "now": now, "batches": batches})
    connected: Any = SimpleNamespace(
        aws="aws",
        target=SimpleNamespace(pipeline="pipeline"),
        timelines=SimpleNamespace(one=lambda number: one if number == 7 else None),
    )
    begun = datetime(2026, 3, 4, 9, tzinfo=UTC)
    lines = ["aws", "pipeline", 7, begun, datetime.fromisoformat(ended)]
    found = documents._batch(connected, 7, NOW)
    assert found == {"pipeline": "pipeline", "now": NOW, "batches": batches, "lines": lines}
    early = documents._batch(connected, 7, begun - timedelta(hours=1))["lines"]
    assert early[4] >= early[3], "the clock of this machine is slow"
    batches.clear()
    with pytest.raises(CommandError, match="There is no batch 7"):
        documents._batch(connected, 7, NOW)


def test_target_is_connected_once(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """All documents of a target share its client, and what was read of its batches."""
    made: list[str] = []

    def aws(self: Target) -> Any:
        made.append("aws")
        return "client"

    def warehouse(of: Target) -> Any:
        made.append("warehouse")
        return ("warehouse", of)

    monkeypatch.setattr(Target, "aws", aws)
    monkeypatch.setattr(Warehouse, "of", warehouse)
    connected = Connected(target)
    states, timelines = connected.states, connected.timelines
    assert made == ["aws", "warehouse"], "the state of the functions needs no warehouse until it is read"
    assert (states.follower.aws, states.follower.pipeline) == ("client", target.pipeline)
    assert states.warehouse is not None and states.warehouse() == ("warehouse", target)
    assert (timelines.aws, timelines.pipeline, timelines.warehouse) == ("client", target.pipeline, states.warehouse())
    states.follower.report("It says nothing.")
    assert connected.timelines is timelines and made == ["aws", "warehouse"]
    assert {"fact_sales_order", "dim_date"} <= set(connected.declared)
    assert connected.declared["fact_sales_order"].kind == "fact"


def test_target_is_chosen_again_after_a_failure(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stack that was stopped has no target until it is started; its file is below the project's root."""
    config = tmp_path / "project" / "config" / "pipeline.toml"
    stack = tmp_path / "project" / ".local" / "stack.json"
    for path in (config, stack):
        path.parent.mkdir(parents=True)
        path.touch()
    chosen: list[tuple[Path, str | None]] = []

    def choose(path: Path, stage: str | None, environ: object) -> Target:
        chosen.append((path, stage))
        if not stack.exists():
            raise CommandError("No stack runs.")
        return here

    monkeypatch.setattr(documents, "choose", choose)
    here = replace(target, pipeline=replace(target.pipeline, path=config))
    targets = documents.Targets(here)
    first = targets()
    assert first.target is here and targets() is first and chosen == []
    stack.unlink()
    for _ in range(2):
        with pytest.raises(CommandError, match="No stack runs"):
            targets()
    stack.touch()
    again = targets()
    assert again is not first and again.target is here and targets() is again
    os.utime(config, ns=(1, 1))  # it was edited
    assert targets() is not again and targets() is targets()
    assert chosen == [(config, "local")] * 4


def test_help_says_how_often_a_page_looks() -> None:
    [every] = [option for option in command.params if option.name == "every"]
    often = f"default: {documents.LOCAL_SECONDS:g}, on AWS {documents.AWS_SECONDS:g},"
    assert isinstance(every, Option) and often in str(every.help)
