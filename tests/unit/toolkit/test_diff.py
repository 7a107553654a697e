"""Desired and live state, compared by attribute, and shown without secrets."""

from __future__ import annotations

import pytest

from lambda_toolkit.changes import Difference
from lambda_toolkit.resources.planning.diff import differences, environment_differences, looks_secret, tag_differences


def test_only_what_is_desired_is_compared() -> None:
    assert differences({"a": 1, "theirs": 2}, {"a": 1}) == ()
    assert differences({"a": 1}, {"a": 2, "b": None}) == (Difference("a", 1, 2),)


def test_of_a_mapping_every_key_counts() -> None:
    found = differences({"d": {"x": "1", "y": "2"}}, {"d": {"x": "1", "z": "3"}}, "alarm")
    assert found == (Difference("alarm.d.y", "2", None), Difference("alarm.d.z", None, "3"))


def test_environment_shows_names_but_no_secret_values() -> None:
    """The environment is shown by name and its secrets are not."""
    found = environment_differences(
        {"COLOUR": "red", "TOKEN": "hunter2", "PIN": "1234"}, {"COLOUR": "blue", "PIN": "4321"}, secret=["PIN"]
    )
    assert [str(item) for item in found] == [
        "Environment.COLOUR: red -> blue",
        "Environment.TOKEN: ******** -> none",
        "Environment.PIN: ******** -> ********",
    ]
    assert not any(word in f"{found!r}{found[1].shown_live}" for word in ("hunter2", "1234", "4321"))


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("DB_PASSWORD", "x", True),
        ("API_KEY", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("DATABASE_URL", "postgresql://u:hush@h/d", True),
        ("ANY", "AKIAIOSFODNN7EXAMPLE", True),
        ("ANY", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("DATABASE_URL", "postgresql://h/d", False),
        ("INGESTION_BUCKET", "totes-dev-ingestion-123456789012", False),
        ("PASSENGERS", "4", False),
        ("TOKEN", "", False),
    ],
)
def test_what_looks_secret(name: str, value: str, secret: bool) -> None:
    assert looks_secret(name, value) == secret


def test_a_long_value_is_cut_where_it_begins_to_differ() -> None:
    line = str(Difference("policy", "x" * 300 + "a" * 300, "x" * 300 + "b" * 300))
    assert "xa" in line
    assert "xb" in line
    assert len(line) < 230


def test_tags() -> None:
    assert [str(item) for item in tag_differences({"a": "1"}, {"b": "2", "a": "3"})] == [
        "tags.a: 1 -> 3",
        "tags.b: none -> 2",
    ]
