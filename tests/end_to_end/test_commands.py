"""The other commands, against a running pipeline."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.support.repository import REPOSITORY


def test_deploying_again_changes_nothing(filled):
    result = filled("deploy")
    assert (result.exit_code, result.stdout) == (0, "Nothing changed.\n")
    plan = filled.document("plan")
    assert plan["changes"] == []
    lasting = ("lock of the requirements", "the source also has _prisma_migrations")  # the lock becomes old one day
    assert [note for note in plan["notes"] if not any(text in note for text in lasting)] == []
    assert filled("plan", "--exit-code").exit_code == 0


def test_an_edited_handler_updates_one_function(filled):
    handler = filled.root / "lambdas" / "extract" / "handler.py"
    before = handler.read_text()
    try:
        handler.write_text(before + "\nEDITED = True\n")
        planned = filled("plan", "--exit-code")
        assert planned.exit_code == 2
        assert "    files: ~ lambdas/extract/handler.py\n" in planned.stdout
        assert [change["name"] for change in filled.document("plan", "load")["changes"]] == []
        done = filled.document("deploy", "extract")["done"]
        assert [(change["action"], change["kind"], change["name"]) for change in done] == [
            ("update", "function", "totes-local-extract")
        ]
        assert filled("deploy").stdout == "Nothing changed.\n"
        assert filled("run").exit_code == 0, "the edited function works"
    finally:
        handler.write_text(before)
        assert filled("deploy").exit_code == 0


@pytest.mark.parametrize("name", ["deploy", "plan", "status"])
def test_commands_about_aws_wait_for_no_heavy_import(filled, name):
    config = str(filled.root / "config" / "pipeline.toml")
    command = [sys.executable, "-X", "importtime", "deploy.py", name, "--json", "--stage", "local", "--config", config]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "botocore" in imported, "the list is one"
    assert not imported & {"pyarrow", "numpy", "pandas", "boto3", "rich"}


def test_a_function_that_is_not_declared_is_refused(filled):
    assert filled("deploy", "totes-local-extract").stdout == "Nothing changed.\n", "its name on AWS will do"
    result = filled("deploy", "extrct")
    assert result.exit_code == 2
    assert "There is no function `extrct`" in result.stderr


def test_status_says_what_is_there(filled):
    document = filled.document("status")
    assert [function["state"] for function in document["functions"]] == ["Active"] * 5
    assert all(int(function["version"]) >= 1 for function in document["functions"])
    batches = document["batches"]
    assert batches["extracted"] == batches["transformed"] == batches["loaded"] >= 1
    assert document["freshness"]["lag_seconds"] == 0
    assert {alarm["name"] for alarm in document["alarms"]} >= {"totes-local-extract-errors", "totes-local-load-errors"}
    assert document["troubles"] == []
    assert document["freshness"]["promise"]["state"] == "fresh"
    shown = filled("status").stdout
    assert shown.splitlines()[1].startswith("FRESH, at most ") and max(map(len, shown.splitlines())) <= 80
    assert "All that was extracted is in the warehouse" in shown


def test_batches_are_shown_in_eighty_columns(filled):
    shown = filled("batches").stdout
    assert max(map(len, shown.splitlines())) <= 80
    document = filled.document("batches")
    assert document["batches"][-1]["batch"] == 1 and document["problem"] is None
    assert "Written to the warehouse" in filled("batches", "1").stdout
    assert filled("batches", "999999").exit_code == 1


def test_a_rollback_goes_to_a_version_that_is_there(filled):
    version = filled.state()["functions"][0]["version"]
    assert filled.document("rollback", "extract", "--to", version) == {
        "function": "totes-local-extract",
        "from": version,
        "to": version,
    }
    refused = filled("rollback", "extract", "--to", "99")
    assert refused.exit_code == 1
    [there] = re.findall(r"There are: ([\d, ]+)\.", refused.stderr)
    assert version in there.split(", ")


def test_invoke_shows_the_result_and_the_log(filled, tmp_path):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"action": "report"}))
    document = filled.document("invoke", "load", "--event", str(event))
    assert document["result"]["last_batch"] >= 1
    assert "loaded_at" in filled("invoke", "load", "--event", str(event)).stdout


def test_logs_are_shown(filled):
    events = filled.document("logs", "transform", "--since", "1h")["events"]
    assert any('"batches": [1]' in event["message"] for event in events)
    lines = filled("logs", "--since", "1h").stdout.splitlines()
    assert {line.split()[1] for line in lines} >= {"extract", "transform", "load"}, "of all functions"
    assert any(re.search(r"^[\d:]+Z  transform  INFO    summary  .* batches=\[1\]", line) for line in lines), lines[:5]
    assert "RequestId" not in "".join(lines)
    assert "START RequestId" in filled("logs", "extract", "--since", "1h", "--all").stdout
    assert filled("logs", "transform", "--since", "soon").exit_code == 2
    assert filled("logs", "transform", "--follow", "--json").exit_code == 2


def test_prepare_finds_everything_there_and_names_what_differs(filled, sql):
    assert filled("prepare").stdout == "The warehouse is complete.\n"
    warehouse = filled.stack.warehouse
    sql(warehouse, "ALTER TABLE dim_location ALTER COLUMN phone DROP NOT NULL")
    try:
        document = filled.document("prepare", code=1)
        assert document["created"] == []
        (difference,) = document["differences"]
        assert "dim_location" in difference and "phone" in difference
        assert filled.document("prepare", code=1) == document, "it was named, not changed"
    finally:
        sql(warehouse, "ALTER TABLE dim_location ALTER COLUMN phone SET NOT NULL")


def test_env_points_other_tools_at_the_stack(filled):
    values = filled.document("local", "env")
    assert values["AWS_ENDPOINT_URL"] == filled.stack.aws_endpoint_url
    lines = filled("local", "env").stdout.splitlines()
    assert f"export AWS_ENDPOINT_URL={filled.stack.aws_endpoint_url}" in lines


def test_up_again_leaves_everything_as_it_is(filled):
    result = filled("local", "up")
    assert result.exit_code == 0, result.output
    assert "Nothing changed." in result.stdout
    refused = filled("local", "up", "--orders", "5")
    assert refused.exit_code == 1
    assert "has data of an earlier start" in refused.stderr


def test_simulate_makes_business_happen(filled):
    events = filled.document("local", "simulate", "--rate", "1200", "--minutes", "0.01")["events"]
    assert sum(events.values()) == 12
    assert filled("run").exit_code == 0


def test_second_stage_is_independent_and_can_be_destroyed(filled, aws):
    """A second stage lives beside the first and can be destroyed."""
    from lambda_toolkit.pipeline.local_stack.description import environment

    env = environment(filled.stack)
    config = filled.root / "config" / "pipeline.toml"
    declared = config.read_text(encoding="utf-8")
    config.write_text(f'{declared}\n[stages.second.packages]\nplatform = "host"\nruntime = "host"\n', encoding="utf-8")
    deployed = filled("deploy", "--stage", "second", env=env)
    assert deployed.exit_code == 0, deployed.output
    functions = aws(filled, "lambda").list_functions()["Functions"]
    assert {f["FunctionName"] for f in functions} >= {"totes-second-extract", "totes-local-extract"}

    refused = filled("destroy", "--stage", "second", env=env, input="n\n")
    assert refused.exit_code == 1
    assert "Nothing was removed" in refused.stderr

    kept = filled("destroy", "--yes", "--stage", "second", env=env)
    assert kept.exit_code == 0, kept.output
    buckets = {bucket["Name"] for bucket in aws(filled, "s3").list_buckets()["Buckets"]}
    assert "totes-second-ingestion-000000000000" in buckets, "data stays unless --delete-data says otherwise"

    destroyed = filled("destroy", "--yes", "--delete-data", "--stage", "second", env=env)
    assert destroyed.exit_code == 0, destroyed.output
    buckets = {bucket["Name"] for bucket in aws(filled, "s3").list_buckets()["Buckets"]}
    assert not any("second" in bucket for bucket in buckets)
    functions = aws(filled, "lambda").list_functions()["Functions"]
    assert {f["FunctionName"] for f in functions} == {
        "totes-local-extract",
        "totes-local-transform",
        "totes-local-load",
        "totes-local-freshness",
        "totes-local-notifier",
    }
    assert filled("destroy", "--yes", "--stage", "second", env=env).stdout == "Nothing to remove.\n"
    assert filled("run").exit_code == 0, "the first stage is untouched"


@pytest.mark.parametrize("arguments", [["plan", "--exit"], ["nonsense"], ["invoke"], ["local", "up", "--orders", "x"]])
def test_wrong_usage_is_exit_code_2(filled, arguments):
    assert filled(*arguments).exit_code == 2
