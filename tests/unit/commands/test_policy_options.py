"""``policy``: which options exclude each other, whose account it is, and when it says that a policy is long."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_script import deployer_policy
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

ACCOUNT = "123456789012"
TRUST = ["--trust", "github", "--repository", "me/shop"]


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = SimpleNamespace(
        aws=lambda: SimpleNamespace(account_id=ACCOUNT), pipeline=load(DEFAULT_PATH), is_local=False
    )
    monkeypatch.setattr(options, "choose", lambda *_: found)
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    return found


@pytest.fixture
def call(target: Any) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(deploy.main, ["policy", *arguments])


def actions(done: Result) -> set[str]:
    found = [item["Action"] for item in json.loads(done.stdout)["Statement"]]
    return {action for each in found for action in ([each] if isinstance(each, str) else each)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--read-only", "--operate"], "--read-only and --operate exclude each other."),
        (["--operate", "--delete-data"], "--operate and --delete-data exclude each other."),
        (["--delete-data", "--function", "load"], "--delete-data and --function exclude each other."),
        (["--function", "load", *TRUST], "--function and --trust exclude each other."),
        (["--boundary", "--operate"], "--boundary and --operate exclude each other."),
        (["--boundary", "--read-only"], "--boundary and --read-only exclude each other."),
        (["--function", "nonsense"], "nonsense"),
        (["--trust", "github", "--repository", "a"], "OWNER@ID/REPO@ID; 'a' is not."),
        (["--boundary", *TRUST], "--boundary and --trust exclude each other."),
        (["--boundary", "--delete-data", "--function", "load"], "--delete-data and --function exclude each other."),
        (["--boundary", "--delete-data"], "names no `permissions_boundary` in [pipeline]"),
        (["--account", "12345678901"], "--account is the 12 digits of an AWS account; '12345678901' is not."),
        (["--account", "1234567890123"], "--account is the 12 digits"),
        (["--trust", "github"], "--trust and --repository go together."),
        (["--repository", "me/shop"], "--trust and --repository go together."),
        ([*TRUST, "--environment", "a", "--branch", "b"], "Give --environment or --branch"),
        (["--trust", "github", "--repository", "me@1x/shop"], "OWNER@ID/REPO@ID; 'me@1x/shop' is not."),
        (["--trust", "github", "--repository", "me/shop/x"], "OWNER@ID/REPO@ID; 'me/shop/x' is not."),
    ],
)
def test_options_of_two_policies_are_refused(call: Callable[..., Result], arguments: list[str], says: str) -> None:
    done = call(*arguments)
    assert (done.exit_code, says in done.stderr, done.stdout) == (2, True, "")


@pytest.mark.parametrize(
    ("arguments", "has", "lacks"),
    [
        ([], "lambda:CreateFunction", "s3:DeleteObject"),
        (["--delete-data"], "s3:DeleteObject", "sts:AssumeRoleWithWebIdentity"),
        (["--read-only"], "lambda:GetFunction", "lambda:CreateFunction"),
        (["--operate"], "lambda:InvokeFunction", "lambda:CreateFunction"),
        (["--function", "load"], "secretsmanager:GetSecretValue", "lambda:InvokeFunction"),
        (TRUST, "sts:AssumeRoleWithWebIdentity", "lambda:InvokeFunction"),
    ],
)
def test_policy_of_the_account_that_is_asked(
    call: Callable[..., Result], arguments: list[str], has: str, lacks: str
) -> None:
    done = call(*arguments)
    assert done.stderr.splitlines()[0] == f"For the account {ACCOUNT}, which the credentials are of:"
    assert has in actions(done) and lacks not in actions(done)
    given = call("--account", "210987654321", *arguments)
    assert ":210987654321:" in given.stdout and ACCOUNT not in given.output
    assert given.stdout.replace("210987654321", ACCOUNT) == done.stdout


def test_account_of_the_local_stack_is_none(call: Callable[..., Result], target: Any) -> None:
    target.is_local = True
    done = call()
    assert (done.exit_code, done.stdout) == (2, "")
    assert "its account is none of AWS" in done.stderr
    assert call("--account", ACCOUNT).exit_code == 0


def test_policy_that_is_too_long_is_said_to_be(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    length = deployer_policy.length(json.loads(call("--account", ACCOUNT).stdout))
    for longest, says in ((length, False), (length - 1, True)):
        monkeypatch.setattr(deployer_policy, "LONGEST", longest)
        done = call("--account", ACCOUNT)
        assert (done.exit_code, f"This has {length:,} characters" in done.stderr) == (0, says)
