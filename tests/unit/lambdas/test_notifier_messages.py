"""What messages say, within the limits of SNS and of Slack, whatever an alarm or a log has."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.notifier.cloudwatch import read_record
from lambda_toolkit.pipeline.lambdas.notifier.findings import Findings, log_link, of_lines
from lambda_toolkit.pipeline.lambdas.notifier.incidents import ALARM, Incident, Transition, Trouble
from lambda_toolkit.pipeline.lambdas.notifier.letters import Kind, Letter
from lambda_toolkit.pipeline.lambdas.notifier.messages import (
    SUBJECT,
    Message,
    Place,
    duration,
    escaped,
    message_of,
    plain_payload,
    subject,
)
from lambda_toolkit.pipeline.lambdas.notifier.notices import Catalog, Notice
from lambda_toolkit.pipeline.local_stack.alerting.slack_receiver import plain, refusal

DOCS = Path(__file__).parents[3] / "docs" / "messages.md"
BEGAN = datetime(2026, 11, 29, 7, 12, 5, tzinfo=UTC)
NAME = "totes-prod-transform-rejected"
NOTICE = Notice(
    function="transform",
    log_group="/aws/lambda/totes-prod-transform",
    incident="rows",
    symptom=False,
    what="transform rejected or deferred rows, and processed the others.",
    command="python deploy.py rejected --stage prod",
)
CATALOG = Catalog("totes", "prod", {NAME: NOTICE})
LONDON = Place("eu-west-2", "aws", has_console=True)
TROUBLE = Trouble(NAME, BEGAN, "Threshold Crossed: 1 datapoint [3.0] was greater than or equal to the threshold (1.0).")
INCIDENT = Incident("rows", BEGAN, BEGAN + timedelta(minutes=20), (TROUBLE,))
REJECTED = Findings(batches={412: {"sales_order": 2, "payment": 1}})


def begun(findings: Findings = REJECTED, incident: Incident = INCIDENT, catalog: Catalog = CATALOG) -> Message:
    letter = Letter("begin", Kind.BEGIN, BEGAN, incident)
    return message_of(letter, catalog, {NOTICE.log_group: findings}, LONDON)


def over() -> Message:
    return message_of(Letter("over", Kind.OVER, BEGAN, INCIDENT), CATALOG, {}, LONDON)


def no_slack() -> Message:
    reason = "the webhook answered 404 no_service: it was removed or is disabled"
    return message_of(Letter("no slack", Kind.NO_SLACK, BEGAN, text=reason), CATALOG, {}, LONDON)


@pytest.mark.parametrize("message", [begun(), over(), no_slack()], ids=["begin", "over", "no slack"])
def test_the_documentation_shows_what_is_sent(message: Message) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert f"```text\nSubject: {message.subject}\n\n{message.text}```" in text


def test_the_documentation_shows_what_slack_gets() -> None:
    shown = json.dumps(begun().slack, indent=1, ensure_ascii=False)
    assert f"```json\n{shown}\n```" in DOCS.read_text(encoding="utf-8")


def test_message_names_batch_rows_log_and_command() -> None:
    text = begun().text
    for part in ("2026-11-29 07:12:05 UTC", "412 (payment: 1, sales_order: 2)", "3", NOTICE.command, NAME):
        assert part in text
    assert begun().subject == "totes prod: transform rejected or deferred rows, and processed the others"
    assert over().subject.startswith("totes prod: over: ")
    assert "20 min" in over().text


def test_alarms_that_came_with_the_first_are_named() -> None:
    second = Trouble("totes-prod-load-rejected", BEGAN, description="load rejected rows.")
    found = begun(incident=Incident("rows", BEGAN, BEGAN, (TROUBLE, second)))
    assert "Also" in found.text and "load rejected rows." in found.text


def test_alarm_of_others_has_its_own_description() -> None:
    others = Incident("theirs", BEGAN, BEGAN, (Trouble("theirs", BEGAN, description="Their disk is full. Call them."),))
    found = begun(incident=others)
    assert found.subject == "totes prod: Their disk is full"
    assert "The log" not in found.text


def test_long_messages_are_cut_and_say_so() -> None:
    troubles = tuple(Trouble(f"alarm-{number:02}", BEGAN, description=f"What {number:02}.") for number in range(12))
    batches = {number: {"staff": 1000} for number in range(1, 8)}
    found = begun(Findings("e" * 601, batches), Incident("rows", BEGAN, BEGAN, (TROUBLE, *troubles)))
    facts = dict(line.split("  ", 1) for line in found.text.splitlines() if "  " in line)
    assert facts["Why"].strip() == "e" * 597 + "..."
    assert facts["Batches"].strip() == ", ".join(f"{number} (staff: 1,000)" for number in range(3, 8)), "the newest"
    assert facts["Rows"].strip() == "7,000", "of all"
    assert facts["Also"].strip() == " ".join(f"What {number:02}." for number in range(9))
    assert facts["Alarm"].strip() == ", ".join([NAME, *(f"alarm-{number:02}" for number in range(9))])
    one = dict(line.split("  ", 1) for line in begun(Findings("e" * 600)).text.splitlines() if "  " in line)
    assert one["Why"].strip() == "e" * 600 and "Batch" not in one and "Also" not in one
    ended = message_of(
        Letter("over", Kind.OVER, BEGAN, Incident("r", BEGAN, BEGAN, (TROUBLE, *troubles))), CATALOG, {}, LONDON
    )
    assert "alarm-08" in ended.text and "alarm-09" not in ended.text


def test_what_a_message_has_depends_on_the_place_and_the_notice() -> None:
    letter = Letter("begin", Kind.BEGIN, BEGAN, INCIDENT)
    local = message_of(letter, CATALOG, {}, Place("eu-west-2", "aws", has_console=False))
    assert NOTICE.log_group in local.text and "The log:" not in local.text
    assert NOTICE.log_group not in begun().text and "\nThe log:\nhttps://" in begun().text
    assert f"\nWhat helps:\n{NOTICE.command}\n" in begun().text
    silent = Catalog("totes", "prod", {NAME: Notice("f", "", "rows", False, "It failed", "")})
    bare = begun(catalog=silent)
    assert "What helps" not in bare.text and "The log" not in bare.text
    shown = [block["text"]["text"] for block in bare.slack["blocks"]]
    assert shown[0] == "totes prod: It failed" and len(shown) == 4, "header, what, facts, and the end"
    unnamed = begun(incident=Incident("theirs", BEGAN, BEGAN, (Trouble("theirs", BEGAN),)))
    assert unnamed.subject == "totes prod: The alarm theirs is in ALARM"
    fenced = Catalog("totes", "prod", {NAME: Notice("f", "", "rows", False, "It failed.", "echo ```*a* <b>```")})
    commands = [block["text"]["text"] for block in begun(catalog=fenced).slack["blocks"]]
    assert "*What helps*\n```echo '''*a* &lt;b&gt;'''```" in commands
    assert begun().slack["unfurl_links"] is begun().slack["unfurl_media"] is False
    again = message_of(Letter("again", Kind.SLACK_AGAIN, BEGAN, text="since then: why"), CATALOG, {}, LONDON)
    assert (again.subject, again.text) == ("totes prod: Slack takes messages again", "It did not since then: why.\n")
    tested = message_of(Letter("test 7", Kind.TEST, BEGAN, text="7"), CATALOG, {}, LONDON)
    assert re.search(r"^Test +7$", tested.text, re.M) and re.search(
        r"^Sent +2026-11-29 07:12:05 UTC$", tested.text, re.M
    )
    assert re.search(r"^Why +the webhook answered 404", no_slack().text, re.M)


@given(st.text(max_size=300))
def test_any_subject_is_one_that_sns_takes(text: str) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: the parameter Subject."""
    found = subject(text)
    assert 0 < len(found) <= SUBJECT
    assert found.isascii() and found.isprintable() and found[0].isalnum()


@given(what=st.text(max_size=9000), error=st.text(max_size=9000), command=st.text(max_size=4000), alarm=st.text())
def test_slack_takes_any_message(what: str, error: str, command: str, alarm: str) -> None:
    catalog = Catalog("totes", "prod", {NAME: Notice("f", NOTICE.log_group, "f", False, what, command)})
    trouble = Trouble(alarm or "a", BEGAN, error, what)
    for incident in (INCIDENT, Incident("f", BEGAN, BEGAN, (trouble,))):
        message = begun(Findings(error), incident, catalog)
        assert refusal(json.dumps(message.slack).encode()) == ""
        assert refusal(json.dumps(plain_payload(message)).encode()) == ""
        assert len(message.text.encode("utf-8", "replace")) < 256 * 1024, "SNS's limit"
        shown = [block["text"]["text"] for block in message.slack["blocks"][1:]]
        for text in shown:
            assert not re.search(r"<(?!https://eu-west-2\.console\.aws\.amazon\.com/)", text), "no mention, no link"


@given(st.text(alphabet="<>&*_~`ab \n!@|", max_size=100))
def test_text_for_slack_is_read_as_it_was(text: str) -> None:
    found = escaped(text)
    assert plain(found) == text
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", found)
    assert not re.search(r"(?<!\u200b)[*_~`]", found), "nothing is formatted"


@pytest.mark.parametrize(
    ("region", "partition", "begins"),
    [
        ("eu-west-2", "aws", "https://eu-west-2.console.aws.amazon.com/cloudwatch/home?region=eu-west-2#"),
        ("cn-north-1", "aws-cn", "https://cn-north-1.console.amazonaws.cn/"),
        ("us-gov-west-1", "aws-us-gov", "https://us-gov-west-1.console.amazonaws-us-gov.com/"),
        ("eusc-de-east-1", "aws-eusc", "https://eusc-de-east-1.console.amazonaws-eusc.eu/"),
        ("us-iso-east-1", "aws-iso", ""),
    ],
)
def test_link_leads_to_the_console_of_the_partition(region: str, partition: str, begins: str) -> None:
    link = log_link("/aws/lambda/totes-prod-load", region, partition, BEGAN)
    assert link.startswith(begins) and bool(link) is bool(begins)
    if link:
        assert "$252Faws$252Flambda$252Ftotes-prod-load/log-events$3Fstart$3D1795935725000" in link


def test_log_says_the_last_error_and_the_rows() -> None:
    lines = [
        "START RequestId: 1",
        json.dumps({"level": "ERROR", "message": "Cannot connect to the source."}),
        json.dumps({"level": "WARN", "message": "rows were rejected", "batch": 3, "table": "staff", "rows": 2}),
        json.dumps({"level": "WARN", "message": "rows were rejected", "batch": 3, "table": "staff", "rows": 1}),
        json.dumps({"level": "WARN", "message": "missed event", "batch": 9}),
        json.dumps({"level": "INFO", "message": "table", "batch": 4, "table": "staff", "rows": 100}),
        "[]",
        "{",
    ]
    assert of_lines(lines) == Findings("Cannot connect to the source.", {3: {"staff": 3}})
    assert of_lines(["2026-11-29T07:12:05Z 1 Task timed out after 600.00 seconds"]).error.endswith("timeout, 600 s.")
    assert of_lines(["[ERROR] Runtime.ImportModuleError: No module named 'x'\nTraceback: secret"]).error == (
        "Runtime.ImportModuleError: No module named 'x'"
    )
    assert of_lines(["07:12 [ERROR] Runtime.ExitError: it ended"]).error == "Runtime.ExitError: it ended"
    assert of_lines(["[ERROR] ValueError: a row's value"]).error == "", "what is not made for people is not quoted"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        *((0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (-5, "0 s")),
        *((7261, "2 h 1 min"), (86_399, "23 h 59 min"), (86_400, "1 d 0 h"), (90_000, "1 d 1 h"), (179_999, "2 d 1 h")),
    ],
)
def test_durations_in_words(length: int, words: str) -> None:
    assert duration(timedelta(seconds=length)) == words


def record(message: str, **more: str) -> dict:
    return {"Sns": {"Message": message, "MessageId": "m-1", **more}}


def test_records_of_sns_are_alarms_tests_and_notes() -> None:
    alarm = {
        "AlarmName": NAME,
        "OldStateValue": "OK",
        "NewStateValue": "ALARM",
        "StateChangeTime": "2026-11-29T07:12:05.123+0000",
        "NewStateReason": "because",
    }
    found = read_record(record(json.dumps(alarm)), BEGAN)
    assert found == Transition(NAME, "OK", ALARM, BEGAN.replace(microsecond=123_000), "because")
    test = read_record(record('{"AlertTest": "7"}'), BEGAN)
    assert isinstance(test, Letter) and (test.kind, test.id) == (Kind.TEST, "test 7")
    for text in ("plain words", '{"AlarmName": 1}', '{"AlertTest": 1}', "[]", "", '{"StateChangeTime": "now"}'):
        note = read_record(record(text, Subject="Hello"), BEGAN)
        assert isinstance(note, Letter) and (note.kind, note.text, note.id) == (Kind.NOTE, text, "note m-1")
        assert message_of(note, CATALOG, {}, LONDON).subject == "totes prod: Hello"
    assert isinstance(read_record({}, BEGAN), Letter)


def test_message_is_as_long_as_it_may_be() -> None:
    """SNS takes a subject of 100 characters; Slack a header of 150 and a section of 3,000; see the module."""
    long = Catalog("totes", "prod", {NAME: Notice("f", "", "rows", False, "x" * 200_000, "y" * 4000)})
    found = begun(catalog=long)
    assert found.subject == "totes prod: " + "x" * 85 + "..."
    assert len(found.text) == 100_000 and found.text.endswith("x...")
    header, what, _, command, _ = (block["text"]["text"] for block in found.slack["blocks"])
    assert header == "totes prod: " + "x" * 135 + "..."
    assert what == "x" * 2997 + "..." and len(command) == 3000
    assert found.slack["text"] == "totes prod: " + "x" * 2985 + "..."
    for name, most in (("x" * 88, "x" * 88), ("x" * 89, "x" * 85 + "...")):
        fits = Catalog("totes", "prod", {NAME: Notice("f", "", "rows", False, name, "")})
        assert begun(catalog=fits).subject == f"totes prod: {most}"


def facts_of(message: Message) -> dict[str, str]:
    found = (re.fullmatch(r"(\w[\w ]*?)  +(.+)", line) for line in message.text.splitlines())
    return {match[1]: match[2] for match in found if match}


def test_batches_are_in_order_and_counted() -> None:
    found = facts_of(begun(Findings(batches={7: {"b": 1}, 6: {"c": 2, "a": 1000}})))
    assert (found["Batches"], found["Rows"]) == ("6 (a: 1,000, c: 2), 7 (b: 1)", "1,003")
    one = facts_of(begun(Findings(batches={7: {"b": 1}})))
    assert (one["Batch"], one["Rows"]) == ("7 (b: 1)", "1")
    assert not {"Batch", "Batches", "Rows"} & set(facts_of(begun(Findings())))


def test_each_alarm_of_an_incident_has_its_words() -> None:
    """What the declaration says of it, else its own description, else its name."""
    others = (Trouble("b", BEGAN, description="B is full."), Trouble("c", BEGAN), Trouble(NAME, BEGAN))
    incident = Incident("a", BEGAN, BEGAN + timedelta(minutes=1), (Trouble("a", BEGAN), *others))
    found = facts_of(begun(incident=incident))
    assert found["Also"] == f"B is full. The alarm c is in ALARM. {NOTICE.what}"
    assert found["Alarm"] == f"a, b, c, {NAME}"
    ended = message_of(Letter("over", Kind.OVER, BEGAN, incident), CATALOG, {}, LONDON)
    assert facts_of(ended) == {
        "It was": "The alarm a is in ALARM.",
        "Since": "2026-11-29 07:12:05 UTC",
        "Until": "2026-11-29 07:13:05 UTC",
        "For": "1 min",
        "Alarm": f"a, b, c, {NAME}",
    }
    local = message_of(Letter("b", Kind.BEGIN, BEGAN, INCIDENT), CATALOG, {}, Place("eu-west-2", "aws", False))
    assert facts_of(local)["Log"] == NOTICE.log_group
    note = message_of(Letter("note", Kind.NOTE, BEGAN, text="words"), CATALOG, {}, LONDON)
    assert (note.subject, note.text) == ("totes prod: a message", "words\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("totes: it  failed\n\tnow ", "totes: it failed now"),
        ("— Größe", "Gr??e"),
        ("\x07 [a]\x7f", "a]"),
        ("...", "a message"),
        ("", "a message"),
    ],
)
def test_subject_keeps_what_sns_takes(text: str, found: str) -> None:
    assert subject(text) == found


def shown_by_slack(what: str) -> list[str]:
    catalog = Catalog("totes", "prod", {NAME: Notice("f", "", "rows", False, what, "")})
    return [block["text"]["text"] for block in begun(catalog=catalog).slack["blocks"]]


def test_slack_shows_whole_entities_and_no_empty_section() -> None:
    assert shown_by_slack("A <b> &  c\nd")[0] == "totes prod: A  b    c d", "a header has no markup"
    assert shown_by_slack("&" * 600)[1] == "&amp;" * 600
    assert shown_by_slack("&" * 601)[1] == "&amp;" * 599 + "...", "no half of one at the end"
    assert shown_by_slack("Disk X. It is full. Call them.")[0] == "totes prod: Disk X"
    assert shown_by_slack("x" * 134 + " " * 30 + "y")[0] == "totes prod: " + "x" * 134 + " y"
    error = facts_of(begun(Findings("x" * 590 + " " * 30 + "y")))["Why"]
    assert error == "x" * 590 + "...", "no blank before the dots"
    note = message_of(Letter("n", Kind.NOTE, BEGAN, text="words", subject="Hello"), CATALOG, {}, LONDON)
    assert [block["text"]["text"] for block in note.slack["blocks"]] == ["totes prod: Hello", "words"]
    assert plain_payload(note) == {"text": "totes prod: Hello\nwords\n"}
    assert [block["text"] for block in note.slack["blocks"]] == [
        {"type": "plain_text", "text": "totes prod: Hello", "emoji": False},
        {"type": "mrkdwn", "text": "words", "verbatim": True},
    ]
