"""Which function owns which prefix of a shared bucket: overlaps are rejected, prefixes moved and released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lambda_script import S3Trigger, TriggerError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.resources.triggers.s3_notification import overlap
from lambda_toolkit.spec.model import Deployment
from tests.support.api_recorder import error
from tests.support.sessions import REGION

BUCKET = "shared"


@pytest.fixture(autouse=True)
def _s3_refuses_overlaps(client, session) -> None:
    """As S3 does and moto does not."""
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def refuse(params: dict, **_: object) -> None:
        entries = params["NotificationConfiguration"].get("LambdaFunctionConfigurations", [])
        if any(overlap(one, other) for index, one in enumerate(entries) for other in entries[index + 1 :]):
            text = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            raise error("PutBucketNotificationConfiguration", "InvalidArgument", text, 400)

    session.events.register("before-parameter-build.s3.PutBucketNotificationConfiguration", refuse)


@pytest.fixture
def deployment(script) -> Callable[..., Deployment]:
    """An application whose functions each start on the prefixes that are given for them."""

    def make(**prefixes: str | None) -> Deployment:
        return Deployment(
            tuple(
                script(
                    function_name_template=f"shop-{name}",
                    s3_trigger=None if prefix is None else S3Trigger(BUCKET, prefix),
                ).spec
                for name, prefix in prefixes.items()
            ),
            application="shop",
            stage="dev",
        )

    return make


def places(client) -> dict[str, str]:
    """By prefix, the function that starts there."""
    answer = client("s3").get_bucket_notification_configuration(Bucket=BUCKET)
    return {
        entry["Filter"]["Key"]["FilterRules"][0]["Value"]: entry["LambdaFunctionArn"].split(":")[6]
        for entry in answer.get("LambdaFunctionConfigurations", [])
    }


def test_notification_of_another_stage_is_refused_first(script, recorder, aws) -> None:
    """The place of another stage is refused before anything is written."""
    script(function_name_template="prod-one", s3_trigger=S3Trigger(BUCKET, "in/")).deploy()
    recorder.clear()
    with pytest.raises(TriggerError, match=r"`dev-one` on bucket shared overlaps .* in/\* for .*:prod-one:live"):
        script(function_name_template="dev-one", s3_trigger=S3Trigger(BUCKET, "in/deep/")).deploy()
    assert recorder.writes == []


def test_two_functions_change_places(aws, client, deployment) -> None:
    assert execute(aws, make_plan(aws, deployment(one="a/", two="b/"))).ok
    turned = deployment(one="b/", two="a/")
    report = execute(aws, make_plan(aws, turned))
    assert report.ok, report.failed
    assert places(client) == {"a/": "shop-two", "b/": "shop-one"}
    assert not make_plan(aws, turned)


def test_renamed_function_replaces_the_old_notification(aws, client, deployment) -> None:
    """A function of another name takes the place of the dropped one."""
    assert execute(aws, make_plan(aws, deployment(one="in/"))).ok
    renamed = deployment(uno="in/")
    with pytest.raises(TriggerError, match="shop-one:live"):
        make_plan(aws, renamed)  # without prune the old one stays
    report = execute(aws, make_plan(aws, renamed, prune=True))
    assert report.ok, report.failed
    assert places(client) == {"in/": "shop-uno"}
    assert not make_plan(aws, renamed, prune=True).changes


def test_single_function_deploy_keeps_notification_of_another(aws, client, deployment) -> None:
    """A function alone does not take the place that another has still."""
    assert execute(aws, make_plan(aws, deployment(one="a/", two="b/"))).ok
    turned = deployment(one="c/", two="a/")
    with pytest.raises(TriggerError, match="shop-one:live"):
        make_plan(aws, turned, only=["shop-two"])
    assert execute(aws, make_plan(aws, turned)).ok
    assert places(client) == {"a/": "shop-two", "c/": "shop-one"}


def test_triggers_that_are_not_managed_keep_their_place(aws, deployment) -> None:
    assert execute(aws, make_plan(aws, deployment(one="a/", two="b/"))).ok
    with pytest.raises(TriggerError, match="shop-one:live"):
        make_plan(aws, deployment(one=None, two="a/"))


def test_destroy_removes_the_notification_of_a_deleted_function(aws, client, deployment) -> None:
    """Destroy finds the entry of a function that is deleted already."""
    both = deployment(one="a/", two="b/")
    assert execute(aws, make_plan(aws, both)).ok
    client("lambda").delete_function(FunctionName="shop-one")
    assert execute(aws, make_destroy_plan(aws, replace(both, functions=both.functions[:1]))).ok
    assert places(client) == {"b/": "shop-two"}
