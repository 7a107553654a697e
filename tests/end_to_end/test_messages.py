"""A message through the whole chain, with the notifier's real package: topic, function, email and Slack's webhook."""

from __future__ import annotations

import io
import json
import zipfile
from urllib.parse import urlsplit

SECRET = "totes/local/slack"
NOTIFIER = "totes-local-notifier"


def subjects(line, channel: str) -> list[str]:
    """Of all that arrived, what the notifier sent: its own alarms notify the addresses as CloudWatch words them."""
    messages = line.document("local", "inbox", "--last", "1000")["messages"]
    found = [item["subject"] for item in messages if item["channel"] == channel]
    return [text for text in found if text.startswith("totes local: ")]


def test_test_message_reaches_email_and_slack(cli) -> None:
    before = {channel: len(subjects(cli, channel)) for channel in ("email", "slack")}
    found = cli.document("alert-test")
    assert (found["slack"]["state"], found["reached"]) == ("sent", True)
    assert found["addresses"] == [{"address": "data-alerts@example.com", "state": "confirmed"}]
    assert found["alarms"]["notifying"] == found["alarms"]["declared"] > 10
    for channel, number in before.items():
        assert subjects(cli, channel)[number:] == ["totes local: a test: nothing is wrong"]
    shown = cli("local", "inbox")
    assert found["test"] in shown.output


def test_dead_webhook_is_said_by_email_once_and_loses_none(cli, aws) -> None:
    client, before = aws(cli, "secretsmanager"), len(subjects(cli, "email"))
    own = client.get_secret_value(SecretId=SECRET)["SecretString"]
    url = urlsplit(json.loads(own)["url"])
    client.put_secret_value(
        SecretId=SECRET, SecretString=json.dumps({"url": f"{url.scheme}://{url.netloc}/services/dead"})
    )
    try:
        for _ in range(2):
            shown = cli("alert-test")
            assert shown.exit_code == 1
            assert "refused it: the webhook answered 404 no_service: it was removed or is disabled" in shown.output
    finally:
        client.put_secret_value(SecretId=SECRET, SecretString=own)
    assert cli.document("alert-test")["slack"]["state"] == "sent"
    news = subjects(cli, "email")[before:]
    assert news.count("totes local: a test: nothing is wrong") == 3
    assert news.count("totes local: Slack does not take messages, emails go on") == 1
    assert news.count("totes local: Slack takes messages again") == 1


def test_webhook_is_in_no_log_variable_package_or_message(cli, aws) -> None:
    secret = urlsplit(cli.stack.slack_url).path.rpartition("/")[2]
    assert len(secret) > 20
    function = aws(cli, "lambda").get_function_configuration(FunctionName=NOTIFIER)
    assert secret not in json.dumps(function, default=str)
    with zipfile.ZipFile(io.BytesIO((cli.root / "build" / "notifier.zip").read_bytes())) as package:
        names = package.namelist()
        assert not any(secret.encode() in package.read(name) for name in names)
    assert not any(name.startswith(("pyarrow", "pg8000", "boto3")) for name in names)
    logs = aws(cli, "logs").filter_log_events(logGroupName=f"/aws/lambda/{NOTIFIER}")["events"]
    assert logs and secret not in json.dumps(logs)
    assert secret not in json.dumps(cli.document("local", "inbox", "--last", "1000"))
    for name in ("plan", "status"):
        assert secret not in cli(name, "--json").output
