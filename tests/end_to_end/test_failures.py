"""A failure gives one message, exit code 1 and an alarm's email, and loses nothing."""

from __future__ import annotations

import dataclasses
import json
import shlex
import time
from typing import Any

import pytest

from lambda_script import Lambda_script
from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.alerting import mail_sink
from lambda_toolkit.pipeline.local_stack.independent_check import check
from tests.drill import runbook
from tests.support.emulator_clock import STILL

EMAIL_TIMEOUT = 30.0  # seconds for the alarm and its email


def await_email(line, alarm: str, since: int) -> mail_sink.Email:
    deadline = time.monotonic() + EMAIL_TIMEOUT
    while time.monotonic() < deadline:
        for email in mail_sink.read(line.stack.mail_sink)[since:]:
            if alarm in email.subject or alarm in email.body:
                return email
        time.sleep(0.2)
    raise AssertionError(f"no email about {alarm}: {[email.subject for email in mail_sink.read(line.stack.mail_sink)]}")


def await_over(line, function: str) -> None:
    """Wait until the incident of ``function`` is over that an earlier test may have left: another would join it."""
    deadline = time.monotonic() + EMAIL_TIMEOUT
    while time.monotonic() < deadline:
        subjects = [email.subject for email in mail_sink.read(line.stack.mail_sink)]
        about = [subject for subject in subjects if f": {function} " in subject]
        if not about or ": over: " in about[-1]:
            return
        time.sleep(0.5)
    raise AssertionError(f"the incident of {function} is not over")


def failed_events(line) -> list[dict[str, Any]]:
    return json.loads(line("status", "--json").stdout)["failed_events"]["functions"]


def await_failed_event(line, function: str, reason: str) -> None:
    """Wait until ``status`` shows that an event of ``function`` failed for good, and why."""
    deadline = time.monotonic() + EMAIL_TIMEOUT
    while time.monotonic() < deadline:
        if any(each["function"].endswith(function) and reason in each["reason"] for each in failed_events(line)):
            return
        time.sleep(0.5)
    raise AssertionError(failed_events(line))


def stored_secret(line, aws, name: str):
    client = aws(line, "secretsmanager")
    return client, json.loads(client.get_secret_value(SecretId=name)["SecretString"])


def test_wrong_password_is_reported_and_mailed_and_loses_nothing(filled, aws, sql):
    stack = filled.stack
    assert not any("secret" in note for note in filled.document("plan")["notes"])
    client, secret = stored_secret(filled, aws, "totes/local/source")
    sql(stack.source_admin, "UPDATE sales_order SET units_sold = 1234 WHERE sales_order_id = 5")
    mails = len(mail_sink.read(stack.mail_sink))
    wrong = {"SecretId": "totes/local/source", "SecretString": json.dumps({**secret, "password": "wrong"})}
    client.put_secret_value(**wrong)
    try:
        result = filled("run")
        assert result.exit_code == 1
        assert "the server refuses the password" in result.stderr
        assert "wrong" not in result.output
        assert secret["password"] not in result.output
        email = await_email(filled, "totes-local-extract-errors", mails)
        assert email.recipient == "data-alerts@example.com"
        assert "python deploy.py logs extract --stage local" in email.body, "it says what to do"
        event = {"action": "extract"}
        aws(filled, "lambda").invoke(
            FunctionName="totes-local-extract", Qualifier="live", InvocationType="Event", Payload=json.dumps(event)
        )
        await_failed_event(filled, "extract", "the server refuses the password")
        client.put_secret_value(**wrong)
        left = filled("deploy")
        assert "secret totes/local/source was changed since it was deployed: its value is left" in left.stderr
        assert "deploy once with --overwrite-secret totes/local/source." in left.stderr
        assert stored_secret(filled, aws, "totes/local/source")[1]["password"] == "wrong"
    finally:
        assert filled("deploy", "--overwrite-secret", "totes/local/source").exit_code == 0
    assert stored_secret(filled, aws, "totes/local/source")[1] == secret, "from the environment"
    replayed = filled.document("replay", "--failed")
    assert [each["function"] for each in replayed["done"]].count("totes-local-extract") >= 1
    assert (replayed["failed"], replayed["refused"]) == ([], [])
    assert not any("extract" in each["function"] for each in failed_events(filled))
    assert filled.document("run")["rows"] in ({"sales_order": 1}, {}), "or the replay, or the schedule, came first"
    assert check(stack.source, stack.warehouse).agrees


def typed(line, block: str):
    """The results of the runbook's commands, for this stack."""
    return [line(*shlex.split(command)[2:]) for command in block.splitlines()]


def test_function_that_nothing_starts_any_more_is_mailed(filled, aws):
    """The alarm as it is shipped, but for its period: its time is 30 seconds here, and a schedule fires every 15.

    What the runbook says of it is a row of `make drill`, which tries all of them.
    """
    cause = runbook.causes(runbook.read())["The schedule of load is off"]
    cloudwatch, events = aws(filled, "cloudwatch"), aws(filled, "events")
    name, rule = "totes-local-load-silent", "totes-local-load-schedule"

    def await_state(wanted: str, within: float) -> None:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
            if alarm["StateValue"] == wanted:
                return
            time.sleep(0.2)
        raise AssertionError(f"{alarm['StateValue']}: {alarm['StateReason']}")

    text = (filled.root / "config" / "pipeline.toml").read_text(encoding="utf-8")
    quick = filled.root / "config" / "quick.toml"
    local = "[stages.local.alarms]"
    for slow, fast in (
        (local, f"{local}\nsilent.period = 10\nerrors.period = 10\n"),
        ("\nerrors.evaluation_periods = 3\n", "\nerrors.evaluation_periods = 1\n"),
        ('SECONDS = "60"', 'SECONDS = "1"'),
    ):
        assert slow in text
        text = text.replace(slow, fast, 1)
    quick.write_text(text, encoding="utf-8")
    try:
        shown = dataclasses.replace(filled, file="quick.toml")("deploy", "load", "notifier")
        assert shown.exit_code == 0, shown.output
        [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert {item.get("Expression") for item in alarm["Metrics"]} == {None, "FILL(m, 0)"}
        embedded.set_clock_speed(filled.stack, 4)  # every 15 s: a slow machine runs these too
        await_state("OK", 60)
        await_over(filled, "load")
        await_state("OK", 0.5)
        mails = len(mail_sink.read(filled.stack.mail_sink))
        events.disable_rule(Name=rule)
        await_state("ALARM", 90)
        email = await_email(filled, name, mails)
        looked = "".join(result.output for result in typed(filled, cause.look))
        time.sleep(3)
        await_state("ALARM", 1)  # a look at the warehouse invokes load, and nothing is repaired by it
    finally:
        embedded.set_clock_speed(filled.stack, STILL)
        quick.unlink()
        [repaired] = typed(filled, cause.repair)
    assert cause.alarm in name
    assert all(text.replace("-dev-", "-local-") in looked for text in cause.said), looked
    assert "load was not started for a quarter of an hour" in email.body
    assert repaired.exit_code == 0
    assert events.describe_rule(Name=rule)["State"] == "ENABLED"


def test_a_database_that_cannot_be_reached_is_named(filled, aws):
    client, secret = stored_secret(filled, aws, "totes/local/warehouse")
    client.put_secret_value(SecretId="totes/local/warehouse", SecretString=json.dumps({**secret, "port": 9}))
    try:
        result = filled("run")
        assert result.exit_code == 1
        assert f"127.0.0.1:9, database {secret['dbname']}" in result.stderr
        assert "Traceback" not in result.output
    finally:
        assert filled("deploy", "--overwrite-secret", "warehouse").exit_code == 0
    assert stored_secret(filled, aws, "totes/local/warehouse")[1] == secret


def test_a_missing_table_is_named_and_nothing_moves_on(filled, sql):
    stack = filled.stack
    before = filled.state()["batches"]
    sql(stack.source_admin, "ALTER TABLE payment RENAME TO payments")
    try:
        result = filled("run")
        assert result.exit_code == 1
        assert "payment" in result.stderr
        assert filled.state()["batches"] == before
    finally:
        sql(stack.source_admin, "ALTER TABLE payments RENAME TO payment")
    assert filled("run").exit_code == 0


def test_key_that_is_not_unique_is_refused_before_a_deploy(filled, sql):
    sql(filled.stack.source_admin, "ALTER TABLE payment DROP CONSTRAINT payment_pkey")
    try:
        result = filled("plan")
        assert result.exit_code == 1
        assert "The key payment_id does not identify the rows of the source table payment" in result.stderr
    finally:
        sql(filled.stack.source_admin, "ALTER TABLE payment ADD PRIMARY KEY (payment_id)")
    assert filled("plan").exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('schedule = "rate(5 minutes)"', 'schedule = "0 9 1 * MON"', "day"),
        ('schedule = "rate(5 minutes)"', 'schedule = "61 * * * *"', "61"),
        ("[functions.extract]\n", '[functions.extract]\nhandlr = "x"\n', "handlr"),
        ('source = "lambdas/extract"', 'source = "lambdas/xtract"', "xtract"),
    ],
)
def test_a_bad_configuration_is_one_message(filled, tmp_path, old, new, says):
    text = (filled.root / "config" / "pipeline.toml").read_text()
    text = text.replace('extract.schedule = "rate(1 minute)"\n', "")
    assert old in text
    config = filled.root / "config" / "broken.toml"
    config.write_text(text.replace(old, new, 1))
    try:
        from click.testing import CliRunner

        import deploy

        result = CliRunner().invoke(deploy.main, ["plan", "--config", str(config)])
    finally:
        config.unlink()
    assert result.exit_code == 1, result.output
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_dependency_that_is_not_packaged_is_missing_as_on_aws(filled, aws, tmp_path):
    source = tmp_path / "lonely.py"
    source.write_text("import pyarrow\n\ndef lambda_handler(event, context):\n    return 'found it'\n")
    stack = filled.stack
    from lambda_toolkit.pipeline.client.target import local_target

    target = local_target(filled.root / "config" / "pipeline.toml", stack, {})
    script = Lambda_script(
        source,
        tmp_path / "lonely.zip",
        "lonely",
        provided_modules=["pyarrow"],  # else the check of imports refuses the deploy
        aws=target.aws(),
    )
    script.deploy()
    try:
        answer = aws(filled, "lambda").invoke(FunctionName="lonely")
        assert answer["FunctionError"]
        assert "No module named 'pyarrow'" in answer["Payload"].read().decode()
    finally:
        script.destroy()
