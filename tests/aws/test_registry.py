"""An attachment that is only in the registry is planned, pruned, removed and permitted."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import pytest

from lambda_toolkit.aws.account import ArnFormat, Place
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change
from lambda_toolkit.deploy.deployer_policy import deployer_policy
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.resources import registry
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import Deployment, FunctionSpec, Kind

TRIGGER = {"EventSourceArn": "arn:aws:sqs:eu-west-2:123456789012:orders", "BatchSize": 10}


class SqsTrigger:
    """An event source mapping from the queue `orders`, for every function with `TRIGGER=orders` in its environment."""

    KIND = Kind.EVENT_RULE
    DEPLOYER_ACTIONS = DeployerActions(
        "Mappings", "lambda", ("DeleteEventSourceMapping",), lists=("ListEventSourceMappings",)
    )

    def deployer_resources(self, spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
        return [arns.arn("lambda", "event-source-mapping:*")]

    def role_statements(self, spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
        if not self.is_declared(spec):
            return ()
        actions = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        return [{"Effect": "Allow", "Action": actions, "Resource": TRIGGER["EventSourceArn"]}]

    def prefetch(self, context: Context) -> Prefetch:
        return Prefetch({}, [lambda: self.live(context)])

    def plan(self, context: Context) -> list[Change]:
        if not self.is_declared(context.spec) or self.live(context):
            return []

        def create(executor_aws: Aws) -> None:
            executor_aws.call("lambda", "create_event_source_mapping", FunctionName=context.spec.name, **TRIGGER)

        return [
            Change(self.KIND, "orders", "create", after=frozenset({context.function_key}), apply=create),
        ]

    def plan_undeclared(self, context: Context, tagged: Collection[str]) -> list[Change]:
        return [] if self.is_declared(context.spec) else self.plan_removal(context)

    def plan_removal(self, context: Context) -> list[Change]:
        live = self.live(context)

        def delete(executor_aws: Aws) -> None:
            for item in live:
                executor_aws.call("lambda", "delete_event_source_mapping", UUID=item["UUID"])

        return [Change(self.KIND, "orders", "delete", apply=delete)] if live else []

    def is_declared(self, spec: FunctionSpec) -> bool:
        return (spec.environment or {}).get("TRIGGER") == "orders"

    def live(self, context: Context) -> Sequence[dict]:
        name = context.spec.name
        return context.reads.once(
            ("mappings", name),
            lambda: context.aws.list_all(
                "lambda", "list_event_source_mappings", "EventSourceMappings", FunctionName=name
            ),
        )


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ATTACHMENTS", (*registry.ATTACHMENTS, SqsTrigger()))


@pytest.fixture
def deployment(script, client) -> Deployment:
    client("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})
    return Deployment((script(environment={"TRIGGER": "orders"}).spec,), application="shop", stage="dev")


def mappings(client) -> list[dict]:
    found = client("lambda").list_event_source_mappings(FunctionName="my-function")["EventSourceMappings"]
    return [item for item in found if item["State"] != "Deleting"]


def test_deploy_creates_it_after_the_function_and_only_once(aws, client, recorder, deployment) -> None:
    assert execute(aws, make_plan(aws, deployment)).ok
    assert recorder.writes.index("CreateAlias") < recorder.writes.index("CreateEventSourceMapping")
    assert len(mappings(client)) == 1
    recorder.clear()
    assert not make_plan(aws, deployment, prune=True)
    assert recorder.calls.count("ListEventSourceMappings") == 1


def test_role_is_allowed_what_it_needs(aws, client, deployment) -> None:
    assert execute(aws, make_plan(aws, deployment)).ok
    policy = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"]
    assert TRIGGER["EventSourceArn"] in json.dumps(policy)


def test_prune_removes_it_once_it_is_undeclared(aws, client, script, deployment) -> None:
    assert execute(aws, make_plan(aws, deployment)).ok
    without = Deployment((script(environment={}).spec,), application="shop", stage="dev")
    assert execute(aws, make_plan(aws, without, prune=True)).ok
    assert mappings(client) == []


def test_destroy_removes_it_before_the_function(aws, client, recorder, deployment) -> None:
    assert execute(aws, make_plan(aws, deployment)).ok
    recorder.clear()
    assert execute(aws, make_destroy_plan(aws, deployment)).ok
    assert recorder.writes.index("DeleteEventSourceMapping") < recorder.writes.index("DeleteFunction")


def test_deployer_policy_has_its_actions(deployment) -> None:
    statements = {item["Sid"]: item for item in deployer_policy(deployment, Place("1" * 12, "eu-west-2"))["Statement"]}
    assert statements["Mappings"]["Action"] == ["lambda:DeleteEventSourceMapping"]
    assert "lambda:ListEventSourceMappings" in statements["Lists"]["Action"]
