"""Readers as they are deployed: extract invokes the function ``reader``, and makes one batch of what it read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.independent_check import check
from tests.support.command_line import CommandLine
from tests.support.function_logs import json_lines

LIMITS, ROWS = "rows: int = 1_000_000", 300  # of a batch, in the packages of this test
PAYMENTS = "UPDATE payment SET payment_amount = payment_amount + 1 WHERE payment_id <= 700"


@pytest.fixture(scope="module")
def divided(filled: CommandLine) -> Iterator[CommandLine]:
    """The same pipeline with two readers, and batches of a few rows."""
    config, limits = filled.root / "config", filled.root / "lambdas" / "extract" / "limits.py"
    text, before = (config / "pipeline.toml").read_text(encoding="utf-8"), limits.read_text(encoding="utf-8")
    (config / "readers.toml").write_text(f"{text}\n[extract]\nreaders = 2\n", encoding="utf-8")
    assert before.count(LIMITS) == 1
    limits.write_text(before.replace(LIMITS, f"rows: int = {ROWS}"), encoding="utf-8")
    line = dataclasses.replace(filled, file="readers.toml")
    result = line("deploy")
    assert result.exit_code == 0, result.output
    yield line
    limits.write_text(before, encoding="utf-8")
    (config / "readers.toml").unlink()
    result = filled("deploy", "--delete-data")  # its log, too
    assert result.exit_code == 0 and "totes-local-reader" in result.output, result.output


def test_extract_invokes_its_readers_and_makes_one_batch(divided, sql):
    """A transaction that wrote more than a batch may have: read by the deployed function in ranges of one snapshot."""
    stack = divided.stack
    sql(stack.source_admin, PAYMENTS)
    ((changed,),) = sql(stack.source_admin, "SELECT count(*) FROM payment WHERE payment_id <= 700")
    assert changed > ROWS
    before = divided.document("batches")["batches"][0]["batch"]
    done = divided.document("run")
    assert (done["batch"], done["rows"]) == (before + 1, {"payment": changed})
    said = [line["what"] for line in logged(divided, "extract") if line.get("message") == "readers"]
    read = [line for line in logged(divided, "reader") if line.get("message") == "range read"]
    assert "at a time" in said[-1]
    assert sum(line["rows"] for line in read) >= changed
    assert len({line["number"] for line in read}) >= 2
    assert check(stack.source, stack.warehouse).agrees


def logged(line: CommandLine, function: str) -> list[dict[str, Any]]:
    """The lines of the log of a function."""
    events = line.document("logs", function, "--since", "1h")["events"]
    return json_lines("\n".join(event["message"] for event in events))
