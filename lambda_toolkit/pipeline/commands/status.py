"""``status``: what is deployed, the last batch at each step, how fresh the warehouse is, and the alarms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from lambda_toolkit.aws.parallel import readers
from lambda_toolkit.pipeline.client.deployed import alarm_states, function_state, readable_time, subscription_states
from lambda_toolkit.pipeline.client.follow import Follower
from lambda_toolkit.pipeline.client.lake import batches_after, has_bucket
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.events import LoadResult

_ADVICE = {
    "not confirmed": "AWS sent it a link to confirm the subscription, and waits for that. Is it in the spam folder? "
    "After three days a deploy sends another.",
    "not subscribed": "it is declared and not subscribed. Deploy: {deploy}",
}


@click.command("status")
@with_request
def command(request: Request) -> int:
    """Show what is deployed, the last batch extracted, transformed and loaded, the freshness, and the alarms."""
    target = request.target()
    document = status(Follower(target.aws(), target.pipeline, request.screen.progress), datetime.now(UTC))
    screen = request.screen
    screen.table(
        f"{target.pipeline.name} ({target.pipeline.stage}), {target.pipeline.region}",
        ["function", "state", "live", "runtime", "started by", "released"],
        [
            [f["name"], f["state"], f["version"], f["runtime"], f["schedule"], f["last_deployed"]]
            for f in document["functions"]
        ],
    )
    shown = {step: "none" if batch is None else batch for step, batch in document["batches"].items()}
    if document["freshness"]["loaded_unknown"]:
        shown["loaded"] = "unknown"
    screen.say("Last batch: " + ", ".join(f"{step} {batch}" for step, batch in shown.items()))
    screen.say(document["freshness"]["summary"])
    if any(document["open"].values()):
        screen.say(
            f"Outstanding: {counted(document['open']['rejected'], 'rejected row')}, "
            f"{document['open']['pending']:,} pending. Which, and why: {suggested('rejected')}",
            color="yellow",
        )
    for difference in document["differences"]:
        screen.say(f"! The warehouse differs from its declaration: {difference}", color="yellow")
    screen.table(
        "Alarms", ["alarm", "state", "since"], [[a["name"], a["state"], a["since"]] for a in document["alarms"]]
    )
    for subscription in document["subscriptions"]:
        if subscription["state"] != "confirmed":
            advice = _ADVICE[subscription["state"]].format(deploy=suggested())
            screen.say(f"! {subscription['address']} gets no alerts: {advice}", color="yellow")
    screen.document(document)
    return DONE


def status(follower: Follower, now: datetime) -> dict[str, Any]:
    """The state of the pipeline at ``now``, as JSON values. Raises AwsError."""
    aws, pipeline = follower.aws, follower.pipeline
    with readers(4) as pool:
        alarms = pool.submit(alarm_states, aws, pipeline)
        subscriptions = pool.submit(subscription_states, aws, pipeline)
        functions = list(pool.map(lambda name: function_state(aws, pipeline, name), pipeline.functions))
        deployed = all(function["version"] is not None for function in functions)
        batches, freshness, report = _batches(follower, now, deployed)
        in_alarm = [alarm for alarm in alarms.result() if alarm["state"] == "ALARM"]
    if in_alarm:
        names = ", ".join(f"{alarm['name']} (since {alarm['since']})" for alarm in in_alarm)
        freshness["summary"] = f"Not known to be fresh: in alarm is {names}. {freshness['summary']}"
        freshness["fresh"] = False
    elif freshness["fresh"]:
        freshness["summary"] = f"Fresh. {freshness['summary']}"
    return {
        "pipeline": pipeline.name,
        "stage": pipeline.stage,
        "region": pipeline.region,
        "functions": functions,
        "batches": batches,
        "freshness": freshness,
        "open": report.open.to_json(),
        "differences": list(report.differences),
        "alarms": alarms.result(),
        "subscriptions": subscriptions.result(),
    }


def _undeployed(follower: Follower) -> tuple[dict[str, int | None], dict[str, Any], LoadResult]:
    """What remains of a pipeline whose functions are not all there: the buckets stay when it is destroyed."""
    names = {"extracted": follower.bucket("ingestion"), "transformed": follower.bucket("processed")}
    remaining = {step: bucket for step, bucket in names.items() if has_bucket(follower.aws, bucket)}
    found = {step: batches_after(follower.aws, bucket, 0) for step, bucket in remaining.items()}
    last = {step: found[step][-1].number if found.get(step) else None for step in names}
    summary = f"Not deployed: {suggested()}"
    if any(found.values()):
        kept = ", ".join(f"{counted(len(found.get(step, ())), 'batch', 'es')} {step}" for step in names)
        summary = (
            f"Not deployed, and the buckets have {kept}. What of it the warehouse has is not known without load. "
            f"To go on from there: {suggested()}"
        )
    elif remaining:
        buckets = "are buckets" if len(remaining) > 1 else "is a bucket"
        summary = f"Not deployed; there {buckets} without a batch: {suggested()}"
    freshness = {"fresh": False, "lag_seconds": None, "loaded_unknown": any(found.values()), "summary": summary}
    return {**last, "loaded": None}, freshness, LoadResult()


def _batches(
    follower: Follower, now: datetime, deployed: bool
) -> tuple[dict[str, int | None], dict[str, Any], LoadResult]:
    """The last batch at each step, the freshness of the warehouse, and load's report.

    The lag is the age of the oldest batch that is extracted and not loaded, in seconds.
    """
    if not deployed:
        return _undeployed(follower)
    try:
        report = follower.loaded()
        error_text = None
    except CommandError as error:
        report, error_text = LoadResult(), str(error)
    loaded = report.last_batch or 0
    extracted = batches_after(follower.aws, follower.bucket("ingestion"), loaded)
    transformed = batches_after(follower.aws, follower.bucket("processed"), loaded)
    batches = {
        "extracted": extracted[-1].number if extracted else loaded or None,
        "transformed": transformed[-1].number if transformed else loaded or None,
        "loaded": loaded or None,
    }
    lag = (now - extracted[0].written).total_seconds() if extracted else 0.0
    if error_text:
        summary = f"The warehouse cannot be queried: {error_text}"
    elif extracted:
        summary = f"Not loaded yet: {counted(len(extracted), 'extracted batch', 'es')}, the oldest {lag:,.0f} s old."
    elif loaded:
        loaded_at = readable_time(report.loaded_at or "")
        summary = f"All that was extracted is in the warehouse: batch {loaded} was loaded at {loaded_at}."
    else:
        summary = f"Nothing was extracted yet: {suggested('run')}"
    fresh = bool(loaded) and not extracted and not error_text
    freshness = {"fresh": fresh, "lag_seconds": lag, "loaded_unknown": bool(error_text), "summary": summary}
    return batches, freshness, report
