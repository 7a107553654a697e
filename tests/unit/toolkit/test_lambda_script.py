"""The public interface of the toolkit: its names, its import time, and its advice."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lambda_script
from lambda_script import Advice, Change, DeployError, Failure, Hint, OwnershipError, PlanError, Report
from lambda_toolkit import calls, lazy_names
from lambda_toolkit.pipeline.commands.shared.show_changes import wording

SLOW = (
    "boto3",
    "botocore",
    "lambda_toolkit.aws",
    "lambda_toolkit.deploy",
    "lambda_toolkit.packaging",
    "zipfile",
    "ssl",
)


@pytest.mark.parametrize("name", lambda_script.__all__)
def test_public_name_exists(name):
    assert getattr(lambda_script, name) is not None


def test_every_public_name_is_exported():
    own = {
        name
        for name, value in vars(lambda_script).items()
        if getattr(value, "__module__", "").startswith(("lambda_toolkit", "lambda_script")) and not name.startswith("_")
    }
    of_scripts = {"declare", "end_script", "names_checked", "only_declares", "shown_on_terminal"}
    steps = {"Arguments", "apply_all", "function_spec", "together", "new_client", "shown_as_init", "worded_as"}
    assert own - steps - of_scripts < {*lambda_script.__all__}
    assert {*lazy_names.MODULES} < {*lambda_script.__all__}


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = lambda_script.nothing


def test_import_is_quick():
    code = f"import sys, lambda_script; print([name for name in {SLOW} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("hint", Hint)
def test_every_hint_is_worded_for_python_and_the_command_line(hint):
    advice = Advice(hint, ("orders", "3"))
    in_python, in_commands = advice.worded(calls.WORDING), advice.worded(wording())
    assert in_python != in_commands
    assert "--" not in in_python


def test_errors_are_in_the_words_of_python_and_keep_their_advice(monkeypatch):
    def refuse(*_, **__):
        raise PlanError([OwnershipError("A role `r` exists.", advice=Advice(Hint.ADOPT)), OwnershipError("And more.")])

    monkeypatch.setattr("lambda_toolkit.deploy.plan.make_plan", refuse)
    with pytest.raises(PlanError) as raised:
        lambda_script.plan(lambda_script.Deployment())
    assert str(raised.value) == "A role `r` exists. To adopt it, deploy once with adopt=True.\nAnd more."
    assert raised.value.worded(wording()) == "A role `r` exists. To adopt it, deploy once with --adopt.\nAnd more."


def test_advice_of_a_failed_change_is_worded():
    change = Change("function", "orders", "update", apply=lambda aws: None)
    failure = Failure(change, "Rolling back failed.", Advice(Hint.ROLLBACK_TO, ("orders", "3")))
    error = DeployError(Report(failed=(failure,)))
    assert error.worded(wording()).splitlines()[0] == (
        "function orders: Rolling back failed. To do it: python deploy.py rollback orders --to 3"
    )
