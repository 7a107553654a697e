"""What a plan costs, from its changes alone; and what CloudWatch says of the functions that ran."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lambda_script import Alarm
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.pipeline.client.observing.usage import LEAST_RUNS, month_so_far, workload
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.cost.month import total
from lambda_toolkit.pipeline.cost.what_if import added_cost, before
from lambda_toolkit.pipeline.cost.workload import ASSUMED, Declared, month, of_spec
from lambda_toolkit.spec.model import Deployment
from lambda_toolkit.spec.prices import price_list
from tests.support.repository import CONFIG

NOW = datetime.now(UTC)


def of(script) -> tuple[Deployment, Declared]:
    deployment = Deployment((script.spec,), application="my-function", stage="dev")
    return deployment, Declared((of_spec("shop", script.spec, secrets_read=0),), frozenset())


def test_plan_shows_what_was_there_before(aws, script) -> None:
    """Undoing a plan's changes gives the declaration that was deployed, without another call."""
    old = script(
        memory=128,
        schedule="rate(1 hour)",
        alarms=[Alarm("errors", "Errors"), Alarm("slow", "Duration")],
        provisioned_concurrency=1,
    )
    old.deploy()
    new = script(
        memory=512,
        architecture="arm64",
        schedule="rate(5 minutes)",
        alarms=[Alarm("errors", "Errors")],
        provisioned_concurrency=2,
    )
    deployment, declared = of(new)
    found = make_plan(aws, deployment, prune=True)
    assert before(declared, found.changes) == of(old)[1]
    prices = price_list("eu-west-2")
    added = added_cost(declared, found.changes, prices)
    assert added == total(month(declared), prices) - total(month(of(old)[1]), prices) != 0
    ended = of(script(memory=512, architecture="arm64", schedule="", alarms=(), provisioned_concurrency=0))
    new.deploy()
    assert of(new)[1].functions[0].provisioned == 2
    found = make_plan(aws, ended[0], prune=True)
    assert before(ended[1], found.changes) == declared
    assert added_cost(ended[1], found.changes, prices) < 0


def test_workload_is_measured_where_functions_ran(aws) -> None:
    pipeline = load(CONFIG / "pipeline.toml")
    assert workload(aws, pipeline, NOW) == ASSUMED, "nothing is deployed"
    name = pipeline.function_name("extract")
    group = f"/aws/lambda/{name}"
    aws.call("logs", "create_log_group", logGroupName=group)
    aws.call("logs", "create_log_stream", logGroupName=group, logStreamName="s")
    at = int((NOW - timedelta(hours=1)).timestamp() * 1000)
    line = "REPORT RequestId: {}\tDuration: 1 ms\tBilled Duration: {} ms\tMemory Size: 1024 MB\tMax Memory Used: {} MB"
    events = [{"timestamp": at + n, "message": line.format(n, 1000 + n, 100 + n)} for n in range(LEAST_RUNS)]
    aws.call("logs", "put_log_events", logGroupName=group, logStreamName="s", logEvents=events[1:])
    assert workload(aws, pipeline, NOW).measured == {}, "too few runs say nothing about a month"
    aws.call("logs", "put_log_events", logGroupName=group, logStreamName="s", logEvents=events[:1])
    found = workload(aws, pipeline, NOW).measured["extract"]
    assert (found.runs, found.memory_used) == (LEAST_RUNS, 100 + LEAST_RUNS - 1)
    assert found.seconds == Decimal(sum(1000 + n for n in range(LEAST_RUNS))) / LEAST_RUNS / 1000


def test_month_so_far_has_the_starts_that_cloudwatch_counted(aws) -> None:
    pipeline = load(CONFIG / "pipeline.toml")
    name = pipeline.function_name("load")
    dimensions = [{"Name": "FunctionName", "Value": name}]
    for metric, value in (("Invocations", 40), ("Duration", 60_000)):
        data = {"MetricName": metric, "Dimensions": dimensions, "Timestamp": NOW, "Value": value}
        aws.call("cloudwatch", "put_metric_data", Namespace="AWS/Lambda", MetricData=[data])
    found = {use.name: use for use in month_so_far(aws, pipeline, NOW + timedelta(minutes=1)).functions}
    assert (found["load"].starts, found["extract"].starts) == (40, 0)
    assert 60 < found["load"].seconds < 70, "60 s in the handler, and some for INIT"
