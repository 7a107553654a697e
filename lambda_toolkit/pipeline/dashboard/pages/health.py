"""The page Health: whether the warehouse is fresh and whole, what is wrong, and the command that helps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambda_toolkit.pipeline.dashboard.formats import ago, clock, counted, duration
from lambda_toolkit.pipeline.dashboard.pages.model import (
    BAD,
    GOOD,
    UNKNOWN,
    WARNING,
    PageKind,
    Problem,
    Section,
    Verdict,
    View,
)
from lambda_toolkit.pipeline.dashboard.readings import Request

STEPS = ("extracted", "transformed", "loaded")
_MESSAGES = 6  # the last ones
_HELPS = " What helps: "  # before the command, in the description of an alarm
_COMMAND = re.compile(r"(?:python deploy\.py|lambda-script) (.+?)(?: --stage \S+)?")
_ORDER = (BAD, UNKNOWN, WARNING)  # of what is wrong


def requests(parameters: Mapping[str, str]) -> tuple[Request, ...]:
    """The documents of this page."""
    return (("status",), ("batches",), ("tables",), ("messages",))


def sections(view: View) -> tuple[Section, ...]:
    """The verdict, the checks, what to do, the alarms, the steps; of the local stack, the messages too."""
    found = problems(view)
    messages = view.document("messages").get("messages")
    return (
        Section("verdict", "Health", "verdict", {"verdict": verdict(view), "checks": checks(view)}),
        Section("problems", "What to do", "problems", {"problems": found}),
        Section("alarms", "Alarms", "alarms", {"alarms": _alarms(view)}, "half"),
        Section("steps", "Steps", "steps", {"steps": steps(view)}, "half"),
        *([] if messages is None else [_messages(view, messages)]),
    )


def verdict(view: View) -> Verdict:
    """The answer: is the warehouse fresh, by how much, against which promise."""
    status, problem = view.document("status"), view.problem("status")
    if problem:
        return Verdict(UNKNOWN, "Unknown", problem)
    fresh = status["freshness"]
    if any(function["version"] is None for function in status["functions"]):
        return Verdict(BAD, "Not deployed", fresh["summary"])
    if fresh["loaded_unknown"]:
        return Verdict(UNKNOWN, "Unknown", fresh["summary"])
    if status["batches"]["loaded"] is None:
        return Verdict(UNKNOWN, "Empty", fresh["summary"])
    promise, within, behind = fresh.get("promise"), fresh.get("fresh_within_seconds"), fresh.get("seconds_behind")
    if behind is None:
        behind = fresh["lag_seconds"]  # of what was extracted: where nothing compares the source with it
    promised = f", promise {duration(within)}" if within else ""
    sentence = f"{duration(behind)} behind{promised}"
    if fresh.get("fresh_at"):
        sentence += f". Every change before {clock(fresh['fresh_at'], view.now)} is there"
    if (promise and promise["state"] == "late") or (within is not None and behind > within):
        return Verdict(BAD, "Late", sentence)
    if promise and promise["state"] == "unknown":
        return Verdict(UNKNOWN, "Freshness not known", promise["problem"] or "The source was not compared yet.")
    found = problems(view)
    if found:
        return Verdict(found[0].state, f"Fresh, {counted(len(found), 'problem')}", sentence)
    return Verdict(GOOD, "Fresh", sentence)


def checks(view: View) -> tuple[Problem, ...]:
    """Whole, alarms, waiting: each with its state and a sentence."""
    status = view.document("status")
    if not status:
        return ()
    kept = status["open"]
    tables = [table for table in view.document("tables").get("tables", ()) if table["problem"]]
    missing = [*status["differences"], *tables]
    out = kept["rejected"] + kept["pending"]
    alarms = [alarm for alarm in status["alarms"] if alarm["state"] == "ALARM"]
    batches = status["batches"]
    waiting = (batches["extracted"] or 0) - (batches["loaded"] or 0)
    whole = f"{kept['rejected']:,} rejected, {kept['pending']:,} pending" if out else "no row is missing"
    if missing:
        whole = f"{counted(len(missing), 'difference')} from the declaration"
    if status["freshness"]["loaded_unknown"]:
        return (
            Problem(UNKNOWN, "Whole", "not known"),
            _alarm_check(alarms, len(status["alarms"])),
            Problem(UNKNOWN, "Waiting", "not known"),
        )
    return (
        Problem(BAD if missing else WARNING if out else GOOD, "Whole", whole),
        _alarm_check(alarms, len(status["alarms"])),
        Problem(GOOD, "Waiting", counted(waiting, "batch", "es") if waiting else "no batch"),
    )


def _alarm_check(raised: list[Any], total: int) -> Problem:
    if not total:
        return Problem(WARNING, "Alarms", "none is declared")
    return Problem(BAD if raised else GOOD, "Alarms", f"{len(raised)} of {total} raised" if raised else "all quiet")


def problems(view: View) -> tuple[Problem, ...]:
    """What is wrong, the worst first, each with the command that helps."""
    return tuple(sorted(_problems(view), key=lambda found: _ORDER.index(found.state)))


def _problems(view: View) -> Iterator[Problem]:
    for name in ("status", "batches"):
        problem = view.problem(name)
        if problem:
            yield Problem(UNKNOWN, f"The {name} cannot be read", problem, commands=(view.command("status"),))
    status = view.document("status")
    if not status:
        return
    missing = [function["name"] for function in status["functions"] if function["version"] is None]
    if missing:
        yield Problem(BAD, f"Not deployed: {', '.join(missing)}", commands=(view.command("plan"), view.command("")))
    elif status["freshness"]["loaded_unknown"]:
        yield Problem(UNKNOWN, "The warehouse does not answer", status["freshness"]["summary"], "", _logs(view, "load"))
    elif status["batches"]["extracted"] is None:
        yield Problem(UNKNOWN, "Nothing was extracted yet", commands=(view.command("run"),))
    if not missing:
        yield from _of_the_promise(view, status["freshness"].get("promise"))
    for alarm in status["alarms"]:
        if alarm["state"] == "ALARM":
            yield _alarm_problem(view, alarm)
    for each in (status["failed_events"] or {"functions": ()})["functions"]:
        if not each["made_good"]:
            title = f"{counted(each['count'], 'event')} of {each['function']} failed for good"
            yield Problem(
                WARNING, title, each["reason"], _since(each["oldest_at"], view), (view.command("replay --failed"),)
            )
    kept = status["open"]
    if kept["rejected"] or kept["pending"]:
        text = f"{counted(kept['rejected'], 'rejected row')}, {kept['pending']:,} pending"
        commands = (view.command("rejected"), *([view.command("replay")] if kept["rejected"] else []))
        yield Problem(WARNING, "Rows are kept out of the warehouse", text, commands=commands)
    for difference in status["differences"]:
        yield Problem(
            BAD, "The warehouse differs from its declaration", difference, commands=(view.command("prepare"),)
        )
    for table in view.document("tables").get("tables", ()):
        if table["problem"]:
            yield Problem(
                BAD, f"Something of {table['table']} is missing", table["problem"], "", (view.command("prepare"),)
            )
    for each in status["subscriptions"]:
        if each["state"] != "confirmed":
            title = f"{each['address']} gets no alerts: {each['state']}"
            text = (
                "AWS sent it a link to confirm the subscription, and waits for that. Is it in the spam folder?"
                if each["state"] == "not confirmed"
                else "It is declared, and not subscribed."
            )
            yield Problem(WARNING, title, text, commands=(view.command(""),))


def _of_the_promise(view: View, promise: Mapping[str, Any] | None) -> Iterator[Problem]:
    """What of the promised freshness is late, or not known; those that are not compared for one reason together."""
    if not promise:
        return
    helps = (view.command("logs freshness"),)
    if promise["problem"]:
        yield Problem(UNKNOWN, "Freshness is not known", promise["problem"], commands=helps)
        return
    unknown: dict[str | None, list[str]] = {}
    for table in promise["tables"]:
        if table["state"] == "late":
            text = f"{duration(table['seconds_behind'])} behind, promised within {duration(table['fresh_within'])}"
            commands = (view.command("batches"), *helps) if table["changed"] else helps
            yield Problem(BAD, f"{table['table']} is late", text, commands=commands)
        elif table["state"] == "unknown":
            unknown.setdefault(table["problem"], []).append(table["table"])
    for reason, tables in unknown.items():
        text = reason or f"It was not checked since {clock(promise['checked_at'], view.now)}."
        yield Problem(UNKNOWN, f"Freshness of {', '.join(tables)} is not known", text, commands=helps)


def _alarm_problem(view: View, alarm: Mapping[str, Any]) -> Problem:
    """A raised alarm: its description says what is wrong and, where it is declared, the command that helps."""
    text, _, declared = (alarm.get("description") or "").partition(_HELPS)
    names = [function["name"] for function in view.document("status")["functions"]]
    function = next((name for name in names if alarm["name"].startswith(f"{name}-")), "")
    command = _COMMAND.fullmatch(declared.strip())
    commands = (view.command(command[1]) if command else declared,) if declared else _logs(view, function)
    return Problem(BAD, f"Alarm {alarm['name']}", text, _since(alarm["since"], view), commands, alarm["reason"])


def _since(time: str, view: View) -> str:
    """A time, and how long ago that was."""
    return f"{clock(time, view.now)}, {ago(time, view.now)}"


def _logs(view: View, function: str) -> tuple[str, ...]:
    short = function.rpartition("-")[2]
    return (view.command(" ".join(filter(None, ("logs", short, "--since 1h")))),)


def _alarms(view: View) -> list[dict[str, str]]:
    states = {"ALARM": BAD, "OK": GOOD}
    return [
        {
            "name": alarm["name"],
            "state": states.get(alarm["state"], UNKNOWN),
            "word": {"ALARM": "raised", "OK": "quiet"}.get(alarm["state"], "no data yet"),
            "since": clock(alarm["since"], view.now),
            "reason": alarm["reason"],
        }
        for alarm in sorted(view.document("status").get("alarms", ()), key=lambda each: each["state"] != "ALARM")
    ]


def _messages(view: View, messages: Sequence[Mapping[str, str]]) -> Section:
    """The last messages that would have reached a person, the newest first."""
    shown = [
        {**message, "id": len(messages) - at, "at": clock(message["received_at"], view.now)}
        for at, message in enumerate(reversed(messages[-_MESSAGES:]))
    ]
    nothing = "None has arrived in the local stack yet."
    return Section("messages", "Messages", "messages", {"messages": shown}, nothing=nothing)


def steps(view: View) -> list[dict[str, str]]:
    """The last batch at each step, and how long ago it arrived there."""
    last = view.document("status").get("batches", {})
    batches = {batch["batch"]: batch for batch in view.document("batches").get("batches", ())}
    found = []
    for step in STEPS:
        number = last.get(step)
        at = batches.get(number, {}).get(f"{step}_at")
        found.append(
            {
                "step": step,
                "batch": "none" if number is None else str(number),
                "at": clock(at, view.now),
                "ago": ago(at, view.now) if at else "",
            }
        )
    return found


HEALTH = PageKind("health", "Health", requests, sections)
