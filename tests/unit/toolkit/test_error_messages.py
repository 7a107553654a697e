"""What a failed call and a failed function say: the call, the resource, the reason, and never a secret."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from lambda_toolkit.aws.error_messages import Request, api_error_of, as_aws_error, cause_of, function_failure
from lambda_toolkit.aws.retries import ApiError, Retry

CLIENT = SimpleNamespace(meta=SimpleNamespace(method_to_api_mapping={"put_rule": "PutRule"}))
SUBJECTS = [
    *("FunctionName", "RoleName", "Bucket", "AlarmName", "LayerName", "logGroupName", "SecretId", "TopicArn", "Rule"),
    *("Name", "AlarmNames", "AlarmNamePrefix", "NamePrefix", "ResourceARN", "Resource"),
]


def request(service: str = "events", operation: str = "put_rule", **parameters: Any) -> Request:
    return Request(CLIENT, service, operation, parameters)


def said(asked: Request, message: str = "no.", code: str = "Denied", *more: Any, **options: Any) -> str:
    failure = ApiError(asked.service, asked.operation, code, message, 400)
    return str(as_aws_error(asked, failure, *(more or (None, 0.0)), **options))


@pytest.mark.parametrize("number", range(len(SUBJECTS)))
def test_most_specific_parameter_names_the_resource(number: int) -> None:
    given = {name: f"the {name}" for name in reversed(SUBJECTS[number:])}
    assert said(request(**given)) == f"events:PutRule the {SUBJECTS[number]}: no (Denied)."


def test_error_says_what_is_known() -> None:
    assert said(request("iam", "make_it"), "", "AccessDenied") == (
        "iam:make_it: no reason given (AccessDenied). The credentials in use need iam:make_it."
    )
    assert said(request(Rule="", Name="r"), "no") == "events:PutRule r: no (Denied)."
    error = as_aws_error(request(), ApiError("events", "put_rule", "X", "m"), None, 0.0, unanswered=True)
    assert (error.code, error.operation, error.unanswered) == ("X", "events:PutRule", True)


@pytest.mark.parametrize(
    ("waited", "after"), [(0.99, ""), (1.0, " (for 1 s: throttled)"), (61.6, " (for 62 s: throttled)")]
)
def test_error_after_retries_says_how_long(waited: float, after: str) -> None:
    assert said(request(), "no", "Denied", Retry("throttled", 60), waited) == f"events:PutRule: no (Denied){after}."
    assert said(request(), "no", "Denied", None, waited) == "events:PutRule: no (Denied)."


def test_answer_of_aws_is_read() -> None:
    answer = {"Error": {"Code": "Lost", "Message": "it is"}, "ResponseMetadata": {"HTTPStatusCode": 410}}
    assert api_error_of(request(), ClientError(answer, "PutRule")) == ApiError(
        "events", "put_rule", "Lost", "it is", 410
    )
    assert api_error_of(request(), ClientError({}, "PutRule")) == ApiError("events", "put_rule", "", "", 0)
    assert api_error_of(request(), OSError("broken")) == ApiError("events", "put_rule", "OSError", "broken")
    wrong = ParamValidationError(report="Invalid type for SecretString, value: hidden")
    assert api_error_of(request(), wrong).message == "a parameter has the wrong type"


@pytest.mark.parametrize(("value", "shown"), [("12345", "12345"), ("123456", "********"), ('a"b\nc\u00e9', "********")])
def test_secret_values_are_masked_however_they_are_written(value: str, shown: str) -> None:
    for asked in (
        request("secretsmanager", SecretString=value),
        request("lambda", Environment={"Variables": {"URL": value}}),
    ):
        for written in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            assert f": is <{shown}> (" in said(asked, f"is <{written}>")


def test_longer_secret_is_masked_before_one_within_it() -> None:
    asked = request("lambda", Environment={"Variables": {"A": "secret", "B": "secret-and-more"}})
    assert ": <********> <********> (" in said(asked, "<secret-and-more> <secret>")
    assert ": no (" in said(request("lambda", Environment="wrong"), "no")


def test_cause_is_shown_where_it_has_no_secret() -> None:
    error = OSError()
    assert cause_of(request(Environment={"Variables": {}}), error) is error
    assert cause_of(request("secretsmanager"), error) is None
    assert cause_of(request(SecretString="x"), error) is None
    assert cause_of(request(Environment={"Variables": {"A": "x"}}), error) is None


@pytest.mark.parametrize(
    ("payload", "kind", "text"),
    [
        ("no json", "Error", "no json"),
        ("", "Error", "no message"),
        ("[1]", "Error", "[1]"),
        ("{}", "Error", "no message"),
        ('{"errorType": "Exception", "errorMessage": "m"}', "Exception", "m"),
        ('{"errorType": "Error", "errorMessage": "m"}', "Error", "m"),
        ('{"errorType": "Unhandled", "errorMessage": "m"}', "Unhandled", "m"),
        ('{"errorType": "Runtime.HandlerError", "errorMessage": "m"}', "Runtime.HandlerError", "m"),
        ('{"errorType": "KeyError", "errorMessage": "m"}', "KeyError", "m (KeyError)"),
    ],
)
def test_failure_of_a_function_is_one_line(payload: str, kind: str, text: str) -> None:
    found = function_failure(payload)
    assert (found.error_type, found.text) == (kind, text)
