"""The stored form of the notifier's state: each release reads what the one before wrote, and finds the newest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_toolkit.pipeline.lambdas.notifier.incidents import ALARM, OK, Incident, Incidents, Known, Trouble
from lambda_toolkit.pipeline.lambdas.notifier.letters import Kind, Letter, Slack, State
from lambda_toolkit.pipeline.lambdas.notifier.notices import NotifierError
from lambda_toolkit.pipeline.lambdas.notifier.state_file import StateFile, document_of, key_of, number_of, state_of
from tests.support.memory_s3 import MemoryS3
from tests.support.notified import at

TROUBLE = {"alarm": "errors", "since": "2026-01-01T00:00:01+00:00", "reason": "three", "description": "Call them."}
WORDLESS = {"reason": "", "description": ""}
OPEN = {
    "key": "extract",
    "began": "2026-01-01T00:00:01+00:00",
    "last_bad": "2026-01-01T00:00:02+00:00",
    "troubles": [TROUBLE],
    "over": False,
}
CLOSED = {**OPEN, "key": "load", "troubles": [], "over": True}
WRITTEN: dict[str, Any] = {
    "format": 1,
    "incidents": {
        "open": [OPEN],
        "closed": [CLOSED],
        "covered": {"load": "2026-01-01T00:00:03+00:00"},
        "known": {
            "errors": {"state": "ALARM", "bad": True, "since": "2026-01-01T00:00:04+00:00"},
            "silent": {"state": "OK", "bad": False, "since": None},
        },
    },
    "letters": [
        {
            "id": "begin extract",
            "kind": "begin",
            "written": "2026-01-01T00:00:05+00:00",
            "incident": OPEN,
            "text": "words in Köln",
            "subject": "Hello",
            "emailed": True,
            "slack": "dropped",
            "not_before": "2026-01-01T00:00:06+00:00",
            "claimed_by": "r-1",
            "claimed_until": "2026-01-01T00:00:07+00:00",
        },
        {
            "id": "note 1",
            "kind": "note",
            "written": "2026-01-01T00:00:08+00:00",
            "incident": None,
            "text": "",
            "subject": "",
            "emailed": False,
            "slack": "pending",
            "not_before": None,
            "claimed_by": "",
            "claimed_until": None,
        },
    ],
    "seen": ["note 1", "test 7"],
    "slack_fails_since": "2026-01-01T00:00:09+00:00",
    "slack_reason": "busy",
}
INCIDENT = Incident("extract", at(1), at(2), (Trouble("errors", at(1), "three", "Call them."),))
STATE = State(
    Incidents(
        open=(INCIDENT,),
        closed=(Incident("load", at(1), at(2), (), over=True),),
        covered={"load": at(3)},
        known={"errors": Known(ALARM, True, at(4)), "silent": Known(OK, False)},
    ),
    letters=(
        Letter(
            *("begin extract", Kind.BEGIN, at(5), INCIDENT, "words in Köln", "Hello"),
            emailed=True,
            slack=Slack.DROPPED,
            not_before=at(6),
            claimed_by="r-1",
            claimed_until=at(7),
        ),
        Letter("note 1", Kind.NOTE, at(8)),
    ),
    seen=("note 1", "test 7"),
    slack_fails_since=at(9),
    slack_reason="busy",
)


def test_state_is_written_and_read_with_all_that_it_has() -> None:
    assert json.loads(document_of(STATE)) == WRITTEN
    assert state_of(document_of(STATE), "s3://lake/x") == STATE
    assert state_of(document_of(State()), "s3://lake/x") == State()
    empty = {"open": [], "closed": [], "covered": {}, "known": {}}
    of_nothing = {"letters": [], "seen": [], "slack_fails_since": None, "slack_reason": ""}
    assert json.loads(document_of(State())) == {"format": 1, "incidents": empty, **of_nothing}
    silent = {**WRITTEN, "incidents": {**empty, "open": [{**OPEN, "troubles": [{**TROUBLE, **WORDLESS}]}]}}
    [found] = state_of(json.dumps(silent).encode(), "s3://lake/x").incidents.open
    assert found.troubles == (Trouble("errors", at(1)),)
    assert "words in Köln".encode() in document_of(STATE), "people read it, too"


def test_trouble_may_have_what_an_older_release_wrote() -> None:
    older = {
        **WRITTEN,
        "incidents": {**WRITTEN["incidents"], "open": [{**OPEN, "troubles": [{**TROUBLE, "measured": 3}]}]},
    }
    assert state_of(json.dumps(older).encode(), "s3://lake/x") == STATE


@pytest.mark.parametrize("content", [b"[]", b"7", b"{}", b'{"format": 1}', b'{"format": 1, "incidents": []}'])
def test_other_content_is_refused_with_its_place(content: bytes) -> None:
    with pytest.raises(NotifierError, match=r"s3://lake/x is not a state of the notifier"):
        state_of(content, "s3://lake/x")


def test_number_counts_down_in_the_key() -> None:
    assert (key_of(1), key_of(99_999_999)) == ("incidents/99999998.json", "incidents/00000000.json")
    assert (number_of("incidents/99999998.json"), number_of("incidents/00000000.json")) == (1, 99_999_999)
    for key in ("incidents/.json", "incidents/1²345678.json", "incidents/٣.json", "other/99999998.json"):
        with pytest.raises(NotifierError, match="in the place of the notifier's states"):
            number_of(key)


class Refusing:
    """An S3 that refuses each write with an error, and keeps how it was asked."""

    exceptions = MemoryS3.exceptions

    def __init__(self, code: str) -> None:
        self.code = code
        self.asked: dict[str, Any] = {}

    def put_object(self, **asked: Any) -> None:
        self.asked = asked
        raise ClientError({"Error": {"Code": self.code}}, "PutObject")


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_write_says_that_another_was_faster(code: str) -> None:
    s3 = Refusing(code)
    assert StateFile(s3, "lake").write(2, STATE) is False
    assert s3.asked == {
        "Bucket": "lake",
        "Key": "incidents/99999997.json",
        "Body": document_of(STATE),
        "IfNoneMatch": "*",
        "ContentType": "application/json",
    }


def test_write_that_is_refused_is_raised() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        StateFile(Refusing("AccessDenied"), "lake").write(1, STATE)


class Pages:
    """An S3 whose first pages of a listing are empty."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[dict[str, Any]] = []

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return self.pages.pop(0)

    def get_object(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        s3 = MemoryS3()
        s3.create_bucket("lake")
        s3.put_object(Bucket="lake", Key=str(asked["Key"]), Body=document_of(STATE))
        return s3.get_object(**asked)


def test_newest_state_is_behind_an_empty_page() -> None:
    empty = {"IsTruncated": True, "NextContinuationToken": "next"}
    s3 = Pages(empty, {"Contents": [{"Key": key_of(7)}], "IsTruncated": True, "NextContinuationToken": "more"})
    assert StateFile(s3, "lake").read() == (7, STATE)
    every = {"Bucket": "lake", "Prefix": "incidents/", "MaxKeys": 1}
    assert s3.asked == [every, {**every, "ContinuationToken": "next"}, {"Bucket": "lake", "Key": key_of(7)}]
    assert StateFile(Pages(empty, {"IsTruncated": False}), "lake").read() == (0, State())


def test_change_is_made_again_from_what_another_wrote() -> None:
    s3 = MemoryS3()
    s3.create_bucket("lake")
    file = StateFile(s3, "lake")
    found: list[State] = []

    def change(state: State) -> State:
        found.append(state)
        if len(found) < 20:  # another invocation is faster, nineteen times
            file.write(len(found), State(seen=(str(len(found)),)))
        return State(seen=(*state.seen, "mine"))

    assert file.change(change) == State(seen=("19", "mine"))
    assert file.read() == (20, State(seen=("19", "mine")))
    found.clear()
    with pytest.raises(NotifierError, match="changed by others 20 times"):
        file.change(lambda state: [file.write(file.read()[0] + 1, State(seen=(str(file.read()[0]),))), STATE][1])
