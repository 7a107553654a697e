"""Secret values appear in no message and in no traceback."""

from __future__ import annotations

import traceback

import pytest

from lambda_script import DeployError, ToolkitError
from lambda_toolkit.aws.client import Aws

VALUE = 'postgresql://reader:hunter22@db/"shop"'


def test_an_environment_that_lambda_quotes_is_masked(script, recorder) -> None:
    quoted = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        'exceeded the 4KB limit. String measured: {"DSN":"postgresql://reader:hunter22@db/\\"shop\\""}'
    )
    recorder.refuse("CreateFunction", "InvalidParameterValueException", quoted)
    with pytest.raises(DeployError) as caught:
        script(environment={"DSN": VALUE}).deploy()
    assert "exceeded the 4KB limit" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter22" not in shown
    assert "********" in shown


def test_the_cause_of_a_refused_environment_is_not_shown(aws: Aws, recorder) -> None:
    recorder.refuse(
        "UpdateFunctionConfiguration", "ValidationException", f"Value '{VALUE}' failed to satisfy constraint"
    )
    with pytest.raises(ToolkitError) as caught:
        aws.call(
            "lambda",
            "update_function_configuration",
            FunctionName="my-function",
            Environment={"Variables": {"DSN": VALUE}},
        )
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))


def test_a_value_that_is_a_word_of_aws_does_not_end_the_waiting(script, recorder) -> None:
    message = "The role defined for the function cannot be assumed by Lambda."
    recorder.refuse("CreateFunction", "InvalidParameterValueException", message, times=2)
    assert script(environment={"MODE": "cannot be assumed"}).deploy().ok
