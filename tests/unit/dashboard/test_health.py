"""What the page Health shows: the verdict, and each problem with the command that helps."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.dashboard.pages import health
from lambda_toolkit.pipeline.dashboard.pages.model import BAD, GOOD, UNKNOWN, WARNING
from tests.unit.dashboard.documents import STATUS, TABLES, UNREACHABLE, html, promised, status, text, view

FAILED = status(
    failed_events={
        "count": 4,
        "functions": [
            {
                "function": "totes-dev-load",
                "count": 3,
                "oldest_at": "2026-03-04T11:00:00.000Z",
                "reason": "x",
                "made_good": False,
            },
            {
                "function": "totes-dev-extract",
                "count": 1,
                "oldest_at": "2026-03-04T11:00:00.000Z",
                "reason": "x",
                "made_good": True,
            },
        ],
    }
)


def test_verdict_is_how_far_behind_against_the_promise():
    found = health.verdict(view())
    assert (found.state, found.word, found.sentence) == (GOOD, "Fresh", "42 s behind, promise 30 min")
    assert "Fresh" in text("health", view()) and "every check passes" in text("health", view())


@pytest.mark.parametrize(
    ("documents", "state", "word"),
    [
        ({"status": status(freshness={**STATUS["freshness"], "lag_seconds": 1801.0})}, BAD, "Late"),
        ({"status": promised("late", 2000.0)}, BAD, "Late"),
        ({"status": promised("late", 42.0)}, BAD, "Late"),
        ({"status": promised("fresh", 2000.0)}, BAD, "Late"),
        ({"status": promised("unknown", None)}, UNKNOWN, "Freshness not known"),
        ({"status": promised("fresh", 42.0)}, GOOD, "Fresh"),
        ({"status": "The session token expired."}, UNKNOWN, "Unknown"),
        ({"status": status(freshness={**STATUS["freshness"], "loaded_unknown": True})}, UNKNOWN, "Unknown"),
        ({"status": status(batches=dict.fromkeys(STATUS["batches"]))}, UNKNOWN, "Empty"),
        ({"status": status(functions=[{**STATUS["functions"][0], "version": None}])}, BAD, "Not deployed"),
        ({"status": status(functions=[*STATUS["functions"], {"name": "x", "version": None}])}, BAD, "Not deployed"),
        ({"status": status(open={"rejected": 2, "pending": 0})}, WARNING, "Fresh, 1 problem"),
        ({"status": status(differences=["x is missing", "y is missing"])}, BAD, "Fresh, 2 problems"),
        ({"batches": UNREACHABLE}, UNKNOWN, "Fresh, 1 problem"),
    ],
)
def test_verdict_says_what_is_wrong(documents, state, word):
    found = health.verdict(view(**documents))
    assert (found.state, found.word) == (state, word) and found.sentence


@pytest.mark.parametrize(
    ("documents", "title", "commands"),
    [
        ({"status": UNREACHABLE}, "status cannot be read", ["status"]),
        ({"batches": UNREACHABLE}, "batches cannot be read", ["status"]),
        ({"status": promised("late", 2000.0)}, "payment is late", ["batches", "logs freshness"]),
        ({"status": promised("unknown", None)}, "Freshness of payment is not known", ["logs freshness"]),
        (
            {"status": status(functions=[{**STATUS["functions"][0], "version": None, "state": "not deployed"}])},
            "Not deployed: totes-dev-extract",
            ["plan", ""],
        ),
        ({"status": status(open={"rejected": 2, "pending": 1})}, "Rows are kept out", ["rejected", "replay"]),
        ({"status": status(open={"rejected": 0, "pending": 1})}, "Rows are kept out", ["rejected"]),
        ({"status": status(differences=["view x is missing"])}, "differs from its declaration", ["prepare"]),
        (
            {"status": status(subscriptions=[{"address": "a@example.com", "state": "not confirmed"}])},
            "a@example.com gets no alerts",
            [""],
        ),
        ({"status": status(batches=dict.fromkeys(STATUS["batches"]))}, "Nothing was extracted yet", ["run"]),
        ({"tables": TABLES}, "Something of dim_staff is missing", ["prepare"]),
        ({"status": FAILED}, "3 events of totes-dev-load failed for good", ["replay --failed"]),
    ],
)
def test_each_problem_has_the_command_that_helps(documents, title, commands):
    [found] = health.problems(view(**documents))
    assert title in found.title
    assert list(found.commands) == [f"lambda-script {command}".strip() for command in commands]
    shown = text("health", view(**documents))
    assert title in shown and all(command in shown for command in found.commands)


@pytest.mark.parametrize(
    ("description", "command"),
    [
        ("It failed. What helps: python deploy.py logs load --stage dev", "lambda-script logs load"),
        ("It failed. What helps: python deploy.py rejected", "lambda-script rejected"),
        ("It failed. What helps: lambda-script replay --failed --stage dev\n", "lambda-script replay --failed"),
        ("It failed. What helps: ring the owner", "ring the owner"),
        ("It failed.", "lambda-script logs load --since 1h"),
    ],
)
def test_raised_alarm_is_the_first_problem(description, command):
    """With the command that its description on CloudWatch ends with, which is the configuration's."""
    raised = {"state": "ALARM", "since": "2026-03-04 11:58:42Z", "reason": "1 of 1", "description": description}
    alarms = [*STATUS["alarms"], {"name": "totes-dev-load-errors", **raised}]
    of = view(status=status(alarms=alarms, open={"rejected": 1, "pending": 0}))
    first = health.problems(of)[0]
    assert (first.title, first.since) == ("Alarm totes-dev-load-errors", "11:58:42, 2 min ago")
    assert (first.detail, first.commands) == ("It failed.", (command,))
    assert (health.verdict(of).state, health.verdict(of).word) == (BAD, "Fresh, 2 problems")
    assert "It failed. 1 of 1" in text("health", of)


def test_alarm_of_no_function_leads_to_all_logs():
    """One that was made by hand may have no description."""
    alarm = {"state": "ALARM", "since": "2026-03-04 11:58:42Z", "reason": "1 of 1"}
    names = ("totes-dev-loading", "totes-dev-load-errors", "other")
    described = [{"description": None}, {}, {"description": ""}]
    alarms = [{**alarm, "name": name, **more} for name, more in zip(names, described, strict=True)]
    found = health.problems(view(status=status(alarms=alarms)))
    assert [(each.title, each.detail, each.commands) for each in found] == [
        ("Alarm totes-dev-loading", "", ("lambda-script logs --since 1h",)),
        ("Alarm totes-dev-load-errors", "", ("lambda-script logs load --since 1h",)),
        ("Alarm other", "", ("lambda-script logs --since 1h",)),
    ]


def test_problems_say_what_is_known_of_them():
    functions = [{**STATUS["functions"][0], "name": name, "version": None} for name in ("a", "b")]
    [failed] = health.problems(view(status=FAILED))
    [table] = health.problems(view(tables=TABLES))
    [missing] = health.problems(view(status=status(functions=functions)))
    [unread] = health.problems(view(status=UNREACHABLE))
    assert (failed.state, failed.detail, failed.since) == (WARNING, "x", "11:00:00, 1 h ago")
    assert (table.state, table.detail, table.since) == (BAD, "The warehouse has no table dim_staff.", "")
    assert (missing.state, missing.title) == (BAD, "Not deployed: a, b")
    assert (unread.state, unread.detail) == (UNKNOWN, UNREACHABLE)


def test_messages_of_the_local_stack_are_shown_newest_first():
    message = {
        "received_at": "2026-03-04T11:59:00Z",
        "channel": "email",
        "to": "a@example.com",
        "subject": "",
        "text": "",
    }
    sent = [{**message, "subject": f"number {number}", "text": "<b>"} for number in range(9)]
    of = view(messages={"format": 1, "messages": sent})
    [messages] = [section for section in health.sections(of) if section.id == "messages"]
    listed = [(each["id"], each["subject"]) for each in messages.shown["messages"]]
    assert listed == [(number + 1, f"number {number}") for number in (8, 7, 6, 5, 4, 3)], "the last six"
    shown = text("health", of)
    assert shown.index("number 8") < shown.index("number 7")
    assert "11:59:00 email to a@example.com" in shown and "&lt;b&gt;" in html("health", of)
    assert "None has arrived" in text("health", view(messages={"format": 1, "messages": []}))
    assert "Messages" not in text("health", view(messages={"messages": None}))


def test_promise_that_is_kept_says_up_to_when():
    assert "42 s behind, promise 30 min. Every change before 11:59:00 is there" in text(
        "health", view(status=promised("fresh", 42.0))
    )
