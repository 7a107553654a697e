"""Rollback moves the alias ``live`` in one call to an existing version."""

from __future__ import annotations

import pytest

from lambda_script import OwnershipError, ToolkitError
from tests.support.function_releases import edit, live
from tests.support.sessions import ACCOUNT, REGION

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function"


def test_a_rollback_is_one_call_and_the_plan_shows_it(script, source, client, recorder) -> None:
    for text in ("1", "2", "3"):
        edit(source, text)
        script().deploy()
    recorder.clear()
    done = script().rollback()
    assert recorder.writes == ["UpdateAlias"]
    assert str(done) == "my-function: live was version 3 and is now version 2."
    assert live(client) == "2"
    [change] = script().plan().changes
    assert change.details == ("live is version 2; what is declared was released as 3",)
    recorder.clear()
    assert script().rollback().to_version == "2"  # repeated, as after an answer that was lost
    assert recorder.writes == []
    assert script().rollback(to=1).to_version == "1"
    assert script().rollback(to=3).to_version == "3"
    assert not script().plan()
    recorder.clear()
    assert "already" in str(script().rollback(to="3"))
    assert recorder.writes == []


def test_a_rollback_to_nowhere_lists_what_there_is(script, client, recorder) -> None:
    with pytest.raises(ToolkitError, match="not released yet"):
        script().rollback()
    script().deploy()
    recorder.clear()
    with pytest.raises(ToolkitError, match="no version older than 1.*There are: 1"):
        script().rollback()
    with pytest.raises(ToolkitError, match="no version 9. There are: 1"):
        script().rollback(to=9)
    client("lambda").untag_resource(Resource=FUNCTION, TagKeys=["managed-by"])
    with pytest.raises(OwnershipError):
        script().rollback(to=1)
    assert recorder.writes == []
