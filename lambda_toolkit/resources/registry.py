"""The kinds of attachments of a function. Plans, removals, pruning and the deployer's policy go through this list.

How to add one, as SNS topics that trigger the function (subscriptions) were. Three files deploy it:

1. ``resources/triggers/topic_subscription.py``, new: satisfies :class:`Attachment`. Its changes wait for
   ``context.function_key``; ``role_statements`` has what the function's role needs for it, ``DEPLOYER_ACTIONS`` has
   ``Subscribe`` and its siblings.
2. This file: the module in ``ATTACHMENTS``.
3. ``spec/model.py``: a member of ``Kind``, and a field of ``FunctionSpec`` with its limits (``limited_by``).

Three more make it an argument of ``Lambda_script``: the parameter in ``lambda_script.py``; its type in
``spec/declaration/argument_types.py``, and what reads its forms; ``spec/triggers/topic.py``, new, has the dataclass,
``read`` and ``problems``.

Nothing else knows the kinds one by one: order follows from the keys in ``Change.after``, reads from ``prefetch``, the
execution role from ``role_statements``, the deployer's policy from ``DEPLOYER_ACTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lambda_toolkit.resources.account import role
from lambda_toolkit.resources.functions import async_invocation, concurrency, provisioned, recursion
from lambda_toolkit.resources.monitoring import alarm, log_group
from lambda_toolkit.resources.networks import network
from lambda_toolkit.resources.planning.attachment import Attachment, Context
from lambda_toolkit.resources.schedules import event_rule, schedule, schedule_role
from lambda_toolkit.resources.triggers import (
    event_pattern_rule,
    event_source_mapping,
    function_url,
    s3_notification,
    topic_subscription,
)
from lambda_toolkit.spec.model import FunctionSpec

ATTACHMENTS: tuple[Attachment, ...] = (
    role,
    log_group,
    event_rule,
    schedule_role,
    schedule,
    s3_notification,
    topic_subscription,
    event_pattern_rule,
    event_source_mapping,
    function_url,
    async_invocation,
    concurrency,
    provisioned,
    recursion,
    network,
    alarm,
)

DESTINATIONS: tuple[Callable[[FunctionSpec], Iterable[str]], ...] = (
    async_invocation.destinations,
    event_source_mapping.destinations,
    schedule.destinations,
)
"""Where what fails of a function goes, as an ARN each: a plan looks whether it exists."""


def _of_each(notes: Callable[[Context], Iterable[str]]) -> Callable[[Sequence[Context]], Iterable[str]]:
    return lambda contexts: [note for context in contexts for note in notes(context)]


NOTES: tuple[Callable[[Sequence[Context]], Iterable[str]], ...] = (
    network.notes,
    concurrency.notes,
    _of_each(event_source_mapping.notes),
    _of_each(function_url.notes),
)
"""What a plan says about attachments of its functions beside its changes: a sentence each, without the period."""
