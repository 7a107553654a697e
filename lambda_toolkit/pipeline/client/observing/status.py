"""The state of a pipeline in one document: is it fresh, is it whole, is anything wrong, and which command helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lambda_toolkit.aws.parallel import readers
from lambda_toolkit.pipeline.client.lake import batches_after, has_bucket
from lambda_toolkit.pipeline.client.observing import failed_events, freshness
from lambda_toolkit.pipeline.client.observing.batches import iso
from lambda_toolkit.pipeline.client.observing.deployed import (
    SUBSCRIPTION_ADVICE,
    alarm_states,
    function_state,
    readable_time,
    subscription_states,
)
from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.observing.starts import last_starts, next_run
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import LoadResult

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.warehouses.reader import ReadsWarehouse

T = TypeVar("T")
_THREADS = 6
SELDOM = 60.0  # seconds for which what costs money or time to ask is not asked again


@dataclass
class Seldom(Generic[T]):
    """What ``read`` returned, for so many seconds."""

    read: Callable[[], T]
    seconds: float = SELDOM
    _known: tuple[datetime, T] | None = field(default=None, init=False)

    def at(self, now: datetime) -> T:
        """What it returns at the time ``now``."""
        if self._known is None or not timedelta(0) <= now - self._known[0] < timedelta(seconds=self.seconds):
            self._known = now, self.read()
        return self._known[1]


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong, and the command that helps; empty where none does."""

    what: str
    command: str


@dataclass
class StatusReader:
    """Reads the state of one pipeline again and again. What is costly to ask is asked once a minute."""

    follower: Follower
    warehouse: Callable[[], ReadsWarehouse] | None = None
    """Makes what reads the warehouse; None: what is promised is not looked at."""
    drift: Seldom[Any] | None = None
    """Reads what differs from the declaration: ``{"changes": names, "problem": text}``."""
    cost: Seldom[Any] | None = None
    """Reads what this month has cost until now, in US dollars; None where that is not known."""
    _starts: Seldom[dict[str, dict[str, Any]]] | None = field(default=None, init=False)

    def read(self, now: datetime) -> dict[str, Any]:
        """The state at ``now``, as JSON values: see ``docs/storage.md``. Raises AwsError."""
        aws, pipeline = self.follower.aws, self.follower.pipeline
        with readers(_THREADS) as pool:
            alarms = pool.submit(alarm_states, aws, pipeline)
            subscriptions = pool.submit(subscription_states, aws, pipeline)
            promise = pool.submit(self._promise, now)
            starts = pool.submit(self._last_starts, now)
            failures = pool.submit(failed_events.state, aws, pipeline)
            functions = list(pool.map(lambda name: function_state(aws, pipeline, name), pipeline.functions))
            deployed = all(function["version"] is not None for function in functions)
            batches, fresh, report = _batches(self.follower, now, deployed)
            raised = [alarm for alarm in alarms.result() if alarm["state"] == "ALARM"]
            fresh |= {"promise": promise.result(), **_promised(promise.result())}
            last = starts.result()
        for name, function in zip(pipeline.functions, functions, strict=True):
            run = last.get(name, {"last_run": None, "last_failed": None})
            ran = datetime.fromisoformat(run["last_run"]) if run["last_run"] else None
            following = next_run(pipeline.functions[name].spec.all_schedules, ran, now)
            function |= {**run, "next_run": iso(following) if following else None}
        failed = failures.result()
        for each in failed["functions"] if failed else ():
            each["made_good"] = failed_events.made_good(each, functions, pipeline)
        if raised:
            names = ", ".join(f"{alarm['name']} (since {alarm['since']})" for alarm in raised)
            fresh["summary"] = f"Not known to be fresh: in alarm is {names}. {fresh['summary']}"
            fresh["fresh"] = False
        elif (fresh["promise"] or {}).get("state") not in (None, freshness.FRESH):
            fresh["fresh"] = False
        elif fresh["fresh"]:
            fresh["summary"] = f"Fresh. {fresh['summary']}"
        document = {
            "format": 1,
            "pipeline": pipeline.name,
            "stage": pipeline.stage,
            "region": pipeline.region,
            "at": iso(now),
            "functions": functions,
            "batches": batches,
            "freshness": fresh,
            "failed_events": failed,
            "open": report.open.to_json(),
            "differences": list(report.differences),
            "alarms": alarms.result(),
            "subscriptions": subscriptions.result(),
            "drift": self.drift.at(now) if self.drift and deployed else None,
            "cost_so_far": self.cost.at(now) if self.cost and deployed else None,
        }
        found = [{"what": each.what, "command": each.command} for each in troubles(document)]
        return {**document, "troubles": found}

    def _promise(self, now: datetime) -> dict[str, Any] | None:
        """How fresh the warehouse is against what is promised; None where nothing is, or is looked at."""
        due = freshness.promises(self.follower.pipeline)
        if self.warehouse is None or not due:
            return None
        try:
            return {**freshness.document(freshness.checked(self.warehouse()), due, now), "problem": None}
        except (PipelineError, CommandError) as error:
            return {**freshness.document({}, due, now), "problem": str(error)}

    def _last_starts(self, now: datetime) -> dict[str, dict[str, Any]]:
        """When the functions ran; nothing where CloudWatch may not be asked."""
        from lambda_script import AwsError
        from lambda_toolkit.aws.account import ACCESS_DENIED

        if self._starts is None:
            self._starts = Seldom(lambda: last_starts(self.follower.aws, self.follower.pipeline, datetime.now(UTC)))
        try:
            return self._starts.at(now)
        except AwsError as error:
            if error.code in ACCESS_DENIED:
                return {}
            raise


def status(follower: Follower, now: datetime) -> dict[str, Any]:
    """The state of the pipeline at ``now``, without what is promised, as JSON values. Raises AwsError."""
    return StatusReader(follower).read(now)


def troubles(document: Mapping[str, Any]) -> Iterator[Trouble]:
    """What is wrong in the document of a status, the most urgent first, each with the command that helps."""
    fresh, promise = document["freshness"], document["freshness"]["promise"]
    missing = [function["name"] for function in document["functions"] if function["version"] is None]
    if missing:
        yield Trouble(f"Not deployed: {', '.join(missing)}.", suggested())
    if fresh["loaded_unknown"] and not missing:
        yield Trouble(fresh["summary"], suggested("logs load"))
    if promise and not missing:
        yield from _of_the_promise(promise)
    for alarm in document["alarms"]:
        if alarm["state"] == "ALARM":
            function = next((f for f in document["functions"] if alarm["name"].startswith(f"{f['name']}-")), None)
            short = function["name"].rpartition("-")[2] if function else ""
            yield Trouble(f"In alarm since {alarm['since']}: {alarm['name']}.", suggested(f"logs {short}".strip()))
    for each in (document["failed_events"] or {"functions": ()})["functions"]:
        if not each["made_good"]:
            since = readable_time(each["oldest_at"])
            what = f"{_counted(each['count'], 'failed event')} of {each['function']} since {since}"
            yield Trouble(f"{what}: {each['reason'].rstrip('.')}.", suggested("replay --failed"))
    if any(document["open"].values()):
        rejected, pending = document["open"]["rejected"], document["open"]["pending"]
        text = f"Kept out of the warehouse: {_counted(rejected, 'rejected row')}, {pending:,} pending."
        yield Trouble(text, suggested("rejected"))
    for difference in document["differences"]:
        yield Trouble(f"The warehouse differs from its declaration: {difference}", suggested("prepare"))
    drift = document["drift"] or {"changes": ()}
    if drift["changes"]:
        names = ", ".join(drift["changes"][:3]) + (", ..." if len(drift["changes"]) > 3 else "")
        yield Trouble(f"AWS differs from the declaration: {names}.", suggested("plan"))
    for each in document["subscriptions"]:
        if each["state"] != "confirmed":
            yield Trouble(f"{each['address']} gets no alerts. {SUBSCRIPTION_ADVICE[each['state']]}", suggested())


def _of_the_promise(promise: Mapping[str, Any]) -> Iterator[Trouble]:
    """Freshness that is late, or not known: one line for all tables that are so for the same reason."""
    helps = suggested("logs freshness")
    if promise["problem"]:
        yield Trouble(f"Freshness is not known: {promise['problem']}", helps)
        return
    late = [table for table in promise["tables"] if table["state"] == freshness.LATE]
    if late:
        worst = max(late, key=lambda table: table["seconds_behind"] - table["fresh_within"])
        more = f" and {len(late) - 1} more" if len(late) > 1 else ""
        yield Trouble(
            f"Late: {worst['table']}{more}, {_minutes(worst['seconds_behind'])} behind, promised within "
            f"{_minutes(worst['fresh_within'])}.",
            suggested("batches") if worst["changed"] else helps,
        )
    reasons = {table["problem"]: table["table"] for table in promise["tables"] if table["problem"]}
    for reason, name in reasons.items():
        yield Trouble(f"Freshness of {name} is not known: {reason.rstrip('.')}.", helps)
    if not reasons and promise["state"] == freshness.UNKNOWN:
        yield Trouble(f"Freshness was not checked since {promise['checked_at']}.", helps)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"


def _promised(promise: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parts of the promise that a summary shows."""
    names = ("seconds_behind", "fresh_at", "fresh_within_seconds")
    return {name: promise[name] if promise else None for name in names}


def _undeployed(follower: Follower) -> tuple[dict[str, int | None], dict[str, Any], LoadResult]:
    """What remains of a pipeline whose functions are not all there: the buckets stay when it is destroyed."""
    names = {"extracted": follower.bucket("ingestion"), "transformed": follower.bucket("processed")}
    remaining = {step: bucket for step, bucket in names.items() if has_bucket(follower.aws, bucket)}
    found = {step: batches_after(follower.aws, bucket, 0) for step, bucket in remaining.items()}
    last = {step: found[step][-1].number if found.get(step) else None for step in names}
    summary = f"Not deployed: {suggested()}"
    if any(found.values()):
        kept = ", ".join(f"{_counted(len(found.get(step, ())), 'batch', 'es')} {step}" for step in names)
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
        summary = f"Not loaded yet: {_counted(len(extracted), 'extracted batch', 'es')}, the oldest {lag:,.0f} s old."
    elif loaded:
        loaded_at = readable_time(report.loaded_at or "")
        summary = f"All that was extracted is in the warehouse: batch {loaded} was loaded at {loaded_at}."
    else:
        summary = f"Nothing was extracted yet: {suggested('run')}"
    fresh = bool(loaded) and not extracted  # nothing is known to be loaded where load failed
    freshness = {"fresh": fresh, "lag_seconds": lag, "loaded_unknown": bool(error_text), "summary": summary}
    return batches, freshness, report


def _counted(number: int, thing: str, ending: str = "s") -> str:
    return f"{number:,} {thing}{'' if number == 1 else ending}"
