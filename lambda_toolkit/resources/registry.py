"""The kinds of attachments of a function. Plans, removals, pruning and the deployer's policy go through this list.

How to add one, say an SQS queue that triggers the function (an event source mapping). Three files deploy it:

1. ``resources/event_source_mapping.py``, new: satisfies :class:`Attachment`. Its ``role_statements`` allow
   ``sqs:ReceiveMessage``, ``sqs:DeleteMessage`` and ``sqs:GetQueueAttributes`` on the queue; its changes wait for
   ``context.function_key``; ``DEPLOYER_ACTIONS`` has ``CreateEventSourceMapping`` and its siblings.
2. This file: the module in ``ATTACHMENTS``.
3. ``spec/model.py``: a member of ``Kind``, a dataclass ``SqsTrigger``, a field of ``FunctionSpec``.

Three more make it an argument of ``Lambda_script``: the parameter in ``lambda_script.py``, its type in
``spec/argument_types.py``, its conversion in ``spec/arguments.py``.

Nothing else knows the kinds one by one: order follows from the keys in ``Change.after``, reads from ``prefetch``, the
execution role from ``role_statements``, the deployer's policy from ``DEPLOYER_ACTIONS``.
"""

from __future__ import annotations

from lambda_toolkit.resources import (
    alarm,
    async_invocation,
    concurrency,
    event_rule,
    log_group,
    network,
    role,
    s3_notification,
    topic_subscription,
)
from lambda_toolkit.resources.attachment import Attachment

ATTACHMENTS: tuple[Attachment, ...] = (
    role,
    log_group,
    event_rule,
    s3_notification,
    topic_subscription,
    async_invocation,
    concurrency,
    network,
    alarm,
)
