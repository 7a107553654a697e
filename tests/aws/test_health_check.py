"""A version is checked before it goes live: a failed one gets no attachments, and the next deploy tries again."""

from __future__ import annotations

import pytest

from lambda_script import DeployError, S3Trigger
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.model import Deployment
from tests.support.function_releases import edit, live, versions
from tests.support.sessions import REGION


def test_failed_health_check_is_retried_by_the_next_deploy(script, source, client, recorder, invocations) -> None:
    """A version that fails its check does not go live and the next deploy tries again."""
    checked = {"health_event": {"action": "check"}, "schedule": "@daily"}
    script(**checked).deploy()
    edit(source, "broken")
    invocations.problem = lambda version, event: "no database" if version == "2" else None
    with pytest.raises(DeployError, match="Version 2 of my-function fails its check: no database") as failed:
        script(**checked).deploy()
    assert "live stays at version 1" in str(failed.value)
    assert invocations.made == [("1", {"action": "check"}), ("2", {"action": "check"})]
    assert live(client) == "1"
    [change] = script(**checked).plan().changes
    assert change.details == ("live is version 1; what is declared was not released yet",)
    invocations.problem = lambda version, event: None
    recorder.clear()
    assert script(**checked).deploy().ok
    assert recorder.writes == ["PublishVersion", "Invoke", "UpdateAlias"]
    assert (live(client), versions(client)) == ("2", ["1", "2"])
    assert not script(**checked).plan()


def test_first_version_that_fails_its_check_gets_no_attachments(script, client, invocations, fake_time) -> None:
    """A first version that fails its check is attached to nothing."""
    client("s3").create_bucket(Bucket="my-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    declared = {"health_event": {}, "schedule": "@daily", "s3_trigger": S3Trigger("my-lake")}
    invocations.problem = lambda version, event: "no secret"
    with pytest.raises(DeployError, match="no secret. So nothing was released") as failed:
        script(**declared).deploy()
    assert {failure.change.kind for failure in failed.value.report.skipped} == {"schedule", "trigger"}
    assert 10 < fake_time.seconds <= 20  # IAM propagates a new role's permissions with a delay
    assert client("events").list_rules()["Rules"] == []
    invocations.problem = lambda version, event: None
    assert script(**declared).deploy().ok
    assert live(client) == "1"
    assert not script(**declared).plan()


def test_new_role_that_propagates_late_delays_the_first_check(script, client, invocations, fake_time) -> None:
    """A role that lambda knows late only delays the first check."""
    invocations.problem = lambda version, event: "AccessDenied" if fake_time.seconds < 5 else None
    assert script(health_event={}).deploy().ok
    assert live(client) == "1"


def test_failed_health_check_does_not_stop_other_functions(aws, script, source, client, invocations) -> None:
    """One function that fails its check does not stop the others."""

    def deployment() -> Deployment:
        names = ("bad", "good")
        return Deployment(tuple(script(function_name_template=n, health_event={"name": n}).spec for n in names))

    assert execute(aws, make_plan(aws, deployment())).ok
    edit(source, "new")
    invocations.problem = lambda version, event: "oops" if (version, event["name"]) == ("2", "bad") else None
    report = execute(aws, make_plan(aws, deployment()))
    assert [change.name for change in report.done] == ["good"]
    assert [failure.change.name for failure in report.failed] == ["bad"]


@pytest.mark.parametrize(("times", "succeeds"), [(1, True), (2, False)])
def test_check_that_aws_does_not_answer_is_made_once_more(script, client, recorder, times, succeeds) -> None:
    """A health event may be handled twice; an invocation that is not a check is never repeated."""
    recorder.refuse("Invoke", "InternalError", times=times, status=500)
    if succeeds:
        script(health_event={"ping": 1}).deploy()
    else:
        with pytest.raises(DeployError, match="InternalError"):
            script(health_event={"ping": 1}).deploy()
    assert recorder.calls.count("Invoke") == 2
