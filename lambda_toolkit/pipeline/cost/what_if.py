"""What one change to a declaration costs or saves: suggestions, and the changes of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from lambda_script import PriceList, Schedule
from lambda_toolkit.pipeline.cost.month import ZERO, Network, total
from lambda_toolkit.pipeline.cost.workload import ASSUMED, Declared, DeclaredFunction, Workload, month

if TYPE_CHECKING:
    from lambda_script import Change

CENT = Decimal("0.01")
LONGER = 3  # times the pause between two starts, in the suggestion of longer schedules


@dataclass(frozen=True)
class Saving:
    """What one change would save in a month."""

    change: str
    amount: Decimal
    """US dollars, without regard to what is free."""


def savings(declared: Declared, workload: Workload, prices: PriceList) -> tuple[Saving, ...]:
    """What single changes would save, the largest first; those that save less than a cent are not in it."""
    month_now = month(declared, workload)
    before = total(month_now, prices)
    alarms = max(month_now.alarm_metrics - 1, 0)
    fits = all(
        2 * workload.measured[each.name].memory_used < each.memory
        for each in declared.functions
        if each.name in workload.measured
    )
    changed = {
        "arm64 instead of x86_64": month(_each(declared, lambda each: replace(each, is_arm=True)), workload),
        f"schedules {LONGER} times as long": month(_each(declared, _seldom), workload),
        "one alarm fewer": replace(month_now, alarm_metrics=alarms),
        "no dashboard": month(replace(declared, dashboards=0), workload),
        "no private network": month(replace(declared, network=Network()), workload),
        "no provisioned concurrency": month(_each(declared, lambda each: replace(each, provisioned=0)), workload),
    }
    if fits:
        halved = _each(declared, lambda each: replace(each, memory=max(each.memory // 2, 128)))
        changed["half the memory, if runs take no longer"] = month(halved, workload)
    found = (Saving(change, before - total(after, prices)) for change, after in changed.items())
    return tuple(sorted((each for each in found if each.amount >= CENT), key=lambda each: -each.amount))


def _each(declared: Declared, changed: Callable[[DeclaredFunction], DeclaredFunction]) -> Declared:
    return replace(declared, functions=tuple(map(changed, declared.functions)))


def _seldom(function: DeclaredFunction) -> DeclaredFunction:
    """The same with a longer pause between the starts by its ``rate(...)``."""
    return replace(function, schedules={name: _longer(each) for name, each in function.schedules.items()})


def _longer(expression: str) -> str:
    if not expression.startswith("rate("):
        return expression
    number, unit = expression.removeprefix("rate(").removesuffix(")").split()
    return f"rate({int(number) * LONGER} {unit.removesuffix('s')}s)"


def added_cost(
    declared: Declared, changes: Iterable[Change], prices: PriceList, workload: Workload = ASSUMED
) -> Decimal:
    """What ``changes`` that bring AWS to ``declared`` add to a month, in US dollars; below 0: what they save.

    Functions that are removed are not in it: what they were like is not known.
    """
    return total(month(declared, workload), prices) - total(month(before(declared, changes), workload), prices)


def before(declared: Declared, changes: Iterable[Change]) -> Declared:
    """What AWS has that costs something, as ``changes`` to ``declared`` show it."""
    for change in changes:
        undo = _UNDO.get(str(change.kind))
        if undo:
            declared = undo(declared, change)
    return declared


def _function(declared: Declared, change: Change) -> Declared:
    if change.action == "create":
        return replace(declared, functions=tuple(each for each in declared.functions if each.on_aws != change.name))
    owner = next((each for each in declared.functions if each.on_aws == change.name), None)
    if owner is None:
        return declared
    live = _live(change)
    memory = int(str(live.get("MemorySize", owner.memory)))
    is_arm = live["architecture"] == "arm64" if "architecture" in live else owner.is_arm
    return _with(declared, replace(owner, memory=memory, is_arm=is_arm))


def _schedule(declared: Declared, change: Change) -> Declared:
    owner = _owner(declared, change)
    if owner is None:
        return declared
    live = _live(change)
    schedule = live.get("schedule", owner.schedules.get(change.name))
    if change.action == "create" or live.get("state") == "DISABLED":
        schedule = None
    elif change.action == "delete":
        schedule = change.details[0] if change.details else None
    others = {name: each for name, each in owner.schedules.items() if name != change.name}
    return _with(declared, replace(owner, schedules={**others, change.name: str(schedule)} if schedule else others))


def _provisioned(declared: Declared, change: Change) -> Declared:
    owner = next((each for each in declared.functions if each.on_aws == change.name), None)
    if owner is None:
        return declared
    live = _live(change).get("provisioned_concurrency", owner.provisioned)
    return _with(declared, replace(owner, provisioned=int(str(live))))


def _alarm(declared: Declared, change: Change) -> Declared:
    owner = _owner(declared, change)
    if owner is None or change.action == "update":
        return declared
    others = {name: count for name, count in owner.alarms.items() if name != change.name}
    return _with(declared, replace(owner, alarms=others if change.action == "create" else {**others, change.name: 1}))


def _secret(declared: Declared, change: Change) -> Declared:
    if change.action == "create":
        return replace(declared, secrets=declared.secrets - {change.name})
    return replace(declared, secrets=declared.secrets | {change.name})  # what is updated or deleted was there


def _dashboard(declared: Declared, change: Change) -> Declared:
    if change.action == "update":
        return declared
    return replace(declared, dashboards=max(declared.dashboards + (1 if change.action == "delete" else -1), 0))


_UNDO: Mapping[str, Callable[[Declared, Change], Declared]] = {
    "function": _function,
    "schedule": _schedule,
    "Scheduler schedule": _schedule,
    "provisioned concurrency": _provisioned,
    "alarm": _alarm,
    "secret": _secret,
    "dashboard": _dashboard,
}


def _live(change: Change) -> dict[str, object]:
    return {difference.attribute: difference.live for difference in change.differences if difference.live is not None}


def _owner(declared: Declared, change: Change) -> DeclaredFunction | None:
    """The function that the changed attachment belongs to: its name begins with the function's."""
    name = change.name
    owners = [
        each for each in declared.functions if name.startswith((f"{each.on_aws}-", f"{Schedule.owner(each.on_aws)}."))
    ]
    return max(owners, key=lambda each: len(each.on_aws), default=None)


def _with(declared: Declared, function: DeclaredFunction) -> Declared:
    functions = tuple(function if each.on_aws == function.on_aws else each for each in declared.functions)
    return replace(declared, functions=functions)


def sentence(added: Decimal) -> str | None:
    """``About $0.41 more a month.``; None where it is less than half a cent either way."""
    rounded = added.quantize(CENT)
    if not rounded:
        return None
    return f"About ${abs(rounded):,} {'more' if rounded > ZERO else 'less'} a month."
