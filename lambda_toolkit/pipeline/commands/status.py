"""``status``: what is deployed, the last batch at each step, how fresh the warehouse is, and the alarms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.client.follow import Follower
from lambda_toolkit.pipeline.client.lake import batches_after
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import program
from lambda_toolkit.pipeline.lambdas.shared.events import LoadResult
from lambda_toolkit.resources.alias import LIVE

if TYPE_CHECKING:
    from lambda_toolkit.aws.client import Aws


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
    batches = document["batches"]
    screen.say(
        "Last batch: "
        + ", ".join(f"{step} {batches[step] if batches[step] is not None else 'none'}" for step in batches)
    )
    screen.say(document["freshness"]["summary"])
    if any(document["open"].values()):
        screen.say(
            f"Open: {counted(document['open']['rejected'], 'rejected row')}, {document['open']['pending']:,} pending. "
            f"Which, and why: {program()} rejected",
            color="yellow",
        )
    for difference in document["differences"]:
        screen.say(f"! The warehouse differs from its declaration: {difference}", color="yellow")
    screen.table(
        "Alarms", ["alarm", "state", "since"], [[a["name"], a["state"], a["since"]] for a in document["alarms"]]
    )
    screen.document(document)
    return DONE


def status(follower: Follower, now: datetime) -> dict[str, Any]:
    """The state of the pipeline at ``now``, as JSON values."""
    aws, pipeline = follower.aws, follower.pipeline
    with ThreadPoolExecutor(max_workers=4) as pool:
        alarms = pool.submit(_alarms, aws, f"{pipeline.name}-{pipeline.stage}-")
        functions = list(pool.map(lambda name: _function(follower, name), pipeline.functions))
        deployed = all(function["version"] is not None for function in functions)
        batches, freshness, report = _batches(follower, now, deployed)
        ringing = [alarm for alarm in alarms.result() if alarm["state"] == "ALARM"]
        if ringing:
            names = ", ".join(f"{alarm['name']} (since {alarm['since']})" for alarm in ringing)
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
        }


def _function(follower: Follower, function: str) -> dict[str, Any]:
    name = follower.pipeline.function_name(function)
    declared = follower.pipeline.functions[function]
    starts = [*(["S3 event"] if declared.s3_triggers else []), *filter(None, [declared.spec.schedule])]
    schedule = ", ".join(starts) or None
    live = follower.aws.find("lambda", "get_function_configuration", FunctionName=name, Qualifier=LIVE)
    if live is None:
        absent = dict.fromkeys(("version", "runtime", "last_deployed"))
        return {"name": name, "state": "not deployed", "schedule": schedule, **absent}
    return {
        "name": name,
        "state": live.get("State", "Active"),
        "version": live["Version"],
        "runtime": live.get("Runtime"),
        "schedule": schedule,
        "last_deployed": _moment(live["LastModified"]),
    }


def _batches(
    follower: Follower, now: datetime, deployed: bool
) -> tuple[dict[str, int | None], dict[str, Any], LoadResult]:
    """The last batch at each step; the age of the oldest change that is extracted but not loaded; and load's report."""
    if not deployed:
        freshness = {"fresh": False, "lag_seconds": None, "summary": f"Not deployed yet: {program()}"}
        return {"extracted": None, "transformed": None, "loaded": None}, freshness, LoadResult()
    try:
        report = follower.loaded()
        complaint = None
    except CommandError as error:
        report, complaint = LoadResult(), str(error)
    loaded = report.last_batch or 0
    extracted = batches_after(follower.aws, follower.bucket("ingestion"), loaded)
    transformed = batches_after(follower.aws, follower.bucket("processed"), loaded)
    batches = {
        "extracted": extracted[-1].number if extracted else loaded or None,
        "transformed": transformed[-1].number if transformed else loaded or None,
        "loaded": loaded or None,
    }
    lag = (now - extracted[0].written).total_seconds() if extracted else 0.0
    if complaint:
        summary = f"The warehouse cannot be asked: {complaint}"
    elif extracted:
        summary = f"Not loaded yet: {counted(len(extracted), 'extracted batch', 'es')}, the oldest {lag:,.0f} s old."
    elif loaded:
        summary = (
            f"All that was extracted is in the warehouse: batch {loaded} came at {_moment(report.loaded_at or '')}."
        )
    else:
        summary = f"Nothing was extracted yet: {program()} run"
    fresh = bool(loaded) and not extracted and not complaint
    return batches, {"fresh": fresh, "lag_seconds": lag, "summary": summary}, report


def _alarms(aws: Aws, prefix: str) -> list[dict[str, Any]]:
    alarms = aws.list_all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix)
    return [
        {
            "name": alarm["AlarmName"],
            "state": alarm["StateValue"],
            "since": _moment(alarm["StateUpdatedTimestamp"].isoformat()),
            "reason": alarm.get("StateReason", ""),
        }
        for alarm in alarms
    ]


def _moment(text: str) -> str:
    """An ISO 8601 moment in UTC as people read it, to the second."""
    return text[:19].replace("T", " ") + "Z"
