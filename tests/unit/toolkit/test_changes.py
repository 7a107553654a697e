"""Differences, reports and errors as text, what looks like a secret, and prices that are estimated."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.changes import Artifact, Change, Difference, Failure, Plan, Report
from lambda_toolkit.errors import AwsError, PackageError, PlanError, ToolkitError, raise_all
from lambda_toolkit.resources.planning.diff import looks_secret
from lambda_toolkit.spec.prices import price_list


@pytest.mark.parametrize(
    ("live", "desired", "text"),
    [
        *((empty, 0, "none -> 0") for empty in (None, "", [], (), {})),
        (False, ["b", "a"], "False -> b, a"),
        ({"b": 1, "a": 2}, [1, "x"], '{"a": 2, "b": 1} -> [1, "x"]'),
        ("x" * 100, "y", f"{'x' * 100} -> y"),
        ("x" * 101, "y", f"{'x' * 97}... -> y"),
        ("s" * 30 + "a" * 80, "s" * 30 + "b", f"...{'s' * 20}{'a' * 74}... -> ...{'s' * 20}b"),
        ("s" * 20 + "a" * 90, "s" * 20 + "b", f"{'s' * 20}{'a' * 77}... -> {'s' * 20}b"),
    ],
)
def test_difference_is_one_line(live: Any, desired: Any, text: str) -> None:
    assert str(Difference("x", live, desired)) == f"x: {text}"


def test_copy_of_a_package_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "build" / "f.zip"
    Artifact(path, b"1").write()
    assert path.read_bytes() == b"1"
    path.chmod(0o400)
    Artifact(path, b"1").write()
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(PackageError, match="Choose another zip_file_name"):
        Artifact(blocked / "f.zip", b"1").write()


def test_report_counts_each_change_once() -> None:
    change = Change("thing", "a", "create", apply=lambda _: None)  # type: ignore[arg-type]
    failure = Failure(change, "no")
    assert [Report((change,)).ok, Report((), (failure,)).ok, Report((), (), (failure,)).ok] == [True, False, False]
    assert Report((change,), (failure,), (failure,)).total == 3
    assert [bool(Plan()), bool(Plan((change,))), change.key] == [False, True, ("thing", "a")]


def test_same_problem_is_raised_once() -> None:
    raise_all([])
    with pytest.raises(ToolkitError, match=r"^a$"):
        raise_all([ToolkitError("a"), ToolkitError("a")])
    with pytest.raises(PlanError) as both:
        raise_all([ToolkitError("a"), AwsError("x", code="Other"), AwsError("y", code="Other")])
    assert len(both.value.problems) == 3
    with pytest.raises(AwsError, match=r"^x$"):
        raise_all([AwsError("x", code="ExpiredToken"), AwsError("y", code="ExpiredToken")])


SECRET = """
PASSWORD DB_PASS PASSWD PASSPHRASE passwd_x MY_SECRET TOKEN_URL CREDENTIALS APIKEY API_KEY PRIVATE_KEY ACCESSKEY
signing_key ENCRYPTION_KEY KEY MY_KEY AUTH X_AUTH PAT MY_PAT
"""
PLAIN = "PASSENGERS KEYS KEYBOARD AUTHOR PATH MONKEY COMPASSION PUBLIC_KEY_X PATTERN BYPASSED HOST"
VALUES = (
    *("postgres://u:p@h/d", "https://:p@h", "-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----"),
    *("AKIA" + "A" * 16, "x ASIA" + "B" * 16, f"eyJ{'a' * 10}.{'b' * 10}.c", "ghp_" + "a" * 10, "xoxb-" + "a" * 10),
    *("github_pat_" + "a" * 10, "sk_live_" + "a" * 10, "sk-live-" + "a" * 10, "gho_" + "a" * 10, "ghs_" + "a" * 10),
)
NO_VALUES = (
    "postgres://h/d",
    "https://u@h",
    "AKIA" + "A" * 15,
    "XAKIA" + "A" * 16,
    "eyJhbGci.x.y",
    "ghp_short",
    "sk_test",
)


def test_secrets_are_known_by_name_or_value() -> None:
    assert [name for name in SECRET.split() if not looks_secret(name, "x")] == []
    assert [name for name in PLAIN.split() if looks_secret(name, "x")] == []
    assert [value for value in VALUES if not looks_secret("ANY", value)] == []
    assert [value for value in NO_VALUES if looks_secret("ANY", value)] == []
    assert [looks_secret("TOKEN", value) for value in (None, "", 5)] == [False, False, True]
    assert looks_secret("ANY", 5) is False


def test_prices_of_an_unknown_region_are_estimated() -> None:
    base, here, unknown = (price_list(region) for region in ("us-east-1", "eu-west-2", "xx-north-9"))
    assert (base.is_estimated, here.is_estimated, unknown.is_estimated) == (False, False, True)
    assert base.hours == Decimal(730)
    ratios = {unknown[name].amount / price.amount for name, price in base.prices.items() if price.amount}
    assert len(ratios) == 1
    assert ratios.pop() >= 1
    assert {name: price.free for name, price in unknown.prices.items()} == {
        name: price.free for name, price in base.prices.items()
    }
