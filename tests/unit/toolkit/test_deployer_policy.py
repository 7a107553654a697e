"""The deployer's policy allows the toolkit's calls on exact names, and the documentation shows the same policy."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from click.testing import CliRunner

import deploy
from lambda_script import EventTrigger, QueueTrigger, S3Trigger, StreamTrigger, TopicTrigger
from lambda_toolkit.aws.account import Place
from lambda_toolkit.aws.retries import _IAM_ACTIONS
from lambda_toolkit.deploy.deployer_policy import (
    LONGEST,
    LONGEST_INLINE,
    bounded,
    deployer_policy,
    execution_policy,
    github_trust,
    length,
    read_only,
)
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.resources.planning.reads import BULK_ROLES
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import (
    Alarm,
    Canary,
    DashboardSpec,
    Deployment,
    FunctionSpec,
    SecretSpec,
    TopicSpec,
)
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.schedules.schedule import Schedule

TOOLKIT = Path(__file__).parents[3] / "lambda_toolkit"
LIMITS = "arn:aws:iam::123456789012:policy/limits"
GIVEN = "arn:aws:iam::123456789012:role/team/given"
PLACE = Place("123456789012", "eu-west-2")
SERVICES = (
    *("cloudwatch", "dynamodb", "ec2", "events", "iam", "kinesis", "lambda", "logs", "resourcegroupstaggingapi", "s3"),
    *("scheduler", "secretsmanager", "sns", "sqs"),
)
LIST = "s3:ListBucket"
OTHER_NAME = {"lambda:Invoke": "lambda:InvokeFunction", "s3:HeadBucket": LIST, "s3:ListObjectsV2": LIST}
_BOTH = ("Tag", "Untag")
IMPLIED = {  # actions that no call is called -> what asks for them
    "iam:PassRole": "the calls that give a function its role",
    "ec2:DescribeVpcs": "the calls that attach a function to a network",
    "s3:GetObject": "the calls that name an object as the code: Lambda reads it with the caller's rights",
    "s3:DeleteObjectVersion": "DeleteObjects, of a version",
    "s3:TagResource": "CreateBucket, with tags",
    **{f"{service}:TagResource": "tags.apply" for service in ("cloudwatch", "events", "lambda", "logs")},
    **{f"{service}:UntagResource": "tags.apply" for service in ("cloudwatch", "events", "lambda", "logs")},
    **{
        f"{service}:{verb}Resource": "tags.apply"
        for service in ("scheduler", "secretsmanager", "sns")
        for verb in _BOTH
    },
    **{f"iam:{verb}Role": "tags.apply" for verb in _BOTH},
}


def everything() -> Deployment:
    function = FunctionSpec(
        "app-dev-one",
        Path("one.py"),
        requirements=("pg8000",),
        schedule="rate(5 minutes)",
        s3_triggers=(S3Trigger("unmanaged-lake"),),
        topic_triggers=(TopicTrigger("unmanaged-topic"),),
        queue_triggers=(QueueTrigger("unmanaged-queue"),),
        stream_triggers=(StreamTrigger("unmanaged-stream"), StreamTrigger(table="unmanaged-table")),
        event_triggers=(EventTrigger({"source": ["shop"]}, bus="unmanaged-bus"),),
        url="",
        alarms=(Alarm("errors", "Errors"),),
        canary=Canary(),
        retries=1,
        concurrency=1,
        provisioned_concurrency=1,
        recursive_loop="Allow",
        vpc=Vpc(("subnet-1",), ("sg-1",)),
    )
    london = (Schedule("cron(0 9 ? * MON-FRI *)", "Europe/London"),)
    limited = FunctionSpec("app-dev-two", Path("two.py"), permissions_boundary=LIMITS, schedules=london)
    unlimited = FunctionSpec("app-dev-six", Path("six.py"), permissions_boundary="")
    return Deployment(
        (function, limited, unlimited),
        (BucketSpec("app-dev-lake"),),
        (TopicSpec("app-dev-alerts", kms_key=""),),
        (SecretSpec("app/dev/source"),),
        dashboards=(DashboardSpec("app-dev", {"widgets": []}),),
    )


def granted(policy: dict) -> dict[str, list[str]]:
    return {action: item["Resource"] for item in policy["Statement"] for action in item["Action"]}


def called(*, of_pipeline: bool = False) -> Iterator[str]:
    """The calls in the toolkit's source, or in that of the pipeline's commands, as IAM names them."""
    local, pipeline = TOOLKIT / "pipeline" / "local_stack", TOOLKIT / "pipeline"
    for file in TOOLKIT.rglob("*.py"):
        if file.is_relative_to(local) or file.is_relative_to(pipeline) is not of_pipeline:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                texts = [
                    item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)
                ]
                if (
                    len(texts) >= 2
                    and texts[0] in SERVICES
                    and re.fullmatch(r"[a-z]+(_[a-z0-9]+)+|invoke|publish|(un)?subscribe", texts[1])
                ):
                    permission = f"{texts[0]}:{api_name(texts[0], texts[1])}"
                    yield _IAM_ACTIONS.get(permission, permission)


def api_name(service: str, method: str) -> str:
    return operations(service)[method]


@functools.cache
def operations(service: str) -> dict[str, str]:
    """The operations of a service, by their names in Python."""
    model = Loader().load_service_model(service, "service-2")
    return {xform_name(name): name for name in model["operations"]}


def test_given_role_needs_no_right_of_iam_but_to_pass_it() -> None:
    document = deployer_policy(Deployment((FunctionSpec("one", Path("one.py"), role=GIVEN),)), PLACE, delete_data=True)
    of_iam = [item for item in document["Statement"] if any(name.startswith("iam:") for name in item["Action"])]
    assert [(item["Action"], item["Resource"]) for item in of_iam] == [(["iam:PassRole"], [GIVEN])]


def test_boundary_limits_every_action_that_gives_a_role_more() -> None:
    """The actions stay the same; those that IAM can limit have the condition, and the others do not."""
    functions = tuple(FunctionSpec(name, Path("one.py"), permissions_boundary=LIMITS) for name in ("one", "two"))
    plain = deployer_policy(Deployment(functions), PLACE)
    limited = bounded(plain, [LIMITS])
    assert sorted(granted(limited)) == sorted(granted(plain))
    condition = {"StringEquals": {"iam:PermissionsBoundary": [LIMITS]}}
    found = {name: item.get("Condition") for item in limited["Statement"] for name in item["Action"]}
    assert {name for name, known in found.items() if known == condition} == {
        *("iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"),
        *("iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"),
    }
    assert found["iam:PassRole"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    names = [item["Sid"] for item in limited["Statement"]]
    assert len(names) == len(set(names))


def test_boundary_declared_empty_may_be_removed() -> None:
    document = deployer_policy(Deployment((FunctionSpec("one", Path("one.py"), permissions_boundary=""),)), PLACE)
    assert "iam:DeleteRolePermissionsBoundary" in granted(document)
    assert "iam:PutRolePermissionsBoundary" not in granted(document)


def test_execution_policy_is_what_the_own_role_would_have() -> None:
    """For who writes a role that is given: the log group, and what the function declares."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"}
    document = execution_policy(FunctionSpec("one", Path("one.py"), permissions=[statement]), PLACE)
    log, own = document["Statement"]
    assert log["Resource"] == ["arn:aws:logs:eu-west-2:123456789012:log-group:/aws/lambda/one:*"]
    assert own == statement


def test_read_only_policy_has_no_write_and_no_secret() -> None:
    actions = granted(read_only(deployer_policy(everything(), PLACE, delete_data=True)))
    assert all(re.match(r"\w+:(Describe|Get|List)", action) for action in actions)
    assert {"lambda:GetFunction", "tag:GetResources", "secretsmanager:DescribeSecret"} <= set(actions)
    assert not {"secretsmanager:GetSecretValue", "s3:GetObject"} & set(actions)


def test_every_call_of_the_toolkit_is_granted() -> None:
    calls = {OTHER_NAME.get(call, call) for call in called()}
    assert len(calls) > 60, "they are found"
    actions = granted(deployer_policy(everything(), PLACE, delete_data=True))
    others = {"iam:GetAccountAuthorizationDetails", "logs:FilterLogEvents", LIST}  # of many functions; logs(); others
    assert calls - set(actions) == others
    assert "iam:PassRole" in actions, "which no call is called"


def test_every_granted_action_is_called() -> None:
    """By the toolkit, or by a command of the pipeline: nothing in the policies is unused."""
    toolkit, pipeline = ({OTHER_NAME.get(call, call) for call in called(of_pipeline=which)} for which in (False, True))
    deployer = set(granted(deployer_policy(everything(), PLACE, delete_data=True)))
    assert deployer - toolkit == set(IMPLIED)
    operator = set(granted(operator_policy(load(DEFAULT_PATH, environ={"AWS_REGION": "eu-west-2"}), PLACE.account)))
    assert operator - pipeline == {"logs:FilterLogEvents"} <= toolkit, "one reader of logs serves both"
    assert pipeline - operator == {"lambda:GetFunction"}, "of `plan`, which compares the code"


def test_listing_roles_is_granted_only_for_many_functions() -> None:
    """Reading all roles concurrently is granted only for many functions."""
    many = Deployment(tuple(FunctionSpec(f"app-dev-{number}", Path("one.py")) for number in range(BULK_ROLES)))
    assert granted(deployer_policy(many, PLACE))["iam:GetAccountAuthorizationDetails"] == ["*"]
    few = Deployment(many.functions[1:])
    assert "iam:GetAccountAuthorizationDetails" not in granted(deployer_policy(few, PLACE))


def test_invocations_are_granted_only_for_a_canary() -> None:
    assert granted(deployer_policy(everything(), PLACE))["cloudwatch:GetMetricStatistics"] == ["*"]
    without = Deployment((FunctionSpec("app-dev-one", Path("one.py")),))
    assert "cloudwatch:GetMetricStatistics" not in granted(deployer_policy(without, PLACE))


def test_deleting_data_is_granted_only_where_asked() -> None:
    usual = granted(deployer_policy(everything(), PLACE))
    more = granted(deployer_policy(everything(), PLACE, delete_data=True))
    assert set(more) - set(usual) == {
        "logs:DeleteLogGroup",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:ListBucketMultipartUploads",
        "s3:ListBucketVersions",
        "secretsmanager:DeleteSecret",
    }


def test_resources_are_exact() -> None:
    policy = deployer_policy(everything(), PLACE)
    for statement in policy["Statement"]:
        if statement["Sid"] == "Lists":
            assert all(
                re.match(r"\w+:(List|Describe|Get|Unsubscribe|SetSubscriptionAttributes)", action)
                for action in statement["Action"]
            )
            continue
        if statement["Sid"] == "EventSourceMappings":  # IAM limits them by the function
            assert statement["Resource"] == ["*"]
            name = "arn:aws:lambda:eu-west-2:123456789012:function:app-dev-one"
            assert statement["Condition"] == {"ArnLike": {"lambda:FunctionArn": [name, f"{name}:*"]}}
            continue
        if statement["Sid"] == "Networks":  # what EC2 describes has no resources of its own
            assert statement["Resource"] == ["*"]
            assert all(action.startswith("ec2:Describe") for action in statement["Action"])
            continue
        for arn in statement["Resource"]:
            name = arn.split(":", 5)[5].removesuffix(":*").removesuffix("/*")
            assert "*" not in re.sub(
                r"(layer:lambda-script-requirements-|alarm:app-dev-(one|two|six)-)\*$", "", name
            ), arn
    assert granted(policy)["s3:PutBucketNotification"] == ["arn:aws:s3:::unmanaged-lake"]
    assert "arn:aws:s3:::unmanaged-lake" not in granted(policy)["s3:PutBucketTagging"]
    assert "unmanaged-topic" not in str(granted(policy)["sns:TagResource"])


def test_roles_are_passed_to_lambda_alone() -> None:
    [statement] = [item for item in deployer_policy(everything(), PLACE)["Statement"] if item["Sid"] == "PassRole"]
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    assert statement["Resource"] == [
        f"arn:aws:iam::123456789012:role/app-dev-{name}-role" for name in ("one", "two", "six")
    ]


def test_role_of_schedules_is_passed_to_scheduler_alone() -> None:
    """It is the toolkit's own, or a given one; a function with a rule needs neither, nor a right on a group."""
    [statement] = [
        item for item in deployer_policy(everything(), PLACE)["Statement"] if item["Sid"] == "PassScheduleRole"
    ]
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    assert statement["Resource"] == ["arn:aws:iam::123456789012:role/app-dev-two.schedule-role"]
    london = Schedule("cron(0 9 ? * MON-FRI *)", "Europe/London")
    tags = {"application": "app", "stage": "dev"}
    given = FunctionSpec(
        "app-dev-one", Path("one.py"), role=GIVEN, schedules=(london,), schedule_role=LIMITS, tags=tags
    )
    document = deployer_policy(Deployment((given,)), PLACE)
    of_iam = {item["Sid"]: item["Resource"] for item in document["Statement"] if "iam:PassRole" in item["Action"]}
    assert of_iam == {"PassRole": [GIVEN], "PassScheduleRole": [LIMITS]}
    assert not {"Roles", "ScheduleRoles"} & {item["Sid"] for item in document["Statement"]}
    group = "arn:aws:scheduler:eu-west-2:123456789012:schedule"
    assert granted(document)["scheduler:CreateSchedule"] == [f"{group}-group/app-dev", f"{group}/app-dev/*"]


def test_what_is_not_declared_is_not_granted() -> None:
    sids = {
        item["Sid"] for item in deployer_policy(Deployment((FunctionSpec("one", Path("one.py")),)), PLACE)["Statement"]
    }
    assert sids == {"Lists", "Functions", "Roles", "PassRole", "Logs", "Schedules", "Alarms"}


def test_another_partition() -> None:
    policy = deployer_policy(everything(), Place("123456789012", "cn-north-1", "aws-cn"))
    assert all(arn == "*" or arn.startswith("arn:aws-cn:") for item in policy["Statement"] for arn in item["Resource"])


@pytest.mark.parametrize(
    ("environment", "subject"),
    [("production", "repo:me/shop:environment:production"), (None, "repo:me/shop:ref:refs/heads/main")],
)
def test_github_is_trusted_for_one_repository(environment, subject) -> None:
    [statement] = github_trust("me/shop", PLACE, environment=environment)["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": subject,
    }


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [
        (["me/shop"], "repo:me/shop:environment:production"),
        (["me@12/shop@345"], "repo:me@12/shop@345:environment:production"),
        (["me@12/shop@345", "--branch", "main"], "repo:me@12/shop@345:ref:refs/heads/main"),
        (["me/shop", "--environment", "test"], "repo:me/shop:environment:test"),
    ],
)
def test_trust_fits_the_shipped_workflow_and_takes_ids(arguments, subject) -> None:
    command = ["policy", "--account", "123456789012", "--trust", "github", "--repository", *arguments]
    [statement] = json.loads(CliRunner().invoke(deploy.main, command).stdout)["Statement"]
    assert statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"] == subject
    assert "environment: production" in Path(".github/workflows/deploy.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--stage", "prod"],
        ["--operate", "--stage", "prod"],
        ["--trust", "github", "--repository", "OWNER/REPO", "--environment", "production"],
    ],
)
def test_the_documentation_shows_what_the_command_prints(arguments) -> None:
    shown = CliRunner().invoke(deploy.main, ["policy", "--account", "123456789012", *arguments])
    assert shown.exit_code == 0, shown.output
    assert f"```json\n{shown.stdout}```" in Path("docs/permissions.md").read_text(encoding="utf-8")


def test_options_of_roles_of_the_configuration(tmp_path) -> None:
    """A boundary for all roles, and a role that is given for one function: what each option then prints."""
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    text = text.replace(
        "[pipeline]\n", '[pipeline]\npermissions_boundary = "arn:aws:iam::{account}:policy/limits"\n', 1
    )
    text = text.replace("[functions.load]\n", '[functions.load]\nrole = "arn:aws:iam::{account}:role/team/given"\n', 1)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "pipeline.toml").write_text(text, encoding="utf-8")
    for name in ("warehouse.sql", "requirements.lock"):
        (tmp_path / "config" / name).write_text(
            (DEFAULT_PATH.parent / name).read_text(encoding="utf-8"), encoding="utf-8"
        )

    def printed(*options: str) -> dict:
        command = [
            "policy",
            "--config",
            str(tmp_path / "config" / "pipeline.toml"),
            "--account",
            PLACE.account,
            *options,
        ]
        shown = CliRunner().invoke(deploy.main, command)
        assert shown.exit_code == 0, shown.output
        return json.loads(shown.stdout)

    limited = printed("--boundary")
    [creating] = [item for item in limited["Statement"] if "iam:CreateRole" in item["Action"]]
    assert creating["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": [LIMITS]}}
    created = {arn.rpartition("/totes-dev-")[2].removesuffix("-role") for arn in creating["Resource"]}
    assert {"extract", "transform"} <= created
    assert "load" not in created
    assert GIVEN in granted(limited)["iam:PassRole"]
    log, *own = printed("--function", "load")["Statement"]
    assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert ["secretsmanager:GetSecretValue"] in [item["Action"] for item in own]


def test_the_policy_fits_into_an_inline_policy_of_a_role() -> None:
    shown = CliRunner().invoke(deploy.main, ["policy", "--account", "123456789012", "--delete-data", "--stage", "prod"])
    assert LONGEST < length(json.loads(shown.stdout)) < LONGEST_INLINE
    assert "as an inline policy of a role, which may have 10,240" in shown.stderr
