"""``status``: what is deployed, the last batch at each step, how fresh the warehouse is, and the alarms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import click

from lambda_toolkit.pipeline.client.deployed import alarm_states, function_state, readable_time
from lambda_toolkit.pipeline.client.follow import Follower
from lambda_toolkit.pipeline.client.lake import batches_after
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import program
from lambda_toolkit.pipeline.lambdas.shared.events import LoadResult


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
            f"Outstanding: {counted(document['open']['rejected'], 'rejected row')}, "
            f"{document['open']['pending']:,} pending. Which, and why: {program()} rejected",
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
    """The state of the pipeline at ``now``, as JSON values. Raises AwsError."""
    aws, pipeline = follower.aws, follower.pipeline
    with ThreadPoolExecutor(max_workers=4) as pool:
        alarms = pool.submit(alarm_states, aws, pipeline)
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
    }


def _batches(
    follower: Follower, now: datetime, deployed: bool
) -> tuple[dict[str, int | None], dict[str, Any], LoadResult]:
    """The last batch at each step, the freshness of the warehouse, and load's report.

    The lag is the age of the oldest batch that is extracted and not loaded, in seconds.
    """
    if not deployed:
        freshness = {"fresh": False, "lag_seconds": None, "summary": f"Not deployed yet: {program()}"}
        return {"extracted": None, "transformed": None, "loaded": None}, freshness, LoadResult()
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
        summary = f"Nothing was extracted yet: {program()} run"
    fresh = bool(loaded) and not extracted and not error_text
    return batches, {"fresh": fresh, "lag_seconds": lag, "summary": summary}, report
