"""A user with exactly the policy that `policy` prints deploys, redeploys, plans, rolls back, destroys, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambda_toolkit.pipeline.local_stack.postgres import postgres_server

STAGE = "policy"
PACKAGES = f"""
[stages.{STAGE}.packages]
platform = "host"
runtime = "host"
"""
WAREHOUSE = "of_the_policy"  # a database of the stage's own

# Where the emulator asks for something else than AWS does (the resource, which AWS knows from the call, or the name of
# the action, or of a rule), and what it asks for. All of these actions are in the policy, on exact names.
WITHOUT_RESOURCE = (
    "cloudwatch:DeleteAlarms",
    "cloudwatch:ListTagsForResource",
    "events:ListTagsForResource",
    "events:ListTargetsByRule",
    "events:PutTargets",
    "events:RemoveTargets",
    "lambda:CreateFunction",
    "sns:ListTagsForResource",
)
OTHER_NAME = {"lambda:ListLayers": "lambda:ListLayerVersions"}
OTHER_DATABASE = ("glue:DeleteDatabase", "glue:GetDatabase")  # as if the database were a table
OTHER_RULE = ("events:DeleteRule", "events:DescribeRule", "events:PutRule")


def emulators_own(printed: str, region: str, account: str) -> str:
    granted = {action for statement in json.loads(printed)["Statement"] for action in statement["Action"]}
    assert granted >= {*WITHOUT_RESOURCE, *OTHER_NAME.values(), *OTHER_RULE, *OTHER_DATABASE}
    database = f"arn:aws:glue:{region}:{account}:table/totes_{STAGE}"
    rules = f"arn:aws:events:{region}:{account}:rule/default/totes-{STAGE}-*"
    statements = [
        {"Effect": "Allow", "Action": [*WITHOUT_RESOURCE, *OTHER_NAME], "Resource": "*"},
        {"Effect": "Allow", "Action": list(OTHER_RULE), "Resource": rules},
        {"Effect": "Allow", "Action": list(OTHER_DATABASE), "Resource": database},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def policy(cli, *options: str) -> str:
    return str(cli("policy", "--stage", STAGE, "--account", cli.stack.account_id, *options).stdout)


@pytest.fixture
def warehouse(cli) -> Iterator[str]:
    """The URL of a warehouse for the stage, which is empty."""
    stack = cli.stack
    server = postgres_server.start(stack.directory / "postgres")  # which runs already
    administrator = replace(
        stack.warehouse, database="postgres", user=server.superuser, password=server.password
    ).connect()
    administrator.run(f"CREATE DATABASE {WAREHOUSE} OWNER {stack.warehouse.user}")
    try:
        yield replace(stack.warehouse, database=WAREHOUSE).url
    finally:
        administrator.run(f"DROP DATABASE {WAREHOUSE} WITH (FORCE)")
        administrator.close()


@pytest.fixture
def as_user(cli, aws, warehouse) -> Iterator[dict[str, str]]:
    """The environment of a user who may do what the printed policy says."""
    config = cli.root / "config" / "pipeline.toml"
    before = config.read_text(encoding="utf-8")
    config.write_text(before + PACKAGES, encoding="utf-8")
    iam = aws(cli, "iam")
    printed = policy(cli)
    own = emulators_own(printed, cli.stack.region, cli.stack.account_id)
    iam.create_user(UserName="deployer")
    iam.put_user_policy(UserName="deployer", PolicyName="emulator", PolicyDocument=own)
    arn = iam.create_policy(PolicyName="deployer", PolicyDocument=printed)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="deployer", PolicyArn=arn)
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    yield {
        "AWS_ENDPOINT_URL": cli.stack.aws_endpoint_url,
        "AWS_REGION": cli.stack.region,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "SOURCE_DATABASE_URL": cli.stack.source.url,
        "WAREHOUSE_DATABASE_URL": warehouse,
    }
    config.write_text(before, encoding="utf-8")
    iam.delete_access_key(UserName="deployer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="deployer", PolicyName="emulator")
    for attached in iam.list_attached_user_policies(UserName="deployer")["AttachedPolicies"]:
        iam.detach_user_policy(UserName="deployer", PolicyArn=attached["PolicyArn"])
        iam.delete_policy(PolicyArn=attached["PolicyArn"])
    iam.delete_user(UserName="deployer")


def test_the_printed_policy_is_enough_and_no_more(cli, aws, as_user) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        result = cli(*arguments, "--stage", STAGE, env=as_user)
        assert result.exit_code == code, result.output
        return str(result.stdout)

    assert "changes" in run("deploy")
    assert run("deploy") == "Nothing changed.\n"
    handler = cli.root / "lambdas" / "extract" / "handler.py"
    before = handler.read_text(encoding="utf-8")
    try:
        handler.write_text(before + "\nEDITED = True\n", encoding="utf-8")
        assert "update" in json.dumps(json.loads(run("plan", "--json")))
        run("plan", "--exit-code", code=2)
        run("deploy", "extract")
        run("rollback", "extract")
        run("deploy")
    finally:
        handler.write_text(before, encoding="utf-8")

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=as_user["AWS_ENDPOINT_URL"],
            region_name=as_user["AWS_REGION"],
            aws_access_key_id=as_user["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=as_user["AWS_SECRET_ACCESS_KEY"],
        )

    operate(cli, user_who_operates(cli, aws))
    reader = user_who_plans(cli, aws)
    planned = cli("plan", "--stage", STAGE, env=reader)  # of the handler as it was
    assert (planned.exit_code, planned.stdout.splitlines()[-1]) == (0, "1 change."), planned.output
    denied = cli("deploy", "--stage", STAGE, env=reader)
    assert denied.exit_code == 1 and "need lambda:UpdateFunctionCode" in denied.stderr
    client_of_reader = boto3.client(
        "secretsmanager",
        endpoint_url=reader["AWS_ENDPOINT_URL"],
        region_name=reader["AWS_REGION"],
        aws_access_key_id=reader["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=reader["AWS_SECRET_ACCESS_KEY"],
    )
    refuse(lambda: client_of_reader.get_secret_value(SecretId=f"totes/{STAGE}/source"))

    other = "totes-local-extract"  # of the same account, and of another stage
    refuse(lambda: client("lambda").get_function(FunctionName=other))
    refuse(lambda: client("lambda").delete_function(FunctionName=other))
    refuse(lambda: client("iam").put_role_policy(RoleName=f"{other}-role", PolicyName="mine", PolicyDocument="{}"))
    refuse(lambda: client("iam").create_user(UserName="another"))
    refuse(lambda: client("events").delete_rule(Name=f"{other}-schedule"))
    refuse(lambda: client("secretsmanager").get_secret_value(SecretId="totes/local/source"))
    refuse(lambda: client("s3").get_object(Bucket=f"totes-{STAGE}-ingestion-{cli.stack.account_id}", Key="any"))

    removed = run("destroy", "--yes")
    assert f"log group /aws/lambda/totes-{STAGE}-extract is kept" in removed
    iam = aws(cli, "iam")
    more = iam.create_policy(PolicyName="deletes-data", PolicyDocument=policy(cli, "--delete-data"))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="deployer", PolicyArn=more)
    run("destroy", "--yes", "--delete-data")
    assert "function" not in run("destroy", "--yes", "--delete-data")


def operate(cli, environ: dict[str, str]) -> None:
    """Each command that runs what is deployed, once, as a user who may do what `policy --operate` says and no more."""
    for arguments in (
        ["prepare"],
        ["run"],
        ["invoke", "freshness"],
        ["status"],
        ["batches"],
        ["logs", "extract"],
        ["rejected"],
        ["replay", "1"],
        ["invoke", "load"],
    ):
        result = cli(*arguments, "--stage", STAGE, env=environ)
        assert result.exit_code == 0, (arguments, result.output)
        assert "may not" not in result.output and "denied" not in result.output.lower(), result.output
    for arguments in (["deploy"], ["plan"], ["rollback", "extract"], ["destroy", "--yes"]):
        assert cli(*arguments, "--stage", STAGE, env=environ).exit_code == 1


def user_who_operates(cli, aws) -> dict[str, str]:
    """The environment of a user who may do what `policy --operate` says, and who has no URL of a database."""
    return user(cli, aws, "operator", "--operate", [])


def user_who_plans(cli, aws) -> dict[str, str]:
    """The environment of a user who may do what `policy --read-only` says, and who has no URL of a database."""
    asked = [action for action in WITHOUT_RESOURCE if ":List" in action] + list(OTHER_NAME)
    asked += ["events:DescribeRule", "glue:GetDatabase"]
    return user(cli, aws, "reader", "--read-only", asked)


def user(cli, aws, name: str, option: str, asked: list[str]) -> dict[str, str]:
    """The environment of a user with what ``policy`` prints for ``option``, and with what the emulator asks for."""
    iam = aws(cli, "iam")
    iam.create_user(UserName=name)
    if asked:
        own = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": asked, "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="emulator", PolicyDocument=json.dumps(own))
    arn = iam.create_policy(PolicyName=name, PolicyDocument=policy(cli, option))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ENDPOINT_URL": cli.stack.aws_endpoint_url,
        "AWS_REGION": cli.stack.region,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def refuse(call: Callable[[], Any]) -> None:
    with pytest.raises(ClientError) as refused:
        call()
    assert refused.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
