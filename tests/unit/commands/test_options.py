"""Parsers of options: durations, log lines, events."""

from __future__ import annotations

import json

import pytest

from lambda_toolkit.pipeline.client.observing.logs import error_in
from lambda_toolkit.pipeline.commands.invoke import _event
from lambda_toolkit.pipeline.commands.logs import seconds
from lambda_toolkit.pipeline.errors import UsageError


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_lengths_of_time(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "1w", "1.5h"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UsageError, match="30s, 10m, 2h or 1d"):
        seconds(text)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"level": "ERROR", "message": "no table x"}', "no table x"),
        ('{"level": "INFO", "message": "recovered from an ERROR"}', None),
        ("START RequestId: 1", None),
        ("[ERROR] Runtime.ImportModuleError: no pyarrow", "[ERROR] Runtime.ImportModuleError: no pyarrow"),
        ("2026-01-01 1234 Task timed out after 3.00 seconds", "2026-01-01 1234 Task timed out after 3.00 seconds"),
        ("{broken", None),
    ],
)
def test_log_errors_are_distinguished_from_other_lines(line, complaint):
    assert error_in(line) == complaint


def test_an_event_is_an_object_in_a_file(tmp_path):
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"action": "report"}))
    assert _event(str(path)) == {"action": "report"}
    assert _event(None) == {}
    assert _event(' {"action": "report"}') == {"action": "report"}
    path.write_text("[1]")
    with pytest.raises(UsageError, match="must hold a JSON object, not list"):
        _event(str(path))
    path.write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        _event(str(path))
    with pytest.raises(UsageError, match="no event file"):
        _event(str(tmp_path / "none.json"))
