"""Settings of a function, its release, permissions and tags: how two are compared, and what is sent."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.functions import declared_settings, release, settings
from lambda_toolkit.resources.planning import alias, destinations, invoke_permission, tags
from lambda_toolkit.resources.planning.alias import LiveAlias, Release
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.network import Vpc

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1"


def spec(**different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": "f", "source": Path("f.py"), **different})


class Calls:
    """AWS, which notes what it is asked and answers what a test says."""

    def __init__(self, *answers: Any) -> None:
        self.made: list[tuple[Any, ...]] = []
        self._answers = [*answers]

    def call(self, service: str, operation: str, **given: Any) -> Any:
        given.pop("also_retry", None)
        self.made.append((service, operation, given))
        answer = self._answers.pop(0) if self._answers else {}
        if isinstance(answer, Exception):
            raise answer
        return answer

    find = call


DEFAULTS = {
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": [], "Ipv6AllowedForDualStack": False, "VpcId": ""},
    "LoggingConfig": {
        "LogFormat": "Text",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": "/aws/lambda/f",
    },
}
BY_HAND: dict[str, Any] = {
    "AcceleratorConfig": {"a": 1},
    "CapacityProviderConfig": {"a": 1},
    "DeadLetterConfig": {"TargetArn": "arn"},
    "DurableConfig": {"a": 1},
    "EphemeralStorage": {"Size": 1024},
    "FileSystemConfigs": [{"Arn": "b"}, {"Arn": "a"}],
    "KMSKeyArn": KEY,
    "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/aws/lambda/f"},
    "RuntimeConfig": {"a": 1},
    "SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"},
    "TracingConfig": {"Mode": "Active"},
    "VpcConfig": {"SubnetIds": ["b", "a"], "SecurityGroupIds": ["s"], "VpcId": "vpc-1"},
    "Environment": {"Variables": {"A": "x"}},
    "Description": "d",
}
LEFT: dict[str, Any] = {
    **BY_HAND,
    "FileSystemConfigs": [{"Arn": "a"}, {"Arn": "b"}],
    "LoggingConfig": {"LogFormat": "JSON"},
    "SnapStart": {"ApplyOn": "PublishedVersions"},
    "VpcConfig": {"SubnetIds": ["a", "b"], "SecurityGroupIds": ["s"]},
    "Environment": {"A": "x"},
}


def test_settings_that_are_not_declared_are_those_by_hand() -> None:
    assert settings.unmanaged(BY_HAND, spec()) == LEFT
    assert settings.unmanaged({}, spec()) == settings.unmanaged(DEFAULTS, spec()) == {}
    assert settings.unmanaged({"Environment": None, "Description": "", "Timeout": 5}, spec()) == {}


@pytest.mark.parametrize(
    ("declared", "managed"),
    [
        ({"environment": {}}, {"Environment": None}),
        ({"description": ""}, {"Description": None}),
        ({"ephemeral_storage": 0}, {"EphemeralStorage": None}),
        ({"snapstart": False}, {"SnapStart": None}),
        ({"tracing": ""}, {"TracingConfig": None}),
        ({"kms_key": ""}, {"KMSKeyArn": None}),
        ({"vpc": Vpc()}, {"VpcConfig": None}),
        ({"log_format": "JSON"}, {"LoggingConfig": None}),
        ({"log_group": "/shop"}, {}),
    ],
)
def test_declared_setting_is_not_one_by_hand(declared: dict[str, Any], managed: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**LEFT, **managed}.items() if value}
    assert settings.unmanaged(BY_HAND, spec(**declared)) == expected


def test_settings_have_one_digest_and_are_compared_by_name() -> None:
    assert settings.digest({"a": 1, "b": [2]}) == settings.digest({"b": [2], "a": 1})
    assert len(settings.digest({})) == 16
    assert settings.digest({"a": 1}) != settings.digest({"a": 2})
    found = settings.compare(
        {"TracingConfig": {"Mode": "Active"}, "Environment": {"A": "x", "API_TOKEN": "t"}},
        {"KMSKeyArn": KEY, "Environment": {"A": "y", "HIDDEN": "h"}},
        spec(secret_environment=("HIDDEN",)),
    )
    assert list(map(str, found)) == [
        f"KMSKeyArn: none -> {KEY}",
        'TracingConfig: {"Mode": "Active"} -> none',
        "Environment.A: x -> y",
        "Environment.API_TOKEN: ******** -> none",
        "Environment.HIDDEN: none -> ********",
    ]
    assert settings.is_readable({"Environment": None}) and settings.is_readable({})
    assert not settings.is_readable({"Environment": {"Error": {"ErrorCode": "AccessDenied"}}})


SENT: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {}),
    ({"ephemeral_storage": 0}, {"EphemeralStorage": {"Size": 512}}),
    ({"ephemeral_storage": 1024}, {"EphemeralStorage": {"Size": 1024}}),
    ({"snapstart": True}, {"SnapStart": {"ApplyOn": "PublishedVersions"}}),
    ({"snapstart": False}, {"SnapStart": {"ApplyOn": "None"}}),
    ({"tracing": ""}, {"TracingConfig": {"Mode": "PassThrough"}}),
    ({"tracing": "Active"}, {"TracingConfig": {"Mode": "Active"}}),
    ({"kms_key": ""}, {"KMSKeyArn": ""}),
    ({"kms_key": KEY}, {"KMSKeyArn": KEY}),
    (
        {"vpc": Vpc(("b", "a"), ("s",))},
        {"VpcConfig": {"SubnetIds": ["a", "b"], "SecurityGroupIds": ["s"], "Ipv6AllowedForDualStack": False}},
    ),
    ({"log_format": ""}, {"LoggingConfig": {"LogFormat": "Text"}}),
    ({"log_group": ""}, {"LoggingConfig": {"LogGroup": "/aws/lambda/f"}}),
    ({"log_group": "/shop"}, {"LoggingConfig": {"LogGroup": "/shop"}}),
    ({"log_level": "", "system_log_level": ""}, {}),
    (
        {"log_format": "JSON", "log_level": "WARN", "system_log_level": ""},
        {"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO"}},
    ),
)


@pytest.mark.parametrize(("declared", "sent"), SENT)
def test_declared_setting_has_the_form_of_lambda(declared: dict[str, Any], sent: dict[str, Any]) -> None:
    assert declared_settings.declared(spec(**declared)) == sent
    assert declared_settings.live({"FunctionName": "f", **sent}, sent) == sent
    assert declared_settings.complete(sent, {"FunctionName": "f", "Timeout": 5}) == sent


def test_live_setting_is_the_default_where_lambda_omits_it() -> None:
    for _, wanted in SENT:
        for configuration in ({"FunctionName": "f"}, {"FunctionName": "f", **DEFAULTS}):
            found = declared_settings.live(configuration, wanted)
            assert set(found) == set(wanted)
            for name, value in found.items():
                assert value == ({key: DEFAULTS[name][key] for key in wanted[name]} if name in DEFAULTS else "")
    shuffled = {"VpcConfig": {"SubnetIds": ["b", "a"], "SecurityGroupIds": ["t", "s"], "Ipv6AllowedForDualStack": True}}
    wanted = {"VpcConfig": Vpc(("a", "b"), ("s", "t"), ipv6=True).as_config()}
    assert declared_settings.live(shuffled, wanted) == wanted


def test_logging_is_sent_as_a_whole_and_text_without_levels() -> None:
    live = {"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/shop"}}
    sent = declared_settings.complete({"LoggingConfig": {"SystemLogLevel": "DEBUG"}, "MemorySize": 1}, live)
    assert sent == {"MemorySize": 1, "LoggingConfig": {**live["LoggingConfig"], "SystemLogLevel": "DEBUG"}}
    text = declared_settings.complete({"LoggingConfig": {"LogFormat": "Text"}}, live)
    assert text == {"LoggingConfig": {"LogFormat": "Text", "LogGroup": "/shop"}}


RELEASED = Release("3", "d1", "c1/pyc/x=", "5e7")


@pytest.mark.parametrize(
    ("live", "digest", "by_hand", "differs", "says"),
    [
        (None, "d1", "5e7", False, "the alias live is missing"),
        (LiveAlias("3", {"4": 0.1}, RELEASED), "d1", "5e7", False, "live sends 10% of its calls to version 4"),
        (LiveAlias("3", {}, None), "d1", "5e7", False, "its description does not say of what"),
        (LiveAlias("3", {}, RELEASED), "d1", "other", False, "settings that are not declared were changed"),
        (LiveAlias("3", {}, RELEASED), "d2", "other", True, "settings that are not declared were changed"),
        (LiveAlias("3", {}, RELEASED), "d2", "other", False, "what is declared was not released yet"),
        (LiveAlias("2", {}, RELEASED), "d1", "5e7", False, "live is version 2; what is declared was released as 3"),
        (LiveAlias("3", {}, RELEASED), "d2", "5e7", False, "what is declared was not released yet"),
        (LiveAlias("3", {}, RELEASED), "d2", "5e7", True, None),
        (LiveAlias("3", {}, RELEASED), "d1", "5e7", False, None),
    ],
)
def test_alias_that_differs_is_said_where_nothing_else_shows_it(
    live: LiveAlias | None, digest: str, by_hand: str, differs: bool, says: str | None
) -> None:
    found = release.difference(live, digest, by_hand, latest_differs=differs)
    assert (found is None) == (says is None)
    assert str(says) in str(found)
    if live is not None:
        assert live.holds(digest, by_hand) == (
            live == LiveAlias("3", {}, RELEASED) and (digest, by_hand) == ("d1", "5e7")
        )


def test_release_is_read_from_the_description_of_the_alias() -> None:
    """The text is a stored format: aliases of earlier deploys have it."""
    text = "version 3, digest d1, code c1/pyc/x=, settings 5e7, by lambda_script"
    assert RELEASED.description == text
    assert Release.of(text) == RELEASED
    for other in ("", f"{text}!", text.replace("d1", "xyz"), text.replace("3", "x")):
        assert Release.of(other) is None
    answer = {"FunctionVersion": 3, "Description": text, "RoutingConfig": {"AdditionalVersionWeights": {"4": 0.1}}}
    assert alias.read(Calls(answer), "f") == LiveAlias("3", {"4": 0.1}, RELEASED)  # type: ignore[arg-type]
    assert alias.read(Calls({"FunctionVersion": "3"}), "f") == LiveAlias("3", {}, None)  # type: ignore[arg-type]
    assert alias.read(Calls(None), "f") is None  # type: ignore[arg-type]


POINTING = {"FunctionName": "f", "Name": "live", "FunctionVersion": "3"}
MOVED = {**POINTING, "Description": RELEASED.description, "RoutingConfig": {"AdditionalVersionWeights": {}}}


def test_alias_is_made_or_moved() -> None:
    aws = Calls()
    alias.move(aws, "f", None, RELEASED)  # type: ignore[arg-type]
    alias.move(aws, "f", LiveAlias("2", {}, None), RELEASED)  # type: ignore[arg-type]
    alias.route(aws, "f", "3", {"4": 0.1})  # type: ignore[arg-type]
    assert aws.made == [
        ("lambda", "create_alias", {**POINTING, "Description": RELEASED.description}),
        ("lambda", "update_alias", MOVED),
        ("lambda", "update_alias", {**POINTING, "RoutingConfig": {"AdditionalVersionWeights": {"4": 0.1}}}),
    ]
    aws = Calls(AwsError("it already exists", code="ResourceConflictException"))
    alias.move(aws, "f", None, RELEASED)  # type: ignore[arg-type]
    assert aws.made[1:] == [("lambda", "update_alias", MOVED)]
    for code, text in (("ResourceConflictException", "busy"), ("Other", "already exists")):
        with pytest.raises(AwsError):
            alias.move(Calls(AwsError(text, code=code)), "f", None, RELEASED)  # type: ignore[arg-type]


def test_permission_is_given_once_and_named_by_its_source() -> None:
    bucket = Permission("s3", "s3.amazonaws.com", "arn:aws:s3:::lake", "123456789012")
    rule = Permission("schedule", "events.amazonaws.com", "arn:aws:events:eu-west-2:1:rule/r", "123456789012")
    aws = Calls()
    for permission in (bucket, rule):
        invoke_permission.grant(aws, "f", permission, {permission.statement_id: permission.source_arn})  # type: ignore[arg-type]
        assert aws.made == []
    invoke_permission.grant(aws, "f", bucket, {bucket.statement_id: "other"})  # type: ignore[arg-type]
    invoke_permission.grant(aws, "f", rule, {})  # type: ignore[arg-type]
    on = {"FunctionName": "f", "Qualifier": "live"}
    added = {**on, "Action": "lambda:InvokeFunction"}
    assert aws.made == [
        ("lambda", "remove_permission", {**on, "StatementId": bucket.statement_id}),
        (
            "lambda",
            "add_permission",
            {
                **added,
                "StatementId": bucket.statement_id,
                "Principal": "s3.amazonaws.com",
                "SourceArn": "arn:aws:s3:::lake",
                "SourceAccount": "123456789012",
            },
        ),
        (
            "lambda",
            "add_permission",
            {
                **added,
                "StatementId": rule.statement_id,
                "Principal": "events.amazonaws.com",
                "SourceArn": rule.source_arn,
            },
        ),
    ]
    known = AwsError("The statement id already exists", code="ResourceConflictException")
    invoke_permission.add(Calls(known), "f", "id")  # type: ignore[arg-type]
    for code, text in (("ResourceConflictException", "busy"), ("Other", "already exists")):
        with pytest.raises(AwsError):
            invoke_permission.add(Calls(AwsError(text, code=code)), "f", "id")  # type: ignore[arg-type]


def test_permission_of_the_alias_has_its_source_or_none() -> None:
    on = "arn:aws:lambda:eu-west-2:1:function:f"
    source = {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::lake"}}
    statements = [
        {"Sid": "lambda-script-a", "Resource": f"{on}:live", "Condition": source},
        {"Sid": "lambda-script-b", "Resource": f"{on}:live", "Condition": {"StringEquals": {"x": "y"}}},
        {"Sid": "lambda-script-c", "Resource": on},
        {"Sid": "other", "Resource": f"{on}:live"},
    ]
    aws: Any = SimpleNamespace(find=lambda *_, **__: {"Policy": json.dumps({"Statement": statements})})
    assert invoke_permission.read(aws, "f") == {"lambda-script-a": "arn:aws:s3:::lake", "lambda-script-b": ""}
    missing: Any = SimpleNamespace(find=lambda *_, **__: None)
    assert invoke_permission.read(missing, "f") == {}


TAGS = (
    ("lambda", "Resource", ("tag_resource", "Tags", {"a": "1"}), ("untag_resource", "TagKeys")),
    ("logs", "resourceArn", ("tag_resource", "tags", {"a": "1"}), ("untag_resource", "tagKeys")),
    ("events", "ResourceARN", ("tag_resource", "Tags", None), ("untag_resource", "TagKeys")),
    ("cloudwatch", "ResourceARN", ("tag_resource", "Tags", None), ("untag_resource", "TagKeys")),
    ("scheduler", "ResourceArn", ("tag_resource", "Tags", None), ("untag_resource", "TagKeys")),
    ("sns", "ResourceArn", ("tag_resource", "Tags", None), ("untag_resource", "TagKeys")),
    ("secretsmanager", "SecretId", ("tag_resource", "Tags", None), ("untag_resource", "TagKeys")),
    ("glue", "ResourceArn", ("tag_resource", "TagsToAdd", {"a": "1"}), ("untag_resource", "TagsToRemove")),
    ("iam", "RoleName", ("tag_role", "Tags", None), ("untag_role", "TagKeys")),
)


@pytest.mark.parametrize(("service", "subject", "write", "remove"), TAGS)
def test_each_service_has_its_own_calls_for_tags(service: str, subject: str, write: Any, remove: Any) -> None:
    aws = Calls()
    tags.TagChange({"a": "1"}, ("b", "c"), ()).apply(aws, service, "it")  # type: ignore[arg-type]
    value = write[2] or [{"Key": "a", "Value": "1"}]
    assert aws.made == [
        (service, write[0], {subject: "it", write[1]: value}),
        (service, remove[0], {subject: "it", remove[1]: ["b", "c"]}),
    ]
    nothing = Calls()
    tags.TagChange({}, (), ()).apply(nothing, service, "it")  # type: ignore[arg-type]
    assert nothing.made == []


def test_tags_are_compared_with_the_toolkits_own() -> None:
    found = tags.compare({"a": "1", "b": "2", "theirs": "x"}, {"a": "2", "b": "", "c": ""}, "f")
    own = {"managed-by": "lambda_script", "lambda-script:function": "f"}
    assert (found.missing, found.unwanted, bool(found)) == ({"a": "2", **own}, ("b",), True)
    assert list(map(str, found.differences)) == [
        "tags.a: 1 -> 2",
        "tags.lambda-script:function: none -> f",
        "tags.managed-by: none -> lambda_script",
        "tags.b: 2 -> none",
    ]
    assert not tags.compare({**own, "theirs": "x"}, {}, "f")


def test_destinations_are_sorted_by_their_service() -> None:
    arns = [f"arn:aws:{service}:eu-west-2:1:x" for service in ("sns", "sqs", "lambda", "events", "sqs")]
    assert destinations.by_service([*arns, "arn:aws:s3:::x"]) == {
        "sqs": [arns[1]],
        "sns": [arns[0]],
        "s3": ["arn:aws:s3:::x"],
        "events": [arns[3]],
        "lambda": [arns[2]],
    }
