"""The notifier's handler against AWS in memory: what it reads, publishes, posts, remembers, logs and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import moto
import pytest
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from lambda_toolkit.pipeline.lambdas.notifier import handler, webhook
from lambda_toolkit.pipeline.lambdas.notifier.findings import Findings
from lambda_toolkit.pipeline.lambdas.notifier.incidents import Incident, Trouble
from lambda_toolkit.pipeline.lambdas.notifier.letters import Kind, Letter, Slack, State
from lambda_toolkit.pipeline.lambdas.notifier.notices import ALARMS_FILE, NotifierError, load
from lambda_toolkit.pipeline.lambdas.notifier.state_file import (
    StateFile,
    document_of,
    key_of,
    number_of,
    state_of,
)
from lambda_toolkit.pipeline.lambdas.notifier.webhook import Outcome
from tests.support.memory_s3 import MemoryS3
from tests.support.sessions import new_session

REGION = "eu-west-2"
ALARM = "totes-dev-extract-errors"
GROUP = "/aws/lambda/totes-dev-extract"
NOTICE = {
    "function": "extract",
    "log_group": GROUP,
    "incident": "extract",
    "symptom": False,
    "what": "extract failed.",
    "command": "python deploy.py logs extract",
}
CATALOG = {"format": 1, "pipeline": "totes", "stage": "dev", "alarms": {ALARM: NOTICE}}
CONTEXT = SimpleNamespace(aws_request_id="r-1", function_name="notifier", get_remaining_time_in_millis=lambda: 60_000)
HOOK = "https://hooks.slack.com/services/T/B/x"
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Account:
    """An account in memory in which the notifier runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.client = lambda service: new_session().client(service, region_name=REGION)
        self.client("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
        self.topic = str(self.client("sns").create_topic(Name="people")["TopicArn"])
        self.client("logs").create_log_group(logGroupName=GROUP)
        self.client("logs").create_log_stream(logGroupName=GROUP, logStreamName="one")
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=ALARM, MetricName="Errors", Namespace="AWS/Lambda", Statistic="Sum", Period=60,
            EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanOrEqualToThreshold",
        )  # fmt: skip
        (root / ALARMS_FILE).write_text(json.dumps(CATALOG), encoding="utf-8")

    def set_alarm(self, state: str) -> None:
        self.client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="three errors")

    def log(self, **line: object) -> None:
        moment = int(datetime.now(UTC).timestamp() * 1000)
        self.client("logs").put_log_events(
            logGroupName=GROUP, logStreamName="one", logEvents=[{"timestamp": moment, "message": json.dumps(line)}]
        )

    @property
    def emails(self) -> list[tuple[str, str]]:
        """Subject and text of what was published."""
        topic = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics[self.topic]
        return [(subject, text) for _, text, subject, *_ in topic.sent_notifications]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ENDPOINT_URL", "SLACK_SECRET", "SETTLE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    handler._client.cache_clear()
    with moto.mock_aws():
        made = Account(tmp_path)
        monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
        monkeypatch.setenv("INGESTION_BUCKET", "lake")
        monkeypatch.setenv("ALERTS_TOPIC", made.topic)
        yield made
    handler._client.cache_clear()


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was posted to Slack: the URL, and the text of the notification."""
    found: list[tuple[str, str]] = []

    def post(url: str, payload: Any) -> Outcome:
        found.append((url, payload["text"]))
        return Outcome(sent=True)

    monkeypatch.setattr(webhook, "post", post)
    return found


def store_secret(account: Account, monkeypatch: pytest.MonkeyPatch, **content: Any) -> None:
    account.client("secretsmanager").create_secret(Name="hook", **content)
    monkeypatch.setenv("SLACK_SECRET", "hook")


def test_incident_is_published_and_posted_once(
    account: Account, posts: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At its begin with what the log says, and when it is over; looks in between send nothing."""
    store_secret(account, monkeypatch, SecretString=json.dumps({"url": f" {HOOK}\n"}))
    monkeypatch.setenv("SETTLE_SECONDS", "0.000001")
    assert handler.lambda_handler({}, CONTEXT) == {"sent": []}
    account.log(level="ERROR", message="Cannot connect to the source.")
    account.set_alarm("ALARM")
    [begin] = handler.lambda_handler({"Records": []}, CONTEXT)["sent"]
    assert begin.startswith("begin extract ")
    assert handler.lambda_handler({"Records": None}, CONTEXT) == {"sent": []}
    [(subject, text)] = account.emails
    assert subject == "totes dev: extract failed"
    assert "Cannot connect to the source." in text and "three errors" in text
    assert f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#" in text
    assert handler.lambda_handler({"action": "report"}, CONTEXT)["incidents"]["open"][0]["key"] == "extract"
    account.set_alarm("OK")
    [over] = handler.lambda_handler({}, CONTEXT)["sent"]
    assert over == begin.replace("begin", "over")
    assert [subject for subject, _ in account.emails][1:] == ["totes dev: over: extract failed"]
    assert "Cannot connect" not in account.emails[1][1]
    assert posts == [(HOOK, "totes dev: extract failed"), (HOOK, "totes dev: over: extract failed")]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    sent = [line for line in lines if line["message"] == "sent"]
    assert [(line["kind"], line["letter"], line["slack"]) for line in sent] == [
        ("begin", begin, "sent"),
        ("over", over, "sent"),
    ]
    assert all(line["email"] and "reason" not in line for line in sent)
    assert {line["outcome"] for line in lines if "outcome" in line} == {"done"}


def test_message_goes_out_without_a_log_or_a_console(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.client("logs").delete_log_group(logGroupName=GROUP)
    account.set_alarm("ALARM")
    assert len(handler.lambda_handler({}, CONTEXT)["sent"]) == 1
    [(_, text)] = account.emails
    assert "console.aws" in text
    warned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [warning] = [line for line in warned if line["level"] == "WARN"]
    assert (warning["group"], warning["error"]) == (GROUP, "ResourceNotFoundException")
    [opened] = StateFile(account.client("s3"), "lake").read()[1].incidents.open
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    shown = handler._composed(Letter("b", Kind.BEGIN, NOW, opened), load(account.root), account.topic).text
    assert "console" not in shown and GROUP in shown, "where no console is, the log group is named"


def test_records_of_a_topic_are_sent_once_each(account: Account) -> None:
    event = {
        "Records": [
            {"Sns": {"Message": json.dumps({"AlertTest": "7"}), "MessageId": "a"}},
            {"Sns": {"Message": "words", "Subject": "Hello", "MessageId": "b"}},
        ]
    }
    assert handler.lambda_handler(event, CONTEXT) == {"sent": ["test 7", "note b"]}
    assert handler.lambda_handler(event, SimpleNamespace()) == {"sent": []}, "SNS delivers twice"
    assert [subject for subject, _ in account.emails] == ["totes dev: a test: nothing is wrong", "totes dev: Hello"]
    assert handler.lambda_handler({"action": "report"}, CONTEXT)["seen"] == ["test 7", "note b"]


def test_check_reads_all_and_sends_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.set_alarm("ALARM")
    assert handler.lambda_handler({"action": "check"}, CONTEXT) == {"checked": True}
    assert account.emails == []
    client = handler._client("cloudwatch")
    monkeypatch.setattr(client, "describe_alarms", lambda **asked: pytest.fail(str(asked["AlarmNames"])))
    with pytest.raises(pytest.fail.Exception, match=ALARM):
        handler.lambda_handler({"action": "check"}, CONTEXT)
    with pytest.raises(NotifierError, match="no action 'chek'"):
        handler.lambda_handler({"action": "chek"}, CONTEXT)
    monkeypatch.delenv("ALERTS_TOPIC")
    with pytest.raises(NotifierError, match="ALERTS_TOPIC is not set"):
        handler.lambda_handler({"action": "check"}, CONTEXT)
    monkeypatch.setenv("ALERTS_TOPIC", account.topic)
    account.client("s3").put_object(Bucket="lake", Key=key_of(1), Body=b"{}")
    with pytest.raises(NotifierError, match="is not a state of the notifier"):
        handler.lambda_handler({"action": "check"}, CONTEXT)
    account.client("s3").delete_object(Bucket="lake", Key=key_of(1))
    account.client("s3").delete_bucket(Bucket="lake")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        handler.lambda_handler({"action": "check"}, CONTEXT)


def test_failure_is_logged_and_raised(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    (account.root / ALARMS_FILE).unlink()
    with pytest.raises(NotifierError, match="cannot be read"):
        handler.lambda_handler({}, None)
    error, summary = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (error["level"], error["error"], summary["outcome"]) == ("ERROR", "NotifierError", "failed")
    assert "_answer" in json.dumps(error["stack"])
    others = [
        ({**CATALOG, "format": 2}, "has the format 2; this code reads format 1"),
        ({**CATALOG, "alarms": {ALARM: {**NOTICE, "more": 1}}}, "cannot be read .TypeError"),
        ({"format": 1}, "cannot be read .KeyError"),
        ("{", "cannot be read .TypeError"),
    ]
    for content, problem in others:
        (account.root / ALARMS_FILE).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(NotifierError, match=problem):
            handler.lambda_handler({}, None)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"SecretString": f"{HOOK}\n"}, HOOK),
        ({"SecretString": json.dumps({"url": f"{HOOK} "})}, HOOK),
        ({"SecretString": json.dumps([HOOK])}, Outcome(False, 'the secret hook is JSON without "url"', final=True)),
        ({"SecretString": json.dumps({"url": 1})}, Outcome(False, 'the secret hook is JSON without "url"', final=True)),
        ({"SecretBinary": b"x"}, Outcome(False, "the secret hook has no text", final=True)),
    ],
)
def test_webhooks_url_as_it_may_be_stored(
    account: Account, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any], found: str | Outcome
) -> None:
    store_secret(account, monkeypatch, **content)
    assert handler._webhook("hook") == found
    channels = handler._channels(load(account.root))
    assert channels.slack is not None
    if isinstance(found, Outcome):
        assert channels.slack({}) == found, "an email says why"


def test_webhook_that_is_not_there_or_not_readable(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    assert handler._webhook("hook") == ""
    assert handler._channels(load(account.root)).slack is None
    monkeypatch.setenv("SLACK_SECRET", "hook")
    assert handler._channels(load(account.root)).slack is None, "none is stored yet"
    client = handler._client("secretsmanager")

    def denied(**_: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")

    monkeypatch.setattr(client, "get_secret_value", denied)
    found = handler._webhook("hook")
    assert found == Outcome(False, "the secret hook cannot be read: AccessDeniedException", final=False)


def test_clients_give_up_soon(account: Account) -> None:
    config = handler._client("s3").meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}


def test_states_are_immutable_and_the_newest_counts() -> None:
    s3 = MemoryS3()
    s3.create_bucket("lake")
    file = StateFile(s3, "lake")
    assert file.read() == (0, State())
    letter = Letter("note 1", Kind.NOTE, NOW, text="a", slack=Slack.NONE, not_before=NOW + timedelta(seconds=1))
    states = [State(seen=("a",)), State(letters=(letter,), slack_fails_since=NOW, slack_reason="b")]
    for state in states:
        file.change(lambda _, state=state: state)  # type: ignore[misc]
    assert file.read() == (2, states[1])
    assert not file.write(2, states[0]) and file.read() == (2, states[1])
    assert file.change(lambda state: state) == states[1] and file.read()[0] == 2, "what is the same is not written"
    assert s3.list_objects_v2(Bucket="lake", Prefix="")["Contents"][0]["Key"] == "incidents/99999997.json"

    def overtaken(state: State) -> State:
        number = file.read()[0]
        file.write(number + 1, State(seen=(str(number),)))
        return State(seen=("mine",))

    with pytest.raises(NotifierError, match="3 times in a row"):
        file.change(overtaken, attempts=3)
    with pytest.raises(NotifierError, match="in the place of the notifier's states"):
        number_of("incidents/mine.json")
    with pytest.raises(NotifierError, match="has the format 2; this code reads format 1"):
        state_of(document_of(State()).replace(b'"format": 1', b'"format": 2'), "s3://lake/x")
    with pytest.raises(NotifierError, match="s3://lake/x is not a state of the notifier .JSONDecodeError"):
        state_of(b"{", "s3://lake/x")


class Frozen:
    """A clock that does not move."""

    @staticmethod
    def monotonic() -> float:
        return 1000.0

    @staticmethod
    def monotonic_ns() -> int:
        return 7


def context(milliseconds: int) -> Any:
    return SimpleNamespace(aws_request_id="r-2", get_remaining_time_in_millis=lambda: milliseconds)


@pytest.mark.parametrize(
    ("given", "is_posted"), [(context(40_001), True), (context(40_000), False), (SimpleNamespace(), True)]
)
def test_post_needs_the_time_that_it_may_take(
    account: Account, posts: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, given: Any, is_posted: bool
) -> None:
    """Forty seconds; a minute where the context does not say how long it may take."""
    store_secret(account, monkeypatch, SecretString=HOOK)
    monkeypatch.setattr(handler, "time", Frozen)
    assert handler.lambda_handler({"Records": [{"Sns": {"Message": "words"}}]}, given) == {"sent": ["note words"]}
    assert len(account.emails) == 1, "an email needs none"
    assert bool(posts) is is_posted


@pytest.mark.parametrize(
    ("given", "by"), [(context(60_000), "r-2"), (SimpleNamespace(aws_request_id=""), "local 7"), (None, "local 7")]
)
def test_invocation_claims_by_its_own_id_and_settles_as_set(
    account: Account, monkeypatch: pytest.MonkeyPatch, given: Any, by: str
) -> None:
    found: list[tuple[str, timedelta]] = []

    def look(*arguments: Any) -> tuple[Letter, ...]:
        found.append((arguments[5], arguments[7]))
        return ()

    monkeypatch.setattr(handler, "look", look)
    monkeypatch.setattr(handler, "time", Frozen)
    for seconds in ("", "1.5"):
        monkeypatch.setenv("SETTLE_SECONDS", seconds)
        handler.lambda_handler({}, given)
    assert found == [(by, timedelta(minutes=5)), (by, timedelta(seconds=1.5))]


def test_lines_of_the_log_have_the_invocation_and_the_reason(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store_secret(account, monkeypatch, SecretString=HOOK)
    monkeypatch.setattr(webhook, "post", lambda url, payload: Outcome(False, "busy"))
    handler.lambda_handler({"Records": [{"Sns": {"Message": "words"}}]}, context(60_000))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["request_id"] for line in lines} == {"r-2"}
    [note, about] = [line for line in lines if line["message"] == "sent"]
    assert (note["kind"], note["letter"], note["slack"], note["reason"]) == ("note", "note words", "pending", "busy")
    assert (about["kind"], about["slack"]) == ("slack does not take messages", "none") and "reason" not in about
    published = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics[account.topic].sent_notifications
    assert [note["email"], about["email"]] == [message for message, *_ in published]


def test_log_is_read_of_an_incident_that_begins(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first of its alarms to now; not of one that is over, nor of an alarm without a function."""
    asked: list[tuple[Any, ...]] = []

    def read(logs: Any, *arguments: Any) -> Findings:
        asked.append(arguments)
        return Findings("the error of the log")

    monkeypatch.setattr(handler.findings, "read", read)
    monkeypatch.setattr(handler, "_now", lambda: NOW)
    first, second = Trouble(ALARM, NOW - timedelta(hours=1)), Trouble("theirs", NOW)
    incident = Incident("extract", NOW - timedelta(hours=2), NOW, (first, second))
    letter = Letter("b", Kind.BEGIN, NOW, incident)
    catalog = load(account.root)
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:people"
    text = handler._composed(letter, catalog, topic).text
    assert "the error of the log" in text and "https://cn-north-1.console.amazonaws.cn/" in text
    assert asked == [(GROUP, NOW - timedelta(hours=1), NOW)]
    theirs = replace(incident, troubles=(second, first))
    for other in (theirs, replace(incident, over=True)):
        handler._composed(replace(letter, incident=other), catalog, topic)
    handler._composed(replace(letter, kind=Kind.NOTE, incident=None), catalog, topic)
    assert len(asked) == 1


def test_files_are_beside_the_code_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are in a package: the folder that has ``notifier`` and ``shared``'s folder."""
    monkeypatch.delenv("LAMBDA_TASK_ROOT", raising=False)
    assert (handler._root() / "lambdas" / "notifier" / "handler.py").is_file()
    monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")
    assert handler._root() == Path("/var/task")
